//! `snakepit report`: the flight recording of a host, even if it was killed.

use std::collections::BTreeMap;

use serde_json::json;
use snakepit::Printable;
use snakepit::diag::{
    Hosts, RecordedCall, RecordedDeath, Recording, Style, Table, render_findings, render_seconds,
};

use crate::failure::Failure;
use crate::host_options::ReportOptions;
use crate::hosts::{data_dir, style};
use crate::output;

pub(crate) fn run(options: &ReportOptions) -> Result<(), Failure> {
    let hosts = Hosts::find(&data_dir(options.host.data_dir.as_deref()))?;
    let (run, recordings) = hosts.recordings(options.host.run.as_deref())?;
    if options.json {
        let pools = recordings.iter().map(|recording| {
            let mut pool = json!(recording);
            pool["findings"] = json!(recording.findings());
            pool
        });
        let pools: Vec<_> = pools.collect();
        return output::document(&json!({ "run": run, "pools": pools }));
    }
    output::line(&format!("run {run}"))?;
    if recordings.is_empty() {
        return output::line("nothing was recorded");
    }
    let style = style(true);
    recordings
        .iter()
        .try_for_each(|recording| output::painted(&describe(recording, options.calls, style)))
}

fn describe(recording: &Recording, most: usize, style: Style) -> String {
    let mut parts = vec![format!(
        "\npool {}  host {}  recorded for {}",
        Printable(&recording.pool),
        recording.host_pid,
        render_seconds(recording.ended() - recording.began)
    )];
    if recording.damaged > 0 {
        let damaged = recording.damaged;
        parts.push(format!(
            "  {damaged} entries of the recording are damaged and left out"
        ));
    }
    parts.push(outcomes(&recording.calls));
    let first = recording.calls.len().saturating_sub(most);
    let last = &recording.calls[first..];
    if !last.is_empty() {
        parts.push(format!(
            "  last calls\n{}",
            calls(last, recording.ended(), style)
        ));
    }
    if !recording.deaths.is_empty() {
        parts.push("  last deaths".to_owned());
        parts.extend(
            recording
                .deaths
                .iter()
                .map(|death| of_death(death, recording.ended())),
        );
    }
    let findings = recording.findings();
    if !findings.is_empty() {
        parts.push(render_findings(&findings, style));
    }
    parts.join("\n")
}

/// Counts the calls by outcome.
fn outcomes(calls: &[RecordedCall]) -> String {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.outcome).or_insert(0_usize) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    match counts.is_empty() {
        true => "  no calls".to_owned(),
        false => format!("  calls: {}", counts.join(", ")),
    }
}

fn calls(calls: &[RecordedCall], end: f64, style: Style) -> String {
    let micros = |micros: u64| render_seconds(micros as f64 / 1e6);
    let mut table = Table::new([
        "CALL", "AGO", "TOOL", "WORKER", "OUTCOME", "CODE", "WAITED", "TOOK",
    ]);
    for call in calls {
        table.row([
            call.call.to_string(),
            render_seconds(end - call.at),
            call.tool.clone(),
            call.worker.clone(),
            call.outcome.to_owned(),
            call.code.clone().unwrap_or_default(),
            micros(call.queued_us.into()),
            call.duration_us.map_or_else(|| "-".to_owned(), micros),
        ]);
    }
    table.render("  ", style.colour)
}

fn of_death(death: &RecordedDeath, end: f64) -> String {
    let RecordedDeath { death, output, .. } = death;
    let mut text = format!(
        "  {} ago: worker {} after {} calls: {} ({})",
        render_seconds(end - death.at),
        Printable(&death.worker),
        death.calls,
        Printable(&death.exit),
        Printable(&death.cause)
    );
    for line in output.lines() {
        text.push_str(&format!("\n    {}", Printable(line)));
    }
    text
}
