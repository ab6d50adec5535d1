//! Errors laid out for people and as JSON.

mod stacks;

use std::fmt;

use serde_json::{Value as Json, json};
use snakepit_core::config::ConfigError;
use snakepit_core::error::{Death, Error, ErrorCode, Phase, StartError, ToolError};
use snakepit_core::pool::QueueBound;
use snakepit_core::printable::Printable;
use snakepit_core::value::{PayloadError, similar_names};

/// An error laid out for people: what, where, and one thing to do.
///
/// ```text
/// error[SP2003]: argument `xs` of tool `mean` must be list[float], got string "oops"
///   --> tools.py:3  def mean(xs: list[float]) -> float
///   help: pass a value that fits, for example xs = [1.0, 2.0]
/// ```
///
/// [`Display`](fmt::Display) writes all lines without a line break at the end. Texts of workers are
/// written with [`Printable`]: control characters are escaped, and further lines are indented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    code: ErrorCode,
    message: String,
    location: Option<String>,
    path: String,
    details: Vec<Detail>,
    help: Option<String>,
    colour: bool,
}

/// One part between the location and the help.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Detail {
    /// `label: text`.
    Line(&'static str, String),
    /// A block of output, shown dim and indented.
    Block(&'static str, Vec<String>),
}

impl ErrorReport {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            message,
            location: None,
            path: String::new(),
            details: Vec::new(),
            help: None,
            colour: false,
        }
    }

    /// Creates the report of a mistake in the caller's input, with one thing to do.
    pub fn usage(code: ErrorCode, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..Self::new(code, message)
        }
    }

    /// Sets the location of the error, for example a file.
    #[must_use]
    pub fn at(mut self, location: Option<String>) -> Self {
        self.location = location;
        self
    }

    /// Switches colours on or off; they are off by default.
    #[must_use]
    pub const fn colour(mut self, colour: bool) -> Self {
        self.colour = colour;
        self
    }

    /// Replaces the message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Replaces the message by the result of `change`.
    #[must_use]
    pub fn map_message(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.message = change(&self.message);
        self
    }

    /// Replaces the help, if there is one, by the result of `change`.
    #[must_use]
    pub fn map_help(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.help = self.help.as_deref().map(change);
        self
    }

    /// Returns the stable code.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Converts the report into one JSON object: `code`, `message`, and if known `location`,
    /// `path`, `help`, `traceback`, `notes`, `causes`, `output`.
    pub fn to_json(&self) -> Json {
        let mut object = json!({ "code": self.code.as_str(), "message": self.message });
        if let Some(location) = &self.location {
            object["location"] = json!(location);
        }
        if let Some(help) = &self.help {
            object["help"] = json!(help);
        }
        if !self.path.is_empty() {
            object["path"] = json!(self.path);
        }
        for detail in &self.details {
            match detail {
                Detail::Block(label, lines) => object[*label] = json!(lines.join("\n")),
                Detail::Line("note", text) => push(&mut object, "notes", text),
                Detail::Line("caused by", text) => push(&mut object, "causes", text),
                Detail::Line(label, text) => object[*label] = json!(text),
            }
        }
        object
    }

    fn block(&mut self, label: &'static str, lines: &[String]) {
        if !lines.is_empty() {
            self.details.push(Detail::Block(label, lines.to_vec()));
        }
    }

    fn tool(&mut self, error: &ToolError) {
        self.path.clone_from(&error.path);
        if !error.file.is_empty() {
            let line = if error.line == 0 {
                String::new()
            } else {
                format!(":{}", error.line)
            };
            let place = format!("{}{line}  {}", error.file, error.source_line.trim());
            self.location = Some(place.trim_end().to_owned());
        }
        for note in &error.notes {
            self.details.push(Detail::Line("note", note.clone()));
        }
        let mut cause = error.cause.as_deref();
        while let Some(error) = cause {
            self.details
                .push(Detail::Line("caused by", error.to_string()));
            cause = error.cause.as_deref();
        }
        let traceback: Vec<String> = error
            .traceback
            .trim_end()
            .lines()
            .map(str::to_owned)
            .collect();
        self.block("traceback", &traceback);
        if !error.help.is_empty() {
            self.help = Some(error.help.clone());
        }
    }
}

/// Appends a text to the list under a key of a JSON object.
fn push(object: &mut Json, key: &str, text: &str) {
    match object.get_mut(key).and_then(Json::as_array_mut) {
        Some(list) => list.push(json!(text)),
        None => object[key] = json!([text]),
    }
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        let mut report = Self::new(error.code(), error.to_string());
        match error {
            Error::Tool(error) => {
                report.message = raw(error);
                report.tool(error);
            }
            Error::Start { source, .. } => {
                report = Self::from(&**source);
            }
            Error::WorkerDied {
                cause,
                ambiguous,
                output,
                ..
            } => {
                report.block("output", output);
                report.help = Some(if *cause == Death::OutOfMemory {
                    "give the worker's control group more memory, or the tool less data at a time"
                        .into()
                } else if *ambiguous {
                    "the tool may have run in part; repeat the call only if running it twice is harmless".into()
                } else {
                    "the call was not sent; repeat it".into()
                });
            }
            Error::UnknownPool { name, known } => {
                let near = similar_names(name, known.iter().map(String::as_str));
                report.help = Some(match near.first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the pools are: {}", known.join(", ")),
                });
            }
            Error::State(error) => report.help = Some(error.help()),
            Error::Timeout {
                stacks: Some(stacks),
                ..
            } => {
                report.block("stacks", &stacks::lines(stacks));
                report.help = help(error).map(str::to_owned);
            }
            other => report.help = help(other).map(str::to_owned),
        }
        report
    }
}

/// Returns one thing to do about an error that carries no help of its own.
const fn help(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Saturated { bound, .. } => match bound {
            QueueBound::Bytes { .. } => {
                "send less data concurrently, or raise `workers` or `queue_bytes`"
            }
            QueueBound::Session { .. } => {
                "wait for earlier calls of the session, or raise `session_queue_limit`"
            }
            QueueBound::Wait { .. } => "try again later, or raise `workers` or the time-out",
            _ => "make fewer concurrent calls, or raise `workers` or `queue_limit`",
        },
        Error::Timeout {
            phase: Phase::Queue,
            ..
        } => "all workers were busy; raise `workers` or `queue_timeout`",
        Error::Timeout {
            phase: Phase::Call, ..
        } => "the tool took too long; raise the time-out",
        Error::Timeout { .. } => "workers took too long to start; raise `start_timeout`",
        Error::Quarantined { .. } => "fix the call; the pool accepts it again after the quarantine",
        Error::CircuitOpen { .. } => {
            "fix the cause of the worker failures; the pool retries automatically"
        }
        Error::AffinityBusy { .. } => "call again later, or use `strict_queue` to wait for it",
        Error::AffinityLost { .. } => "call again: the session moves to another worker",
        Error::AffinityFull { .. } => "delete sessions that are over, or use `hint`",
        Error::Deadlock { .. } => "raise `workers`, or nest calls less deeply",
        Error::Closed(_) => "the pool was shut down; start it again",
        Error::TooLarge { .. } => "send less at a time, or raise `max_payload`",
        Error::Payload(PayloadError::Decode { .. }) => {
            "request another type, or `snakepit::Value` to see the value"
        }
        Error::Payload(_) => "see docs/values.md for what can be sent",
        _ => return None,
    })
}

impl From<&StartError> for ErrorReport {
    fn from(error: &StartError) -> Self {
        let mut report = Self::new(error.code, error.message.clone());
        let tool_error = error.tool_error.as_deref();
        if let Some(error) = tool_error {
            report.code = error.code;
            report.message = raw(error);
            report.tool(error);
        }
        if let Some(exit) = &error.exit {
            report.details.push(Detail::Line("exit", exit.clone()));
        }
        // The tool's error already holds the traceback, which the output would repeat.
        if tool_error.is_none_or(|error| error.traceback.is_empty()) {
            report.block("output", &error.output);
        }
        if let Some(stacks) = &error.stacks {
            report.block("stacks", &stacks::lines(stacks));
        }
        report.help = report.help.or_else(|| error.help.clone());
        report
    }
}

impl From<&ConfigError> for ErrorReport {
    fn from(error: &ConfigError) -> Self {
        Self::usage(error.code, error.to_string(), error.help.clone())
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (red, bold, dim, off) = match self.colour {
            true => ("\x1b[1;31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"),
            false => ("", "", "", ""),
        };
        write!(
            f,
            "{red}error[{}]{off}: {bold}{}{off}",
            self.code,
            indent(&self.message)
        )?;
        if let Some(location) = &self.location {
            write!(f, "\n  {dim}-->{off} {}", Printable(location))?;
        }
        for detail in &self.details {
            match detail {
                Detail::Line(label, text) => write!(f, "\n  {label}: {}", indent(text))?,
                Detail::Block(label, lines) => {
                    write!(f, "\n  {label}:")?;
                    for line in lines {
                        write!(f, "\n{dim}    {}{off}", Printable(line))?;
                    }
                }
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n  {bold}help{off}: {}", indent(help))?;
        }
        Ok(())
    }
}

/// Joins the type and the message of an error, with their line breaks.
fn raw(error: &ToolError) -> String {
    match error.type_name.as_str() {
        "" => error.message.clone(),
        name => format!("{name}: {}", error.message),
    }
}

/// Escapes a text and indents its further lines under the first.
fn indent(text: &str) -> String {
    let lines: Vec<_> = Printable(text.trim_end())
        .lines()
        .map(|line| line.to_text())
        .collect();
    lines.join("\n    ")
}

#[cfg(test)]
mod tests;
