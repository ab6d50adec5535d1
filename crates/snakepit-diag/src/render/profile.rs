//! A profile as text for people.

use std::fmt::Write as _;

use snakepit_core::printable::Printable;
use snakepit_core::worker::profiling::{ProfileReport, ProfiledStack};

use super::{Style, Table};
use crate::text::{percent, seconds};

/// Number of functions shown; with [`Style::detailed`] all are.
const FUNCTIONS: usize = 20;

/// Lays out a profile, function by function, without a line break at the end.
pub fn render_profile(report: &ProfileReport, style: Style) -> String {
    let waits = |stack: &ProfiledStack| !stack.marks.on_cpu && !stack.marks.gil;
    let mut text = format!(
        "{} samples in {} at {} Hz ({} missed), {} stacks ({} lost): {} on a CPU, {} with the GIL, {} waiting",
        report.samples,
        seconds(report.seconds),
        report.hz,
        report.missed,
        report.total(),
        report.lost,
        share(report.share(|stack| stack.marks.on_cpu)),
        share(report.share(|stack| stack.marks.gil)),
        share(report.share(waits)),
    );
    if report.truncated > 0 {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n  {} stacks found no room", report.truncated);
    }
    for worker in &report.unprofiled {
        let (name, reason) = (Printable(&worker.worker), Printable(&worker.reason));
        let _ = write!(text, "\n  worker {name}: {reason}");
    }
    let functions = report.functions();
    if functions.is_empty() {
        text.push_str("\n  no Python code ran");
        return text;
    }
    let whole = report.total().max(1) as f64;
    let mut table = Table::new(["SELF", "TOTAL", "FUNCTION", "FILE"]);
    let most = if style.detailed {
        usize::MAX
    } else {
        FUNCTIONS
    };
    for function in functions.iter().take(most) {
        table.row([
            share(function.own as f64 / whole),
            share(function.total as f64 / whole),
            function.function.clone(),
            format!("{}:{}", function.file, function.first_line),
        ]);
    }
    text.push('\n');
    text.push_str(&table.render("  ", style.colour));
    if functions.len() > most {
        let _ = write!(text, "\n  and {} more", functions.len() - most);
    }
    text
}

fn share(share: f64) -> String {
    percent(share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_says_where_the_time_went() {
        let report: ProfileReport = serde_json::from_value(serde_json::json!({
            "samples": 100, "seconds": 1.0, "hz": 100, "lost": 2, "truncated": 3,
            "frames": [
                { "function": "run\u{1b}[2J", "file": "tools.py", "line": 9, "first_line": 7 },
                { "function": "spin", "file": "tools.py", "line": 3, "first_line": 2 },
            ],
            "threads": [{ "worker": "main-1", "name": "MainThread" }],
            "stacks": [
                { "frames": [0, 1], "marks": { "on_cpu": true, "gil": true }, "count": 75 },
                { "frames": [0], "count": 25 },
            ],
            "unprofiled": [{ "worker": "main-2", "reason": "it is gone" }],
        }))
        .unwrap();
        let expected = "\
100 samples in 1 s at 100 Hz (0 missed), 100 stacks (2 lost): 75 % on a CPU, 75 % with the GIL, 25 % waiting
  3 stacks found no room
  worker main-2: it is gone
  SELF  TOTAL  FUNCTION        FILE
  75 %  75 %   spin            tools.py:2
  25 %  100 %  run\\u{1b}[2J  tools.py:7";
        let shown = render_profile(&report, Style::default());
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&shown), plain(expected), "{shown}");
        let nothing = render_profile(&ProfileReport::default(), Style::default());
        assert!(nothing.ends_with("no Python code ran"), "{nothing}");
    }
}
