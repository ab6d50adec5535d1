//! The reason why a worker did not start.

use std::fmt;

use super::{Stacks, ToolError};
use crate::code::ErrorCode;
use crate::printable::Printable;

/// The reason why a worker did not start.
///
/// [`Display`](fmt::Display) writes the message and, on indented lines, the last output of the
/// process.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{}", Printable(message), LastOutput(output))]
pub struct StartError {
    /// Stable code.
    pub code: ErrorCode,
    /// The failure: a lower-case phrase.
    pub message: String,
    /// The error reported by the worker, if there is one.
    pub tool_error: Option<Box<ToolError>>,
    /// Exit of the process. `None` if it did not exit.
    pub exit: Option<String>,
    /// The last lines of its output, oldest first.
    pub output: Vec<String>,
    /// Stacks of the worker's threads at its timeout. `None` if not available.
    pub stacks: Option<Box<Stacks>>,
    /// Hint: one thing to do about the error.
    pub help: Option<String>,
    /// Trying again cannot help (a missing file, a bad configuration).
    pub permanent: bool,
}

/// The last lines of an output, each indented.
struct LastOutput<'a>(&'a [String]);

impl fmt::Display for LastOutput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Lines shown: a traceback of ordinary depth.
        const LINES: usize = 20;
        let first = self.0.len().saturating_sub(LINES);
        if !self.0.is_empty() {
            f.write_str("\n  last output:")?;
        }
        for line in &self.0[first..] {
            write!(f, "\n    {}", Printable(line))?;
        }
        Ok(())
    }
}

impl StartError {
    /// Creates an error with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            tool_error: None,
            exit: None,
            output: Vec::new(),
            stacks: None,
            help: None,
            permanent: false,
        }
    }
}
