//! CPU clocks of threads. A thread whose clock stands still has run nothing, so its stack is
//! unchanged.
#![expect(unsafe_code, reason = "the clock of another thread has no form in std")]

/// Returns the CPU time, in nanoseconds, of the thread of this process with this id in the system.
/// `None` if the thread has ended.
pub(crate) fn clock_of(task: u32) -> Option<u64> {
    // Linux encodes the id of a thread in the id of its clock.
    const OF_THREAD: i32 = 6;
    let number = i32::try_from(task).ok().filter(|number| *number > 0)?;
    let clock: libc::clockid_t = (!number << 3) | OF_THREAD;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer refers to a `timespec`; the kernel checks the clock id.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u64::try_from(time.tv_nsec).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Returns whether a thread of this process runs, or would if a CPU were free.
pub(crate) fn is_runnable(task: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{task}/stat"));
    let stat = stat.unwrap_or_default();
    // The name may contain anything, also parentheses.
    let state = stat.rsplit(") ").next();
    state.is_some_and(|state| state.starts_with('R'))
}

#[cfg(test)]
mod tests {
    use super::{clock_of, is_runnable};

    #[test]
    fn a_thread_that_runs_has_a_clock_that_runs() {
        // SAFETY: it takes nothing and cannot fail.
        let own = unsafe { libc::gettid() }.cast_unsigned();
        let begin = clock_of(own).unwrap();
        let mut sum = 0_u64;
        while clock_of(own).unwrap() == begin {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(clock_of(own).unwrap() > begin);
        assert!(is_runnable(own));
        assert_eq!((clock_of(0), is_runnable(0)), (None, false));
    }
}
