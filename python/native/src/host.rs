//! What ties the process to its host besides the connections.

use std::ffi::CStr;

/// Linux's `F_GETSIG`, which libc does not name everywhere.
const F_GETSIG: libc::c_int = 11;

/// Holds the kernel to its promise that this process dies with its host. Called once, before user code runs.
///
/// The host has armed the pipe at descriptor 0: when the host's end closes, the kernel kills the process group. That holds as long as a
/// copy of the descriptor is open, so one is kept out of the reach of code that reads or closes its standard input.
///
/// # Errors
/// The host is gone already.
#[expect(unsafe_code, reason = "there is no safe `fcntl`, `dup2` and `prctl`")]
pub(crate) fn bind() -> Result<(), &'static str> {
    let host = std::env::var("SNAKEPIT_HOST_PID").ok();
    let Some(host) = host.and_then(|pid| pid.parse::<libc::pid_t>().ok()) else {
        // A host that starts workers in another way promises nothing.
        return Ok(());
    };
    if is_pipe(0) {
        // SAFETY: both calls take numbers and change nothing but a setting of this process.
        unsafe {
            // The second layer, only where the first is missing: it would kill this process alone and first, and with its last
            // descriptor of the pipe goes the signal to the rest of the group. All workers are started by a thread of the host
            // that never ends.
            if libc::fcntl(0, F_GETSIG) != libc::SIGKILL {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            }
        }
        keep_pipe();
        // SAFETY: it takes nothing and cannot fail.
        if unsafe { libc::getppid() } != host {
            return Err("the host is gone");
        }
    }
    Ok(())
}

/// Moves the pipe to a high descriptor that children do not get; code that reads its standard input finds it empty.
#[expect(unsafe_code, reason = "there is no safe `fcntl` and `dup2`")]
fn keep_pipe() {
    const NULL: &CStr = c"/dev/null";
    /// Above what programs use by number.
    const HIGH: libc::c_int = 100;
    // SAFETY: the path is a string with an end; the descriptors are our own. The copy is never closed, which is its purpose.
    unsafe {
        let copy = libc::fcntl(0, libc::F_DUPFD_CLOEXEC, HIGH);
        if copy < 0 {
            // Without a copy the descriptor stays where it is.
            return;
        }
        let null = libc::open(NULL.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if null >= 0 {
            libc::dup2(null, 0);
            libc::close(null);
        }
    }
}

/// Nobody reads the output any more. What is printed from now on goes nowhere, instead of failing.
#[expect(unsafe_code, reason = "there is no safe `dup2`")]
pub(crate) fn silence() {
    // SAFETY: the path is a string with an end; the standard descriptors are replaced by one of the same kind, and never closed.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if null >= 0 {
            libc::dup2(null, 1);
            libc::dup2(null, 2);
            libc::close(null);
        }
    }
}

#[expect(unsafe_code, reason = "there is no safe `fstat` of a bare descriptor")]
fn is_pipe(fd: libc::c_int) -> bool {
    // SAFETY: all zeros is a valid `stat`, and the pointer is to a place of its size.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &raw mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFIFO
    }
}
