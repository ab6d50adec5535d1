//! CPU time of a worker process and of everything that it has started.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::tree;

/// Returns the CPU time of a process and its descendants, including those that have ended and were
/// reaped. `None` if the process is gone.
pub(crate) fn of_tree(pid: u32) -> Option<Duration> {
    let ticks = tree::sum(pid, of_one)?;
    let second = sysconf(SysconfVar::CLK_TCK).ok()??;
    let second = u64::try_from(second).ok().filter(|second| *second > 0)?;
    Some(
        Duration::from_secs(ticks / second)
            + Duration::from_secs(ticks % second) / u32::try_from(second).ok()?,
    )
}

fn of_one(pid: u32) -> Option<u64> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Sums the fields `utime`, `stime`, `cutime` and `cstime`.
fn ticks(stat: &str) -> Option<u64> {
    // The process name may contain any character, including parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    // The state is the third field.
    let mut times = rest.split_ascii_whitespace().skip(14 - 3);
    let mut total = 0_u64;
    for _ in 0..4 {
        total = total.checked_add(times.next()?.parse().ok()?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_right_fields_are_read() {
        let stat = "17 (a) R 1 2) S 1 17 17 0 -1 4194560 100 200 0 0 1000 200 30 4 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(1234));
        assert_eq!(ticks("17 (short) S 1 17 17"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn work_of_children_counts_and_rest_does_not() {
        // The child uses a third of a second of CPU time, reports that, and lives on.
        let script = r#"
            exec 3<&0
            sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read -r line <&3' &
            wait
        "#;
        let command = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut parent = command.expect("there is a shell");
        let output = parent.stdout.take().expect("it is piped");
        let line = BufReader::new(output).lines().next();
        assert!(
            line.is_some_and(|line| line.is_ok()),
            "the child has worked"
        );
        let used = of_tree(parent.id()).unwrap_or_default();
        let own = of_one(parent.id()).unwrap_or(u64::MAX);
        drop(parent.stdin.take());
        parent.wait().expect("it ends with its input");
        assert!(used >= Duration::from_millis(50), "{used:?}");
        assert!(own <= 5, "the parent waits: {own} ticks");
        assert_eq!(of_tree(parent.id()), None, "it is gone");
    }
}
