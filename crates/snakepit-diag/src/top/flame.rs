//! A flame graph as lines of text: callers above their callees, the widest first.

use std::fmt::Display;

use snakepit_core::worker::profiling::{ProfileReport, ProfiledFrame, ProfiledStack};

use crate::text::{percent, seconds};

/// Width of the widest bar in cells.
const BAR: usize = 16;

/// Share of the samples below which a function is left out.
const SMALLEST: f64 = 0.005;

/// Largest number of levels below the first; stacks of workers have at most 512 frames.
const DEEPEST: usize = 512;

/// A function and the functions that it calls.
#[derive(Debug)]
struct Node<'a> {
    frame: &'a ProfiledFrame,
    count: u64,
    calls: Vec<Self>,
}

/// Summarises the profile in one line.
pub(super) fn title(report: &ProfileReport, of: &impl Display) -> String {
    let share = |is_so: fn(&ProfiledStack) -> bool| percent(report.share(is_so) * 100.0);
    format!(
        "flame graph of {of}: {}, {} on a CPU, {} waiting",
        seconds(report.seconds),
        share(|stack| stack.marks.on_cpu),
        share(|stack| !stack.marks.on_cpu && !stack.marks.gil),
    )
}

/// Returns a line for each function: its share of all samples, also as a bar, and its location.
pub(super) fn lines(report: &ProfileReport) -> Vec<String> {
    let mut roots = Vec::new();
    for stack in &report.stacks {
        let mut level = &mut roots;
        for frame in report.frames_of(stack) {
            level = &mut node(level, frame, stack.count).calls;
        }
    }
    let mut lines: Vec<_> = report
        .unprofiled
        .iter()
        .map(|worker| format!("{}: {}", worker.worker, worker.reason))
        .collect();
    if roots.is_empty() {
        lines.push("no Python code ran".to_owned());
    }
    add(&mut lines, roots, report.total().max(1) as f64, 0);
    lines
}

/// Returns the node of a function in a level, with `count` added to it.
fn node<'a, 'b>(
    level: &'b mut Vec<Node<'a>>,
    frame: &'a ProfiledFrame,
    count: u64,
) -> &'b mut Node<'a> {
    let same = |node: &Node<'_>| {
        let one = node.frame;
        one.function == frame.function
            && one.file == frame.file
            && one.first_line == frame.first_line
    };
    let place = level.iter().position(same).unwrap_or_else(|| {
        level.push(Node {
            frame,
            count: 0,
            calls: Vec::new(),
        });
        level.len() - 1
    });
    let node = &mut level[place];
    node.count = node.count.saturating_add(count);
    node
}

/// Adds the lines of a level and of those below it, down to [`DEEPEST`].
fn add(lines: &mut Vec<String>, mut level: Vec<Node<'_>>, whole: f64, depth: usize) {
    level.sort_by_key(|node| std::cmp::Reverse(node.count));
    for node in level {
        let share = node.count as f64 / whole;
        if share < SMALLEST {
            continue;
        }
        let bar = "█".repeat(((share * BAR as f64).round() as usize).clamp(1, BAR));
        lines.push(format!(
            "{:>5} {bar:<BAR$} {:indent$}{}  {}:{}",
            percent(share * 100.0),
            "",
            node.frame.function,
            node.frame.file,
            node.frame.first_line,
            indent = depth * 2,
        ));
        if depth < DEEPEST {
            add(lines, node.calls, whole, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_stand_above_what_they_call_and_the_widest_come_first() {
        let report: ProfileReport = serde_json::from_value(serde_json::json!({
            "samples": 200, "seconds": 2.0, "hz": 100,
            "frames": [
                { "function": "run", "file": "a.py", "line": 9, "first_line": 7 },
                { "function": "spin", "file": "a.py", "line": 3, "first_line": 2 },
                { "function": "run", "file": "a.py", "line": 10, "first_line": 7 },
                { "function": "rare", "file": "a.py", "line": 30, "first_line": 29 },
            ],
            "stacks": [
                { "frames": [2], "count": 50 },
                { "frames": [0, 1], "marks": { "on_cpu": true, "gil": true }, "count": 149 },
                { "frames": [3], "count": 1 },
            ],
            "unprofiled": [{ "worker": "main-2", "reason": "it is gone" }],
        }))
        .unwrap();
        assert_eq!(
            title(&report, &"main-1"),
            "flame graph of main-1: 2 s, 74 % on a CPU, 26 % waiting"
        );
        assert_eq!(
            lines(&report),
            [
                "main-2: it is gone",
                "100 % ████████████████ run  a.py:7",
                " 74 % ████████████       spin  a.py:2",
                "0.5 % █                rare  a.py:29",
            ]
        );
        assert_eq!(lines(&ProfileReport::default()), ["no Python code ran"]);
    }
}
