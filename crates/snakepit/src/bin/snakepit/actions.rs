//! `snakepit recycle`, `drain` and `cancel`: actions on a running host.

use serde_json::{Value as Json, json};
use snakepit::diag::Client;

use crate::failure::Failure;
use crate::hosts::connect;
use crate::live_options::{ActionOptions, CancelOptions, WorkerOptions};
use crate::output;

async fn client(options: &ActionOptions) -> Result<Client, Failure> {
    let client = connect(&options.host).await?;
    Ok(client.allow_actions(options.allow_actions))
}

fn outcome(json: bool, document: &Json, text: &str) -> Result<(), Failure> {
    match json {
        true => output::document(document),
        false => output::line(text),
    }
}

pub(crate) async fn recycle(options: &WorkerOptions) -> Result<(), Failure> {
    let worker = &options.worker;
    let replacement = client(&options.action).await?.recycle(worker).await?;
    let document = json!({ "worker": worker, "replacement": replacement });
    let text = format!("{replacement} has replaced {worker}");
    outcome(options.json, &document, &text)
}

pub(crate) async fn drain(options: &WorkerOptions) -> Result<(), Failure> {
    let worker = &options.worker;
    client(&options.action).await?.drain(worker).await?;
    let text = format!("{worker} drains");
    outcome(options.json, &json!({ "worker": worker }), &text)
}

pub(crate) async fn cancel(options: &CancelOptions) -> Result<(), Failure> {
    let call = options.call;
    client(&options.action).await?.cancel_call(call).await?;
    let text = format!("call {call}: cancellation requested");
    outcome(options.json, &json!({ "call": call }), &text)
}
