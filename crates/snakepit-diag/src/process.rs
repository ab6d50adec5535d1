//! Figures of one process, from `/proc`.

use std::fs;

/// Bytes of a process: its proportional share of what it has in common with others where the kernel tells that, else what is resident.
/// `None` if it is gone, or belongs to another user.
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

/// Bytes of the line that begins with `name`, which gives them in KiB.
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
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(memory(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(memory(u32::MAX), None);
    }
}
