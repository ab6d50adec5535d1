//! The error of a tool, as its worker reports it, and the conversions into it.

use std::error::Error as StdError;
use std::fmt;

use super::Error;
use crate::code::ErrorCode;
use crate::printable::Printable;
use crate::state::StateError;
use crate::value::PayloadError;

/// A worker's report of a failed call: an exception of the tool, or the reason for rejecting the
/// call.
///
/// The texts are as the worker sent them, bounded in size. [`Display`](fmt::Display) writes type
/// and message as one line that a terminal or a log can show, with [`Printable`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ToolError {
    /// Stable code.
    pub code: ErrorCode,
    /// Name of the exception type, for example `ValueError`; empty if the call was rejected.
    pub type_name: String,
    /// Module of the exception type, for example `builtins`.
    pub module: String,
    /// The message.
    pub message: String,
    /// The traceback as the runtime prints it, bounded in size.
    pub traceback: String,
    /// Notes added to the exception (PEP 678).
    pub notes: Vec<String>,
    /// The exception that led to this one.
    pub cause: Option<Box<Self>>,
    /// File of the tool, or of the innermost frame of the user's code.
    pub file: String,
    /// Line in `file`, from 1; 0 if unknown.
    pub line: u32,
    /// Source or signature to show beside `file:line`.
    pub source_line: String,
    /// Hint: one thing to do about the error.
    pub help: String,
    /// The argument that the error is about, with the place in it: `features.sepal_length`,
    /// `xs[1]`. Empty if the error is not about an argument.
    pub path: String,
}

impl ToolError {
    /// Creates an error with a code and a message; everything else is empty.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            type_name: String::new(),
            module: String::new(),
            message: message.into(),
            traceback: String::new(),
            notes: Vec::new(),
            cause: None,
            file: String::new(),
            line: 0,
            source_line: String::new(),
            help: String::new(),
            path: String::new(),
        }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.type_name.is_empty() {
            write!(f, "{}: ", Printable(&self.type_name))?;
        }
        write!(f, "{}", Printable(&self.message))
    }
}

impl From<StateError> for ToolError {
    fn from(error: StateError) -> Self {
        let mut converted = Self::new(error.code(), error.to_string());
        converted.help = error.help();
        converted
    }
}

impl From<StateError> for Box<ToolError> {
    fn from(error: StateError) -> Self {
        Self::new(error.into())
    }
}

impl From<PayloadError> for ToolError {
    fn from(error: PayloadError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        match error {
            Error::Tool(error) => *error,
            Error::State(error) => (*error).into(),
            other => Self::new(other.code(), with_causes(&other)),
        }
    }
}

/// Joins the messages of an error and of its sources.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let causes = std::iter::successors(error.source(), |error: &&dyn StdError| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Direction of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Arguments, to the worker.
    Request,
    /// A result, to the host.
    Reply,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Reply => "reply",
        })
    }
}
