//! `snakepit profile`: samples the stacks of a running host's workers.

use std::fs;
use std::time::Duration;

use serde_json::json;
use snakepit::ErrorCode;
use snakepit::core::worker::profiling::{ProfileReport, ProfiledThreads};
use snakepit::diag::{Profiled, flame_graph, render_profile};

use crate::failure::Failure;
use crate::host_options::{ProfileFormat, ProfileOptions};
use crate::hosts::{connect, style};
use crate::output;
use crate::session::Signals;

/// Shortest duration of a profile.
const SHORTEST: Duration = Duration::from_millis(1);

pub(crate) async fn run(options: &ProfileOptions) -> Result<(), Failure> {
    check("--duration", options.duration)?;
    let mut signals = Signals::new()?;
    let mut client = connect(&options.host).await?;
    let what = Profiled {
        pool: options.pool.clone(),
        worker: options.worker.clone(),
        tool: options.tool.clone(),
        call: options.call,
        hz: options.hz,
        duration: options.duration,
        threads: match options.gil {
            true => ProfiledThreads::Gil,
            false => ProfiledThreads::All,
        },
    };
    let report = tokio::select! {
        report = client.profile(&what) => report?,
        number = signals.next() => return Err(Failure::Signal(number)),
    };
    let title = format!("snakepit profile of run {}", client.run());
    let written = format_of(options).map(|format| write(&report, format, &title));
    let written = written.transpose()?;
    if let (Some(text), Some(file)) = (&written, &options.output) {
        fs::write(file, text).map_err(|error| Failure::unwritten(file, &error, "--output"))?;
    }
    if options.json {
        return output::document(&summary(&report));
    }
    match (&written, &options.output) {
        (Some(text), None) => output::document_text(text),
        _ => output::painted(&render_profile(&report, style(false))),
    }
}

/// Rejects a duration in which nothing is sampled.
pub(crate) fn check(option: &str, duration: Duration) -> Result<(), Failure> {
    if duration < SHORTEST {
        return Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("`{option}` must be at least 1ms"),
            format!("write for example {option} 5s"),
        ));
    }
    Ok(())
}

/// Returns the requested format, or the one that the file's extension implies. `None` if nothing is
/// to be written.
fn format_of(options: &ProfileOptions) -> Option<ProfileFormat> {
    options.format.or_else(|| {
        let file = options.output.as_ref()?;
        Some(match file.extension().and_then(|it| it.to_str()) {
            Some("svg") => ProfileFormat::Flamegraph,
            Some("json") => ProfileFormat::Speedscope,
            _ => ProfileFormat::Collapsed,
        })
    })
}

fn write(report: &ProfileReport, format: ProfileFormat, title: &str) -> Result<String, Failure> {
    Ok(match format {
        ProfileFormat::Collapsed => report.collapsed(),
        ProfileFormat::Speedscope => format!("{:#}\n", report.speedscope()),
        ProfileFormat::Flamegraph => flame_graph(report, title)?,
    })
}

fn summary(report: &ProfileReport) -> serde_json::Value {
    json!({
        "samples": report.samples,
        "seconds": report.seconds,
        "hz": report.hz,
        "missed": report.missed,
        "lost": report.lost,
        "truncated": report.truncated,
        "stacks": report.total(),
        "on_cpu": report.share(|stack| stack.marks.on_cpu),
        "gil": report.share(|stack| stack.marks.gil),
        "functions": report.functions(),
        "threads": report.threads,
        "unprofiled": report.unprofiled,
    })
}
