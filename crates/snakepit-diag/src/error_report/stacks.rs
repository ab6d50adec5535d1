//! The stacks of a worker, shortened for people.

use snakepit_core::error::Stacks;

/// Limits: threads, innermost frames of the first thread, and of each other thread.
const THREADS: usize = 12;
const FIRST: usize = 12;
const OTHERS: usize = 4;

/// Returns a line for each thread and, below it, one for each of its innermost frames.
pub(super) fn lines(stacks: &Stacks) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, thread) in stacks.threads.iter().take(THREADS).enumerate() {
        let shown = if index == 0 { FIRST } else { OTHERS };
        lines.push(thread.title());
        let frames = thread.frames.iter().take(shown);
        lines.extend(frames.map(|frame| format!("  {frame}")));
        if let Some(more @ 1..) = thread.frames.len().checked_sub(shown) {
            lines.push(format!("  … {more} more"));
        }
    }
    let more = stacks.threads.len().saturating_sub(THREADS);
    match (more, stacks.truncated) {
        (0, false) => {}
        (0, true) => lines.push("… and more that was left out".to_owned()),
        _ => lines.push(format!("… {more} more threads")),
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use snakepit_core::error::{Error, Phase, StackFrame, Stacks, ThreadStack};

    use crate::ErrorReport;

    fn thread(name: &str, id: u64, frames: usize) -> ThreadStack {
        let frame = |line| StackFrame {
            file: "tools.py".into(),
            line,
            function: "spin".into(),
        };
        ThreadStack {
            name: name.into(),
            id,
            call: None,
            frames: (1..=frames)
                .map(|line| frame(u32::try_from(line).unwrap_or(0)))
                .collect(),
        }
    }

    fn report(threads: Vec<ThreadStack>, truncated: bool) -> ErrorReport {
        ErrorReport::from(&Error::Timeout {
            pool: "main".into(),
            phase: Phase::Call,
            after: Duration::from_secs(1),
            stacks: Some(Arc::new(Stacks { threads, truncated })),
        })
    }

    #[test]
    fn a_time_out_shows_where_the_threads_are() {
        let threads = vec![thread("MainThread", 7, 2), thread("loader", 8, 6)];
        let expected = "error[SP4003]: no answer within 1s in phase call of pool `main`\n  stacks:\n    \
             thread `MainThread` (7)\n      tools.py:1 in spin\n      tools.py:2 in spin\n    \
             thread `loader` (8)\n      tools.py:1 in spin\n      tools.py:2 in spin\n      \
             tools.py:3 in spin\n      tools.py:4 in spin\n      … 2 more\n  \
             help: the tool took too long; raise the time-out";
        assert_eq!(report(threads, false).to_string(), expected);
    }

    #[test]
    fn what_is_left_out_is_told() {
        let many = (0..50).map(|id| thread("", id, 1)).collect();
        let text = report(many, true).to_string();
        assert!(text.contains("… 38 more threads"), "{text}");
        let text = report(vec![thread("", 3, 1)], true).to_string();
        assert!(
            text.contains("thread 3") && text.contains("left out"),
            "{text}"
        );
    }
}
