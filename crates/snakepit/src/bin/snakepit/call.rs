//! `snakepit call`: calls a tool and prints its result.

use std::ffi::OsStr;

use snakepit::{CallOptions as Options, ErrorCode, Snakepit, ToolInfo, Value};
use tokio::time::Instant;

use crate::arguments::{Arguments, text};
use crate::cli::CallOptions;
use crate::failure::Failure;
use crate::output;
use crate::reference::Reference;
use crate::session::with_pool;
use crate::words::{Command, Workers};

pub(crate) async fn run(options: CallOptions, started: Instant) -> Result<(), Failure> {
    let (workers, arguments) = read(&options)?;
    with_pool(
        workers,
        &options.run.pool,
        (&options.run.telemetry, started),
        async |snakepit, call| {
            let tool = tool(&snakepit, arguments.tool.as_deref())?;
            let call = with_session(call, options.run.session.as_deref());
            let result: Value = snakepit
                .call(tool)
                .args(&arguments.value)
                .options(&call)
                .await?;
            output::value(&result, options.run.json)
        },
    )
    .await
}

/// Parses the workers and the arguments of `call` and `stream`.
pub(crate) fn read(options: &CallOptions) -> Result<(Workers, Arguments), Failure> {
    let json = options.json_args.as_deref();
    if let Some(command) = Command::of(&options.foreign)? {
        let words: Vec<_> = options
            .reference
            .iter()
            .chain(&options.args)
            .cloned()
            .collect();
        let arguments = Arguments::parse(None, &words, json)?;
        return Ok((Workers::Command(command), arguments));
    }
    let reference = options.reference.as_deref().unwrap_or_default();
    let Reference { adapter, tool } = Reference::parse(named(reference)?);
    let arguments = Arguments::parse(tool, &options.args, json)?;
    Ok((Workers::Adapter(adapter), arguments))
}

/// Returns the reference of a command line. Rejects one without an adapter.
pub(crate) fn named(reference: &OsStr) -> Result<&str, Failure> {
    let reference = text(reference)?;
    if reference.contains("://") {
        return Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("`{reference}` is an address, and no tool"),
            format!("write `--otlp={reference}` if it is that of a collector"),
        ));
    }
    if reference
        .split(':')
        .next()
        .is_none_or(|adapter| adapter.trim().is_empty())
    {
        return Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("`{reference}` names no adapter"),
            "name a file such as tools.py:mean, or a module such as package.module:mean",
        ));
    }
    Ok(reference)
}

/// Returns the tool to call: the named one, or the only one.
pub(crate) fn tool(snakepit: &Snakepit, named: Option<&str>) -> Result<String, Failure> {
    if let Some(tool) = named {
        return Ok(tool.to_owned());
    }
    let tools: Vec<ToolInfo> = snakepit.tools();
    if let [only] = &tools[..] {
        return Ok(only.name.clone());
    }
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    Err(Failure::usage(
        ErrorCode::UnknownTool,
        "no tool is named",
        format!("write REF:TOOL with one of: {}", names.join(", ")),
    ))
}

pub(crate) fn with_session(options: Options, session: Option<&str>) -> Options {
    match session {
        Some(session) => options.session(session),
        None => options,
    }
}
