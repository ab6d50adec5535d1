//! `snakepit ps`: lists the hosts that run here.

use std::time::SystemTime;

use serde_json::json;
use snakepit::diag::{Hosts, Table, render_seconds};

use crate::failure::Failure;
use crate::host_options::PsOptions;
use crate::hosts::{data_dir, style};
use crate::output;

pub(crate) fn run(options: &PsOptions) -> Result<(), Failure> {
    let hosts = Hosts::find(&data_dir(options.data_dir.as_deref()))?;
    for problem in &hosts.problems {
        tracing::warn!(%problem, "a run is left out");
    }
    if options.json {
        let running = hosts.running.iter().map(|host| {
            json!({
                "run": host.run,
                "pid": host.pid,
                "program": host.program,
                "started": host.started,
                "stopped": host.is_stopped(),
            })
        });
        return output::document(&running.collect());
    }
    if hosts.running.is_empty() {
        return output::line("no hosts");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let mut table = Table::new(["RUN", "PID", "STATE", "UP", "PROGRAM"]);
    for host in &hosts.running {
        let up = match host.started {
            0 => "-".to_owned(),
            started => render_seconds(now.saturating_sub(started) as f64),
        };
        table.row([
            host.run.clone(),
            host.pid.to_string(),
            if host.is_stopped() { "stopped" } else { "runs" }.to_owned(),
            up,
            host.program.clone(),
        ]);
    }
    output::painted(&table.render("", style(false).colour))
}
