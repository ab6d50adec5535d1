//! The results of a row, for `docs/faults.md`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

/// Variable with the directory for the results. Without it nothing is written.
const OUT: &str = "FAULTS_OUT";

/// One row of the table. It counts as failed unless it ends with [`Row::holds`] or [`Row::skip`].
#[derive(Debug)]
pub(crate) struct Row {
    number: u32,
    fault: &'static str,
    start: Instant,
    result: Option<String>,
}

impl Row {
    pub(crate) fn new(number: u32, fault: &'static str) -> Self {
        Self {
            number,
            fault,
            start: Instant::now(),
            result: None,
        }
    }

    /// Records that the row holds; `what` states the observation.
    pub(crate) fn holds(mut self, what: impl Into<String>) {
        self.result = Some(format!("holds: {}", what.into()));
    }

    /// Records that this machine cannot run the row.
    pub(crate) fn skip(mut self, why: &str) {
        eprintln!("skipped: {why}");
        self.result = Some(format!("skipped: {why}"));
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let Some(dir) = std::env::var_os(OUT).map(PathBuf::from) else {
            return;
        };
        let row = serde_json::json!({
            "row": self.number,
            "fault": self.fault,
            "result": self.result.as_deref().unwrap_or("FAILED"),
            "ms": self.start.elapsed().as_secs_f64() * 1e3,
        });
        let name: String = self
            .fault
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        // A row that cannot be written is missing from the table, which `cargo xtask faults`
        // reports.
        let _ = fs::create_dir_all(&dir);
        let _ = fs::write(
            dir.join(format!("{:02}-{name}.json", self.number)),
            row.to_string(),
        );
    }
}

/// Formats a duration in milliseconds.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
