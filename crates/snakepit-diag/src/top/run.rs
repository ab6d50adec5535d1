//! The running view: reports, keys, and answers of the host.

use std::io;
use std::pin::pin;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::{StreamExt as _, TryStreamExt as _};
use nix::errno::Errno;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::keys::Ask;
use super::screen::{Action, Flamed, Screen};
use super::terminal::Terminal;
use super::{draw, flame};
use crate::live::{LOGS, STACKS};
use crate::{AdminError, Client, Meter, Profiled, ReelReader, ReelWriter, Report};

/// Longest pause between two reports of a recording.
const PAUSE: f64 = 2.0;

/// Duration of a profile.
const SAMPLED: Duration = Duration::from_secs(2);

/// Interval after which the screen is redrawn without an event, so that it shows the time since the
/// last answer.
const STILL: Duration = Duration::from_secs(1);

/// Number of the signal that reports the loss of the terminal.
const HANGUP: u8 = 1;

/// The source of the reports.
#[derive(Debug)]
pub enum Source {
    /// A live host.
    Host(Box<Client>),
    /// A recording in a file.
    Reel(ReelReader),
}

/// Options of the view.
#[derive(Debug)]
pub struct Options {
    /// Interval between two reports.
    pub every: Duration,
    /// Use colours.
    pub colour: bool,
    /// Let keys change the host. The client has to permit actions as well.
    pub allow_actions: bool,
    /// The file into which reports are recorded. `None` to record nothing.
    pub record: Option<ReelWriter>,
}

/// The reason for which the view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The user quit.
    Quit,
    /// The future `stop` resolved, with this value, or the terminal is gone: then this is the
    /// number of the signal SIGHUP.
    Stopped(u8),
}

/// The error that ended the view.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// The host or the recording failed.
    #[error(transparent)]
    Host(#[from] AdminError),
    /// The terminal, or the file that is written, failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The answer of the host to a key.
enum ScreenUpdate {
    Text {
        title: String,
        lines: Vec<String>,
        at_end: bool,
    },
    Said(String),
}

/// Shows a host or a recording in the terminal until the user quits, `stop` resolves, or the host
/// is gone. Restores the terminal before it returns.
///
/// # Errors
/// [`Failed`] if the host, the recording or the terminal fails.
pub async fn run(
    source: Source,
    options: Options,
    stop: impl Future<Output = u8>,
) -> Result<End, Failed> {
    let mut stop = pin!(stop);
    let mut screen = Screen {
        allow_actions: options.allow_actions,
        colour: options.colour,
        replay: matches!(source, Source::Reel(_)),
        ..Screen::default()
    };
    let client = match &source {
        Source::Host(client) => Some(client.clone()),
        Source::Reel(_) => None,
    };
    let (reports, mut coming) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    let mut record = options.record;
    let mut terminal = Terminal::open()?;
    let mut keys = EventStream::new();
    let mut still = interval(STILL);
    still.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held = None;
    let mut answered = Instant::now();
    tasks.spawn(async move {
        feed(source, options.every, reports).await;
        None
    });
    loop {
        screen.silent = (!screen.replay).then(|| answered.elapsed().as_secs_f64());
        let drawn = terminal.draw(|frame| draw::draw(&screen, frame.area(), frame.buffer_mut()));
        match drawn {
            Err(error) if is_hung_up(&error) => return Ok(End::Stopped(HANGUP)),
            drawn => drawn?,
        }
        // A paused recording does not advance; a paused view of a host still receives reports.
        let stands = screen.replay && screen.paused;
        tokio::select! {
            biased;
            number = &mut stop => return Ok(End::Stopped(number)),
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    match screen.key(key) {
                        Ask::Quit => return Ok(End::Quit),
                        ask => if let Some(client) = &client {
                            ask_host(ask, client, &mut tasks);
                        },
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) if !is_hung_up(&error) => return Err(error.into()),
                // The terminal is gone.
                Some(Err(_)) | None => return Ok(End::Stopped(HANGUP)),
            },
            look = coming.recv(), if !(screen.ended || stands) => match look {
                Some(look) => {
                    let look: Report = look?;
                    answered = Instant::now();
                    if let Some(record) = &mut record {
                        record.add(&look)?;
                    }
                    held = Some(look);
                }
                None => screen.ended = true,
            },
            Some(answer) = tasks.join_next() => match answer {
                Ok(Some(ScreenUpdate::Text { title, lines, at_end })) => screen.show(title, lines, at_end),
                Ok(Some(ScreenUpdate::Said(text))) => screen.say(text),
                Ok(None) | Err(_) => {}
            },
            _ = still.tick() => {}
        }
        if !screen.paused
            && let Some(look) = held.take()
        {
            screen.watch.add(look);
        }
    }
}

/// Returns whether an error means that the terminal is gone.
fn is_hung_up(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EIO as i32) || error.kind() == io::ErrorKind::BrokenPipe
}

/// Sends reports until one fails, the recording ends, or the receiver is dropped.
async fn feed(source: Source, every: Duration, reports: mpsc::Sender<Result<Report, AdminError>>) {
    match source {
        Source::Host(mut client) => {
            let mut meter = Meter::default();
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let look = client.look().await.map(|mut report| {
                    meter.measure(&mut report);
                    report
                });
                let failed = look.is_err();
                if reports.send(look).await.is_err() || failed {
                    return;
                }
            }
        }
        Source::Reel(mut reel) => {
            let mut last: Option<f64> = None;
            while let Some(look) = reel.read().transpose() {
                if let (Some(last), Ok(look)) = (last, &look) {
                    let passed = (look.at - last).clamp(0.0, PAUSE);
                    tokio::time::sleep(Duration::from_secs_f64(passed)).await;
                }
                last = look.as_ref().ok().map(|look| look.at);
                let failed = look.is_err();
                if reports.send(look).await.is_err() || failed {
                    return;
                }
            }
        }
    }
}

fn ask_host(ask: Ask, client: &Client, tasks: &mut JoinSet<Option<ScreenUpdate>>) {
    let mut client = client.clone();
    tasks.spawn(async move {
        let answer = match ask {
            Ask::Nothing | Ask::Quit => return None,
            Ask::Stacks(worker) => stacks(&mut client, &worker).await,
            Ask::Logs(worker) => logs(&mut client, &worker).await,
            Ask::Flame(flamed) => flames(&mut client, &flamed).await,
            Ask::Act(action) => act(&mut client, action).await.map(ScreenUpdate::Said),
        };
        // If the host is gone, the next report ends the view.
        Some(
            answer.unwrap_or_else(|error| ScreenUpdate::Said(format!("{}: {error}", error.code()))),
        )
    });
}

async fn stacks(client: &mut Client, worker: &str) -> Result<ScreenUpdate, AdminError> {
    let stacks = client.stacks(None, Some(worker), STACKS).await?;
    let stacks: Vec<_> = stacks.try_collect().await?;
    let lines = stacks.into_iter().flat_map(|one| match one.stacks {
        Some(stacks) => stacks.to_string().lines().map(str::to_owned).collect(),
        None => vec!["it did not answer in time".to_owned()],
    });
    Ok(ScreenUpdate::Text {
        title: format!("stacks of {worker}"),
        lines: lines.collect(),
        at_end: false,
    })
}

async fn flames(client: &mut Client, flamed: &Flamed) -> Result<ScreenUpdate, AdminError> {
    let mut what = Profiled {
        duration: SAMPLED,
        ..Profiled::default()
    };
    match flamed {
        Flamed::Worker(worker) => what.worker = Some(worker.clone()),
        Flamed::Pool(pool) => what.pool = Some(pool.clone()),
    }
    let report = client.profile(&what).await?;
    Ok(ScreenUpdate::Text {
        title: flame::title(&report, flamed),
        lines: flame::lines(&report),
        at_end: false,
    })
}

async fn logs(client: &mut Client, worker: &str) -> Result<ScreenUpdate, AdminError> {
    let lines = client.logs(None, Some(worker), LOGS, false).await?;
    let lines: Vec<_> = lines.map_ok(|line| line.text).try_collect().await?;
    Ok(ScreenUpdate::Text {
        title: format!("output of {worker}"),
        lines,
        at_end: true,
    })
}

async fn act(client: &mut Client, action: Action) -> Result<String, AdminError> {
    Ok(match action {
        Action::Cancel { call, tool } => {
            client.cancel_call(call).await?;
            format!("call {call} ({tool}): cancellation requested")
        }
        Action::Recycle { worker } => {
            let replacement = client.recycle(&worker).await?;
            format!("{replacement} has replaced {worker}")
        }
        Action::Drain { worker } => {
            client.drain(&worker).await?;
            format!("{worker} drains")
        }
    })
}

/// Renders a screen as lines of text, for programs and pipes.
pub fn text(screen: &Screen, width: u16) -> String {
    draw::text(screen, width)
}
