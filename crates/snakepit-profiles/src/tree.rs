//! A process and everything that it started, as the kernel lists them.

use std::fs;

/// Processes that are looked at most, in case one makes them faster than they can be counted.
const MOST: usize = 4096;

/// The sum of a number over a process and its descendants. Nothing when the process has no such number any more.
pub(crate) fn sum(pid: u32, of_one: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    let mut total = of_one(pid)?;
    let (mut left, mut seen) = (children(pid), 1);
    while let Some(child) = left.pop() {
        // A child that is gone by now counts nothing.
        total += of_one(child).unwrap_or(0);
        seen += 1;
        if seen < MOST {
            left.extend(children(child));
        }
    }
    Some(total)
}

/// Children of all threads of a process; none when the kernel does not tell them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let texts =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let mut found = Vec::new();
    for text in texts {
        found.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    found
}
