//! `snakepit ps`: lists the hosts that run here, and those that have ended.

use serde_json::{Value as Json, json};
use snakepit::diag::{EndedHost, Hosts, RunningHost, Table, render_seconds};

use crate::failure::Failure;
use crate::host_options::PsOptions;
use crate::hosts::{data_dir, now, style};
use crate::output;

/// A row of the list.
struct Row {
    run: String,
    pid: u32,
    state: &'static str,
    program: String,
    started: u64,
    /// `None` of a host that runs.
    left: Option<Left>,
}

/// The recordings of a host that has ended.
struct Left {
    /// Time of the last event that was recorded, in seconds since 1970.
    ended: Option<f64>,
    /// Number of calls in the recordings that were read.
    calls: usize,
    /// Number of recordings that were not read.
    not_read: usize,
    /// The reason for which its recordings cannot be read.
    problem: Option<String>,
}

pub(crate) fn run(options: &PsOptions) -> Result<(), Failure> {
    let hosts = Hosts::find(&data_dir(options.data_dir.as_deref()))?;
    for problem in &hosts.problems {
        output::warn(&format!("a run is left out: {problem}"));
    }
    let mut rows: Vec<_> = hosts.running.iter().map(Row::of_running).collect();
    if options.all {
        rows.extend(hosts.ended.iter().map(Row::of_ended));
    }
    if options.json {
        return output::document(&rows.iter().map(Row::json).collect());
    }
    if rows.is_empty() {
        return output::line("no hosts");
    }
    let (now, colour) = (now(), style(false).colour);
    if !options.all {
        let mut table = Table::new(["RUN", "PID", "STATE", "UP", "PROGRAM"]);
        rows.iter().for_each(|row| table.row(row.cells(now)));
        return output::painted(&table.render("", colour));
    }
    let mut table = Table::new([
        "RUN",
        "PID",
        "STATE",
        "UP",
        "LAST RECORD",
        "CALLS",
        "PROGRAM",
    ]);
    for row in &rows {
        let [run, pid, state, up, program] = row.cells(now);
        let [ended, calls] = row.left_cells(now);
        table.row([run, pid, state, up, ended, calls, program]);
    }
    output::painted(&table.render("", colour))
}

impl Row {
    fn of_running(host: &RunningHost) -> Self {
        Self {
            run: host.run.clone(),
            pid: host.pid,
            state: if host.is_stopped() { "stopped" } else { "runs" },
            program: host.program.clone(),
            started: host.started,
            left: None,
        }
    }

    fn of_ended(host: &EndedHost) -> Self {
        let left = match host.first_recordings() {
            Ok(recorded) => Left {
                ended: recorded.ended(),
                calls: recorded.pools.iter().map(|pool| pool.calls.len()).sum(),
                not_read: recorded.not_read,
                problem: recorded.problems.first().map(ToString::to_string),
            },
            Err(problem) => Left {
                ended: None,
                calls: 0,
                not_read: 0,
                problem: Some(problem.to_string()),
            },
        };
        Self {
            run: host.run.clone(),
            pid: host.pid,
            state: "ended",
            program: host.program.clone(),
            started: host.started,
            left: Some(left),
        }
    }

    fn json(&self) -> Json {
        let mut row = json!({
            "run": self.run,
            "pid": self.pid,
            "program": self.program,
            "started": self.started,
            "state": self.state,
            "stopped": self.state == "stopped",
        });
        if let Some(left) = &self.left {
            row["ended"] = json!(left.ended);
            row["calls"] = json!(left.calls);
            row["recordings_not_read"] = json!(left.not_read);
            row["problem"] = json!(left.problem);
        }
        row
    }

    fn cells(&self, now: f64) -> [String; 5] {
        let up = match self.started {
            started if started > 0 && self.left.is_none() => {
                render_seconds((now - started as f64).floor())
            }
            _ => "-".to_owned(),
        };
        [
            self.run.clone(),
            self.pid.to_string(),
            self.state.to_owned(),
            up,
            self.program.clone(),
        ]
    }

    /// Returns when the host ended, and how many calls can be read.
    fn left_cells(&self, now: f64) -> [String; 2] {
        let none = || "-".to_owned();
        let ended = self.left.as_ref().and_then(|left| left.ended);
        let ago = |ended| format!("{} ago", render_seconds(now - ended));
        let calls = match &self.left {
            None => none(),
            Some(left) if left.problem.is_some() && left.calls == 0 => "unreadable".to_owned(),
            Some(left) if left.not_read > 0 => format!("{}+", left.calls),
            Some(left) => left.calls.to_string(),
        };
        [ended.map_or_else(none, ago), calls]
    }
}
