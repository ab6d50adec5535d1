//! `snakepit top`: a running host, or a recording of one, in the terminal.

use std::io::{self, IsTerminal};
use std::path::Path;

use serde_json::json;
use snakepit::ErrorCode;
use snakepit::diag::top::{self, End, Failed, Options, Screen, Source};
use snakepit::diag::{Client, Meter, ReelReader, ReelWriter, Watch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Duration;

use crate::failure::{Failure, is_dumb, wants_colour};
use crate::hosts::connect;
use crate::live_options::{SHORTEST, TopOptions};
use crate::output;
use crate::session::Signals;

/// Width of a screen in columns if there is no terminal.
const WIDTH: u16 = 120;

pub(crate) async fn run(options: TopOptions) -> Result<(), Failure> {
    let every = options.every.max(SHORTEST);
    let terminal = io::stdout().is_terminal();
    let unfit = match (options.once, terminal) {
        (false, false) => Some("stdout is not a terminal"),
        (false, true) if is_dumb() => Some("the terminal cannot place text (TERM=dumb)"),
        _ => None,
    };
    if let Some(unfit) = unfit {
        let help = "print one screen with `--once`";
        return Err(Failure::usage(ErrorCode::WrongUsage, unfit, help));
    }
    let mut signals = Signals::new()?;
    let source = match &options.replay {
        Some(file) => Source::Reel(ReelReader::open(file)?),
        None => {
            let client = connect(&options.host).await?;
            Source::Host(Box::new(client.allow_actions(options.allow_actions)))
        }
    };
    let mut record = options.record.as_deref().map(record).transpose()?;
    if options.once {
        let watch = tokio::select! {
            watch = look(source, every, record.as_mut()) => watch?,
            number = signals.next() => return Err(Failure::Signal(number)),
        };
        return print(watch, options.json, options.replay.is_some());
    }
    let view = Options {
        every,
        colour: wants_colour(terminal),
        allow_actions: options.allow_actions,
        record,
    };
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = async {
        tokio::select! {
            number = signals.next() => number,
            _ = hangup.recv() => 1,
        }
    };
    match top::run(source, view, stop).await? {
        End::Stopped(number) => Err(Failure::Signal(number)),
        _ => Ok(()),
    }
}

fn record(file: &Path) -> Result<ReelWriter, Failure> {
    ReelWriter::create(file).map_err(|error| Failure::unwritten(file, &error, "--record"))
}

/// Takes two reports, or reads a recording to its end.
async fn look(
    source: Source,
    every: Duration,
    mut record: Option<&mut ReelWriter>,
) -> Result<Watch, Failure> {
    let mut watch = Watch::default();
    match source {
        Source::Reel(mut reel) => {
            while let Some(report) = reel.read()? {
                watch.add(report);
            }
        }
        Source::Host(client) => {
            let (mut client, mut meter): (Client, _) = (*client, Meter::default());
            for n in 0..2 {
                if n > 0 {
                    tokio::time::sleep(every).await;
                }
                let mut report = client.look().await?;
                meter.measure(&mut report);
                if let Some(record) = &mut record {
                    record.add(&report)?;
                }
                watch.add(report);
            }
        }
    }
    Ok(watch)
}

fn print(watch: Watch, json: bool, replay: bool) -> Result<(), Failure> {
    if json {
        let mut document = json!(watch.report());
        document["findings"] = json!(watch.findings());
        for pool in document["pools"].as_array_mut().into_iter().flatten() {
            let name = pool["pool"].as_str().unwrap_or_default().to_owned();
            let rate = watch.trend(&name).and_then(|trend| trend.rate.back());
            pool["calls_per_second"] = json!(rate);
            for worker in pool["workers"].as_array_mut().into_iter().flatten() {
                let load = worker["id"].as_str().and_then(|id| watch.cpu(id));
                worker["cpu_percent"] = json!(load);
            }
        }
        return output::document(&document);
    }
    output::painted(&top::text(&Screen::of(watch, replay), WIDTH))
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Host(error) => error.into(),
            Failed::Io(error) => Self::Io(error),
            other => Self::Io(io::Error::other(other)),
        }
    }
}
