//! Figures of one process, from `/proc`.

use std::fs;

/// Returns the memory of a process in bytes: its proportional set size if the kernel reports that,
/// else its resident set size. `None` if the process is gone or belongs to another user.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let share = rollup.and_then(|text| kib(&text, "Pss:"));
    share.or_else(|| {
        kib(
            &fs::read_to_string(format!("/proc/{pid}/status")).ok()?,
            "VmRSS:",
        )
    })
}

/// Clock ticks per second in `/proc`: constant for user space, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

/// Returns the CPU time that a process has used, in seconds. `None` if it is gone.
pub(crate) fn cpu(pid: u32) -> Option<f64> {
    cpu_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the program of a process. Empty if that is not known.
#[cfg(feature = "admin")]
pub(crate) fn program(pid: u32) -> String {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    program.map_or_else(|_| String::new(), |path| path.display().to_string())
}

/// Returns true if a signal or a debugger has stopped a process.
#[cfg(feature = "admin")]
pub(crate) fn is_stopped(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_stopped_in(&stat))
}

#[cfg(feature = "admin")]
fn is_stopped_in(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.trim_start().starts_with(['T', 't'])
}

/// Parses the CPU time in a line of `/proc/PID/stat`. The process name in it, in parentheses, may
/// hold any characters.
fn cpu_of(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? as f64 + ticks()? as f64) / TICKS)
}

/// Returns the bytes of the line that begins with `name` and gives KiB.
pub(crate) fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_bytes() {
        let text = "Rss:     9000 kB\nPss:            1234 kB\nPss_Anon:  9 kB\n";
        assert_eq!(kib(text, "Pss:"), Some(1234 << 10));
        assert_eq!(kib(text, "Swap:"), None);
        assert_eq!(kib("Pss: 99999999999999999999 kB", "Pss:"), None);
        assert_eq!(kib("Pss: 1", "Pss:"), None);
    }

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a) b 1 2 (3)) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 900 1 1";
        assert_eq!(cpu_of(stat), Some(2.0));
        assert_eq!(cpu_of("7 (a) S 1"), None);
        assert_eq!(cpu_of(""), None);
    }

    #[test]
    #[cfg(feature = "admin")]
    fn the_state_is_read_behind_any_name() {
        assert!(is_stopped_in("7 (a) T 1 7"));
        assert!(is_stopped_in("7 (a) S) t 1 7"));
        for stat in ["7 (T) S 1 7", "7 (a) T) R 1 7", "7 T", ""] {
            assert!(!is_stopped_in(stat), "{stat}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(memory(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(memory(u32::MAX), None);
        assert!(cpu(std::process::id()).is_some());
        assert_eq!(cpu(u32::MAX), None);
    }
}
