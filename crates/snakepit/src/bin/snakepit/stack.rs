//! `snakepit stack`: prints the stacks of all threads of the workers.

use std::pin::pin;

use futures_util::StreamExt as _;
use serde_json::json;
use snakepit::Printable;
use snakepit::diag::WorkerStacks;

use crate::failure::Failure;
use crate::host_options::StackOptions;
use crate::hosts::connect;
use crate::output;

pub(crate) async fn run(options: &StackOptions) -> Result<(), Failure> {
    let mut client = connect(&options.host).await?;
    let (pool, worker) = (options.pool.as_deref(), options.worker.as_deref());
    let mut stacks = pin!(client.stacks(pool, worker, options.wait).await?);
    let mut silent = false;
    while let Some(of_worker) = stacks.next().await {
        let of_worker = of_worker?;
        silent |= of_worker.stacks.is_none();
        if options.json {
            output::line(&output::json_text(&json!(of_worker)))?;
        } else {
            output::block(&describe(&of_worker))?;
        }
    }
    if silent { Err(Failure::Checks) } else { Ok(()) }
}

fn describe(of_worker: &WorkerStacks) -> String {
    let mut text = format!("worker {}", Printable(&of_worker.worker));
    match &of_worker.stacks {
        None => text.push_str("\n  it did not answer in time"),
        Some(stacks) => {
            for line in stacks.to_string().lines() {
                text.push_str("\n  ");
                text.push_str(line);
            }
        }
    }
    text
}
