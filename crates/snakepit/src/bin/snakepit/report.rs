//! `snakepit report`: the flight recording of a host, even if it was killed.

use std::collections::BTreeMap;

use serde_json::json;
use snakepit::Printable;
use snakepit::diag::{
    Hosts, RecordedCall, RecordedDeath, Recording, Style, Table, render_findings, render_seconds,
};

use crate::failure::Failure;
use crate::host_options::ReportOptions;
use crate::hosts::{data_dir, now, style};
use crate::output;

pub(crate) fn run(options: &ReportOptions) -> Result<(), Failure> {
    let hosts = Hosts::find(&data_dir(options.host.data_dir.as_deref()))?;
    let recorded = hosts.recordings(options.host.run.as_deref())?;
    // A host that runs records on: what it does is as old as it is now.
    let end = |recording: &Recording| match recorded.running {
        true => recording.ended().max(now()),
        false => recording.ended(),
    };
    if options.json {
        let pools = recorded.pools.iter().map(|recording| {
            let mut pool = json!(recording);
            pool["findings"] = json!(recording.findings_at(end(recording)));
            pool
        });
        let pools: Vec<_> = pools.collect();
        let left_out = recorded.problems.iter();
        let left_out =
            left_out.map(|why| json!({ "code": why.code().as_str(), "message": why.to_string() }));
        return output::document(&json!({
            "run": recorded.run,
            "running": recorded.running,
            "pools": pools,
            "left_out": left_out.collect::<Vec<_>>(),
        }));
    }
    let mut calls = recorded.pools.iter().flat_map(|pool| &pool.calls);
    let state = match recorded.running {
        true => "",
        false if calls.any(|call| call.duration_us.is_none()) => "  its host died",
        false => "  its host has ended",
    };
    output::line(&format!("run {}{state}", recorded.run))?;
    for problem in &recorded.problems {
        output::line(&format!("left out: {problem} ({})", problem.code()))?;
    }
    if recorded.pools.is_empty() {
        return output::line("nothing was recorded");
    }
    let style = style(true);
    recorded.pools.iter().try_for_each(|recording| {
        let text = describe(recording, options.calls, end(recording), style);
        output::painted(&text)
    })
}

fn describe(recording: &Recording, most: usize, end: f64, style: Style) -> String {
    let mut parts = vec![format!(
        "\npool {}  host {}  recorded for {}",
        Printable(&recording.pool),
        recording.host_pid,
        render_seconds(end - recording.began)
    )];
    if recording.missing_bytes > 0 {
        parts.push(format!(
            "  the file was cut off: its last {} bytes are missing",
            recording.missing_bytes
        ));
    }
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
        parts.push(format!("  last calls\n{}", calls(last, end, style)));
    }
    if !recording.deaths.is_empty() {
        parts.push("  last deaths".to_owned());
        let deaths = recording.deaths.iter();
        parts.extend(deaths.map(|death| of_death(death, end)));
    }
    let findings = recording.findings_at(end);
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
