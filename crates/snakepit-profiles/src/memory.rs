//! Memory of a worker process and of everything that it has started.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use crate::tree;

/// Returns the memory of a process and its descendants in bytes: their proportional set sizes if
/// the kernel reports them, else their resident set sizes. `None` if the process is gone. Reads
/// files of `/proc`, which may take milliseconds for a large process.
pub(crate) fn of_tree(pid: u32) -> Option<u64> {
    tree::sum(pid, of_one)
}

fn of_one(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let share = rollup.ok().and_then(|text| pss(&text));
    share.or_else(|| {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        resident_pages(&text)?.checked_mul(page_size()?)
    })
}

/// Parses the line `Pss` into bytes.
fn pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn page_size() -> Option<u64> {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    u64::try_from(size).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn files_are_read_right() {
        let rollup =
            "00400000-7fff Rollup\nRss:     9000 kB\nPss:            1234 kB\nPss_Anon:  9 kB\n";
        assert_eq!(pss(rollup), Some(1234 * 1024));
        assert_eq!(pss("Rss: 1 kB\n"), None);
        assert_eq!(resident_pages("100 42 7 1 0 9 0\n"), Some(42));
        assert_eq!(resident_pages(""), None);
    }

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            // It may have exited already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn what_children_have_counts_as_well() {
        // Each process has 32 MB of its own, and the child ends with its input.
        let script = r#"
            exec 3<&0
            a=$(head -c 32000000 /dev/zero | tr '\0' a)
            { b=$(head -c 32000000 /dev/zero | tr '\0' b); echo ready; read -r line <&3; } &
            wait
        "#;
        let command = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut parent = Ended(command.expect("there is a shell"));
        let output = parent.0.stdout.take().expect("it is piped");
        let ready = BufReader::new(output).lines().next();
        assert!(ready.is_some_and(|line| line.is_ok()), "the child is ready");
        let pid = parent.0.id();
        let (own, all) = (of_one(pid).unwrap_or(0), of_tree(pid).unwrap_or(0));
        assert!(own > 15_000_000, "{own}: half of what both have, at least");
        assert!(all > own + 30_000_000, "{own}, {all}");
    }

    #[test]
    fn what_is_gone_has_none() {
        let child = Command::new("/bin/true").spawn();
        let mut child = Ended(child.expect("it can be run"));
        child.0.wait().expect("it ends");
        assert_eq!(of_tree(child.0.id()), None);
    }
}
