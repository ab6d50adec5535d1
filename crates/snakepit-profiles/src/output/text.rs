//! A line of output, and how it is shown.

use snakepit_core::printable::Printable;
use snakepit_redact::redact_start;

use super::lines::MAX_LINE;

/// A line as it was read.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Bytes at its end that were not read.
    pub(super) left_out: usize,
}

impl Text {
    /// Returns the line for display: truncated, with secrets redacted and control characters
    /// escaped, so that no worker can control the user's terminal.
    pub(super) fn shown(&self) -> String {
        let shown = Printable(&redact_start(&self.text, MAX_LINE)).to_string();
        match self.text.len().saturating_sub(MAX_LINE) + self.left_out {
            0 => shown,
            cut => format!("{shown}… {cut} bytes more"),
        }
    }
}
