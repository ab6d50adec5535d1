//! `snakepit logs`: the output of the workers of a running host.

use std::pin::pin;

use futures_util::StreamExt as _;
use serde_json::json;

use crate::failure::Failure;
use crate::host_options::LogsOptions;
use crate::hosts::connect;
use crate::output;
use crate::session::Signals;

pub(crate) async fn run(options: &LogsOptions) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut client = connect(&options.host).await?;
    let (pool, worker) = (options.pool.as_deref(), options.worker.as_deref());
    let lines = client
        .logs(pool, worker, options.tail, options.follow)
        .await?;
    let mut lines = pin!(lines);
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            number = signals.next() => return Err(Failure::Signal(number)),
        };
        let Some(line) = line else {
            return Ok(());
        };
        let line = line?;
        if options.json {
            output::line(&output::json_text(&json!(line)))?;
        } else {
            if line.lost > 0 {
                let lines = if line.lost == 1 {
                    "line is"
                } else {
                    "lines are"
                };
                output::line(&format!(
                    "… {} {lines} lost: the output was read too slowly",
                    line.lost
                ))?;
            }
            output::line(&format!("[{}] {}", line.worker, line.text))?;
        }
    }
}
