//! `snakepit run-script`: makes the calls listed in a file, in one pool.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use snakepit::{ErrorCode, Snakepit, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::RunScriptOptions;
use crate::failure::Failure;
use crate::output;
use crate::session::with_pool;
use crate::words::Workers;

/// Number of lines read ahead.
const AHEAD: usize = 16;

/// A call of a script.
#[derive(Debug, PartialEq)]
struct Line {
    tool: String,
    args: Value,
}

pub(crate) async fn run(options: RunScriptOptions, started: Instant) -> Result<(), Failure> {
    let adapter = options.adapter.to_string_lossy().into_owned();
    // The file is opened before anything is started.
    let script = open(&options.script)?;
    // The line whose call runs.
    let called = Cell::new(None);
    let work = async |snakepit: Snakepit, call: snakepit::CallOptions| {
        let pool = match &options.run.session {
            Some(session) => snakepit.session(session.as_str()),
            None => snakepit.default_pool().clone(),
        };
        let mut lines = read(script);
        let mut number = 0;
        while let Some(line) = lines.recv().await {
            number += 1;
            let line = line.map_err(|error| unread(&options.script, number, &error))?;
            let line = match number {
                // Some editors begin a file with the mark of its byte order.
                1 => line.strip_prefix('\u{feff}').unwrap_or(&line),
                _ => &line,
            };
            let Some(line) = parse(line).map_err(|why| wrong(&options.script, number, &why))?
            else {
                continue;
            };
            called.set(Some(number));
            let value: Value = pool.call(line.tool).args(line.args).options(&call).await?;
            called.set(None);
            output::value(&value, options.run.json)?;
        }
        Ok(())
    };
    let made = with_pool(
        Workers::Adapter(adapter),
        &options.run.pool,
        (&options.run.telemetry, started),
        work,
    );
    made.await.map_err(|failure| match called.get() {
        Some(number) => failure.begins_with(&format!("{}:{number}: ", options.script.display())),
        None => failure,
    })
}

fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    match opened {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("the script {} cannot be read: {error}", path.display()),
            "name a file with a call on each line, or - for stdin",
        )),
    }
}

/// Reads lines on a separate thread: stdin may block indefinitely and must not delay the exit.
fn read(script: Box<dyn BufRead + Send>) -> mpsc::Receiver<io::Result<String>> {
    let (lines, coming) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for line in script.lines() {
            let failed = line.is_err();
            if lines.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    coming
}

/// Creates the failure of a line that cannot be read.
fn unread(script: &Path, number: usize, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidData {
        return Failure::usage(
            ErrorCode::InvalidPayload,
            format!("line {number} of {} is not UTF-8", script.display()),
            "write the script in UTF-8",
        );
    }
    Failure::usage(
        ErrorCode::WrongUsage,
        format!(
            "line {number} of {} cannot be read: {error}",
            script.display()
        ),
        "name a file with a call on each line, or - for stdin",
    )
}

fn wrong(script: &Path, number: usize, why: &str) -> Failure {
    Failure::usage(
        ErrorCode::InvalidArguments,
        format!("line {number} of {}: {why}", script.display()),
        "write the tool and its arguments as one JSON object or array, for example mean {\"xs\": [1, 2, 3]}",
    )
}

/// Parses a tool and its arguments in JSON. `None` for empty lines and comments.
fn parse(line: &str) -> Result<Option<Line>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (tool, args) = line.split_once(char::is_whitespace).unzip();
    let args = match args {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?,
    };
    if !matches!(args, Value::Map(_) | Value::List(_) | Value::Null) {
        return Err("the arguments must be an object or an array".to_owned());
    }
    let tool = tool.unwrap_or(line).to_owned();
    Ok(Some(Line { tool, args }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_tool_and_its_arguments() {
        for empty in ["", "  ", "# mean [1]"] {
            assert_eq!(parse(empty), Ok(None), "{empty}");
        }
        let read = |line| parse(line).unwrap().unwrap();
        assert_eq!(read("now").args, Value::Null);
        assert_eq!(
            read(" add  [1, 2] ").args,
            Value::List(vec![Value::Int(1), Value::Int(2)])
        );
        assert!(matches!(read("mean {\"xs\": [1]}").args, Value::Map(_)));
        for (line, why) in [
            ("mean {xs}", "not JSON"),
            ("mean 3", "an object or an array"),
            ("mean {} {}", "not JSON"),
        ] {
            assert!(parse(line).unwrap_err().contains(why), "{line}");
        }
    }
}
