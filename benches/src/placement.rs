//! Placement on CPUs: waking a sleeping CPU costs more than a call, so a figure means little
//! without its placement.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Result;

/// Returns the first two CPUs that this process may use. `None` if there is only one.
pub(crate) fn two_cpus() -> Result<Option<[usize; 2]>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    Ok(cpus
        .next()
        .zip(cpus.next())
        .map(|(first, second)| [first, second]))
}

/// Runs `work` in a thread on this CPU; the threads and processes that it starts stay there too.
pub(crate) fn on_cpu<T: Send>(cpu: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_to(0, cpu)?;
            work()
        });
        thread.join().map_err(|_| "the pinned thread panicked")?
    })
}

/// Moves a thread to this CPU; 0 is the calling thread.
fn move_to(pid: u32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(i32::try_from(pid)?), &set)?)
}

/// Moves a process with all its threads to this CPU. A worker has to be moved explicitly: the
/// thread that starts it may be older than the placement of the caller.
pub(crate) fn move_process(pid: u32, cpu: usize) -> Result<()> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name().to_string_lossy().parse()?;
        move_to(thread, cpu)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{on_cpu, two_cpus};

    #[test]
    fn a_pinned_thread_sees_one_cpu_and_the_rest_keeps_all() {
        let Some([first, _]) = two_cpus().unwrap() else {
            return;
        };
        assert!(on_cpu(first, two_cpus).unwrap().is_none());
        assert!(two_cpus().unwrap().is_some());
    }
}
