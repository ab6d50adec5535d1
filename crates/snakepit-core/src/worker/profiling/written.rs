//! Profiles in the formats of other programs.

use std::collections::BTreeMap;

use serde_json::json;

use super::{ProfileReport, ProfiledFrame, ProfiledThread};
use crate::printable::Printable;

impl ProfileReport {
    /// Returns one line for each stack: `worker/thread;function (file:line);... count`, the
    /// outermost first. Programs that draw flame graphs read this format. Stacks that differ only
    /// in marks are merged.
    pub fn collapsed(&self) -> String {
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for stack in &self.stacks {
            let mut line = self.thread_of(stack).map_or_else(String::new, title);
            for frame in self.frames_of(stack) {
                line.push(';');
                line.push_str(&label(frame));
            }
            let count = lines.entry(line).or_default();
            *count = count.saturating_add(stack.count);
        }
        let lines = lines
            .iter()
            .map(|(line, count)| format!("{line} {count}\n"));
        lines.collect()
    }

    /// Returns a document for <https://www.speedscope.app>: a profile for each thread, with times
    /// in seconds.
    pub fn speedscope(&self) -> serde_json::Value {
        let frames: Vec<_> = self
            .frames
            .iter()
            .map(|frame| json!({ "name": frame.function, "file": frame.file, "line": frame.line }))
            .collect();
        let period = 1.0 / f64::from(self.hz.max(1));
        let profiles = self.threads.iter().zip(0..).filter_map(|(thread, number)| {
            let stacks = self.stacks.iter().filter(|stack| stack.thread == number);
            let known = |frame: &&u32| usize::try_from(**frame).is_ok_and(|at| at < frames.len());
            let (samples, weights): (Vec<Vec<u32>>, Vec<f64>) = stacks
                .map(|stack| {
                    let frames = stack.frames.iter().filter(known).copied();
                    (frames.collect(), stack.count as f64 * period)
                })
                .unzip();
            let end: f64 = weights.iter().sum();
            (!samples.is_empty()).then(|| {
                json!({
                    "type": "sampled",
                    "name": title(thread),
                    "unit": "seconds",
                    "startValue": 0,
                    "endValue": end,
                    "samples": samples,
                    "weights": weights,
                })
            })
        });
        let profiles: Vec<_> = profiles.collect();
        json!({
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": concat!("snakepit ", env!("CARGO_PKG_VERSION")),
            "name": "snakepit profile",
            "activeProfileIndex": 0,
            "shared": { "frames": frames },
            "profiles": profiles,
        })
    }
}

/// Returns `main-1/MainThread`, or the thread's number if it has no name.
fn title(thread: &ProfiledThread) -> String {
    let name = match &*thread.name {
        "" => format!("thread {}", thread.id),
        name => name.to_owned(),
    };
    plain(&format!("{}/{name}", thread.worker))
}

fn label(frame: &ProfiledFrame) -> String {
    let place = match frame.line {
        0 => frame.file.clone(),
        line => format!("{}:{line}", frame.file),
    };
    plain(&format!("{} ({place})", frame.function))
}

/// Returns the text without anything that would end a frame or a line, or act on a terminal.
fn plain(text: &str) -> String {
    Printable(text)
        .to_text()
        .replace(';', ":")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::{Marks, ProfiledStack};
    use super::*;

    fn report() -> ProfileReport {
        let frame = |function: &str, line| ProfiledFrame {
            function: function.into(),
            file: "tools.py".into(),
            line,
            first_line: 1,
        };
        let stack = |thread, on_cpu, frames: &[u32], count| ProfiledStack {
            thread,
            marks: Marks { on_cpu, gil: false },
            frames: frames.to_vec(),
            count,
        };
        let thread = |name: &str, id| ProfiledThread {
            worker: "main-1".into(),
            name: name.into(),
            id,
        };
        ProfileReport {
            hz: 100,
            frames: vec![frame("spin", 3), frame("a;b\n\u{1b}[31m", 0)],
            threads: vec![thread("MainThread", 7), thread("", 8), thread("idle", 9)],
            stacks: vec![
                stack(0, true, &[0, 1], 2),
                stack(0, false, &[0, 1], 1),
                stack(1, true, &[0], 50),
                stack(1, true, &[0, 99], 50),
            ],
            ..ProfileReport::default()
        }
    }

    #[test]
    fn collapsed_stacks_are_lines_that_can_be_read() {
        assert_eq!(
            report().collapsed(),
            "main-1/MainThread;spin (tools.py:3);a:b\\n\\u{1b}[31m (tools.py) 3\n\
             main-1/thread 8;spin (tools.py:3) 100\n"
        );
    }

    #[test]
    fn speedscope_has_a_profile_for_each_thread_that_was_seen() {
        let document = report().speedscope();
        assert_eq!(document["shared"]["frames"][0]["line"], 3);
        assert_eq!(document["profiles"].as_array().unwrap().len(), 2);
        let second = &document["profiles"][1];
        assert_eq!(second["name"], "main-1/thread 8");
        assert_eq!(second["weights"], json!([0.5, 0.5]));
        assert_eq!(second["samples"], json!([[0], [0]]));
        assert_eq!(second["endValue"], 1.0);
    }
}
