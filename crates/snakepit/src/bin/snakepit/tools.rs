//! `snakepit tools`.

use snakepit::ToolInfo;
use tokio::time::Instant;

use crate::arguments::text;
use crate::cli::ToolsOptions;
use crate::failure::Failure;
use crate::output;
use crate::session::with_pool;

pub(crate) async fn run(options: &ToolsOptions, started: Instant) -> Result<(), Failure> {
    let adapter = text(&options.reference)?;
    with_pool(adapter, &options.pool, started, async |snakepit, _| {
        let tools = snakepit.tools();
        if options.json {
            return output::document(&serde_json::json!(tools));
        }
        tools
            .iter()
            .try_for_each(|tool| output::line(&describe(tool)))
    })
    .await
}

/// One tool on one or two lines.
fn describe(tool: &ToolInfo) -> String {
    let signature = tool
        .signature
        .trim_start_matches("async ")
        .trim_start_matches("def ");
    let signature = if signature.is_empty() {
        &tool.name
    } else {
        signature
    };
    let mut text = String::from(signature);
    if !tool.signature.contains(&tool.name) && !tool.signature.is_empty() {
        text = format!("{}: {text}", tool.name);
    }
    if tool.streaming {
        text.push_str("  [stream]");
    }
    if !tool.file.is_empty() {
        text.push_str(&format!("  {}:{}", tool.file, tool.line));
    }
    for line in tool.description.lines() {
        text.push_str("\n    ");
        text.push_str(line);
    }
    text
}
