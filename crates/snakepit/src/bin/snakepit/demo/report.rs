//! The output of the demo.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value as Json, json};
use snakepit::Printable;

use crate::failure::{Failure, wants_colour};
use crate::output;

/// Collects the results of the steps and prints them.
pub(crate) struct Board {
    json: bool,
    colour: bool,
    steps: Vec<Json>,
    failed: usize,
}

impl Board {
    pub(crate) fn new(json: bool) -> Self {
        let colour = wants_colour(io::stdout().is_terminal());
        Self {
            json,
            colour,
            steps: Vec::new(),
            failed: 0,
        }
    }

    /// Records a step without a check.
    pub(crate) fn passed(
        &mut self,
        name: &str,
        text: String,
        took: Duration,
    ) -> Result<(), Failure> {
        self.step(name, Ok(text), took)
    }

    /// Records a step with the result of its check.
    pub(crate) fn step(
        &mut self,
        name: &str,
        outcome: Result<String, String>,
        took: Duration,
    ) -> Result<(), Failure> {
        let passed = outcome.is_ok();
        let (Ok(text) | Err(text)) = outcome;
        self.failed += usize::from(!passed);
        let millis = took.as_secs_f64() * 1e3;
        self.steps
            .push(json!({ "step": name, "passed": passed, "text": text, "milliseconds": millis }));
        if self.json {
            return Ok(());
        }
        let (word, colour) = if passed {
            ("ok", "\x1b[32m")
        } else {
            ("FAILED", "\x1b[31m")
        };
        let (colour, off) = if self.colour {
            (colour, "\x1b[0m")
        } else {
            ("", "")
        };
        let text = Printable(&text);
        let line = format!("{colour}{word:>6}{off}  {name:<8} {millis:>8.1} ms  {text}\n");
        output::bytes(line.as_bytes())
    }

    /// Prints the last line, or everything as JSON.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let (passed, failed) = (self.steps.len() - self.failed, self.failed);
        if self.json {
            let document = json!({ "steps": self.steps, "passed": passed, "failed": failed });
            output::document(&document)?;
        } else {
            output::line(&format!("demo: {passed} steps passed, {failed} failed"))?;
        }
        if failed == 0 {
            Ok(())
        } else {
            Err(Failure::Checks)
        }
    }
}

/// A progress bar on stderr, shown only on a terminal.
pub(crate) struct Bar {
    shown: bool,
}

impl Bar {
    const WIDTH: usize = 30;

    pub(crate) fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
        }
    }

    /// Shows that `done` of `all` parts are done.
    pub(crate) fn show(&self, done: usize, all: usize, text: &str) {
        if self.shown {
            let filled = Self::WIDTH * done / all.max(1);
            let (full, empty) = ("#".repeat(filled), "-".repeat(Self::WIDTH - filled));
            // Failing to draw the bar does not stop the demo.
            let _ = write!(io::stderr(), "\r[{full}{empty}] {text}\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
