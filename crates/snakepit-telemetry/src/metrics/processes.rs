//! Resource usage of a worker's process, from `/proc` (see proc(5)).

/// Resource usage of one process.
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) threads: f64,
    pub(super) descriptors: f64,
}

impl Process {
    /// Reads the usage. `None` if the process is gone or belongs to another user, or if the system
    /// has no `/proc`.
    #[cfg(target_os = "linux")]
    pub(super) fn read(pid: u32) -> Option<Self> {
        let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
        let stat = process.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            resident_bytes: (stat.rss * procfs::page_size()) as f64,
            threads: stat.num_threads as f64,
            descriptors: process.fd_count().ok()? as f64,
        })
    }

    /// Returns `None`, because only Linux is supported.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn read(_pid: u32) -> Option<Self> {
        None
    }
}
