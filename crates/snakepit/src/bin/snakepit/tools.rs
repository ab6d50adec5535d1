//! `snakepit tools`: lists the tools of an adapter.

use snakepit::{Printable, ToolInfo};
use tokio::time::Instant;

use crate::call::named;
use crate::cli::{TelemetryOptions, ToolsOptions};
use crate::failure::Failure;
use crate::output;
use crate::session::with_pool;
use crate::words::{Command, Workers};

pub(crate) async fn run(options: &ToolsOptions, started: Instant) -> Result<(), Failure> {
    let workers = match Command::of(&options.foreign)? {
        Some(command) => Workers::Command(command),
        None => {
            let reference = options.reference.as_deref().unwrap_or_default();
            Workers::Adapter(named(reference)?.to_owned())
        }
    };
    with_pool(
        workers,
        &options.pool,
        (&TelemetryOptions::default(), started),
        async |snakepit, _| {
            let tools = snakepit.tools();
            if options.json {
                return output::document(&serde_json::json!(tools));
            }
            tools
                .iter()
                .try_for_each(|tool| output::block(&describe(tool)))
        },
    )
    .await
}

/// Describes a tool on one or two lines.
fn describe(tool: &ToolInfo) -> String {
    let (name, file) = (Printable(&tool.name), Printable(&tool.file));
    let signature = Printable(&tool.signature).to_text();
    let signature = signature
        .trim_start_matches("async ")
        .trim_start_matches("def ");
    let signature = if signature.is_empty() {
        name.to_text()
    } else {
        signature.into()
    };
    let mut text = signature.into_owned();
    if !tool.signature.contains(&tool.name) && !tool.signature.is_empty() {
        text = format!("{name}: {text}");
    }
    if tool.streaming {
        text.push_str("  [stream]");
    }
    if !tool.file.is_empty() {
        text.push_str(&format!("  {file}:{}", tool.line));
    }
    for line in tool.description.lines() {
        text.push_str("\n    ");
        text.push_str(line);
    }
    for (name, reason) in unchecked(tool) {
        text.push_str(&format!(
            "\n    `{}` is {}",
            Printable(name),
            Printable(reason)
        ));
    }
    text
}

/// The parameters whose hints are not checked, each with what its schema says of that.
fn unchecked(tool: &ToolInfo) -> impl Iterator<Item = (&str, &str)> {
    let properties = tool.parameters.get("properties");
    let properties = properties.and_then(serde_json::Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| {
            let comment = schema.get("$comment")?.as_str()?;
            comment
                .contains("checked: ")
                .then_some((name.as_str(), comment))
        })
}
