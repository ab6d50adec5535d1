//! What a row has shown, for `docs/faults.md`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

/// Directory for the results; nothing is written without it.
const OUT: &str = "FAULTS_OUT";

/// One row of the table. It is a failure unless it ends with [`Row::holds`] or [`Row::skip`].
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

    /// The row holds; `what` says what was seen.
    pub(crate) fn holds(mut self, what: impl Into<String>) {
        self.result = Some(format!("holds: {}", what.into()));
    }

    /// This machine cannot do it.
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
        // A row that cannot be written is missing in the table, which its command notices.
        let _ = fs::create_dir_all(&dir);
        let _ = fs::write(
            dir.join(format!("{:02}-{name}.json", self.number)),
            row.to_string(),
        );
    }
}

/// A duration for people.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
