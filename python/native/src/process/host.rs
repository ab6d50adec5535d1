//! The ties of the process to its host, besides the connections.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::socket;

/// Linux's `F_GETSIG`, which libc does not define for every target.
const F_GETSIG: libc::c_int = 11;

/// Makes sure that this process dies with its host. Called once, before user code runs.
///
/// The host has armed the pipe at descriptor 0: when the host's end closes, the kernel kills the
/// process group. That holds as long as a copy of the descriptor is open. So one is kept where code
/// that reads or closes its standard input does not reach it.
///
/// The process of the host is watched as well: a forked copy of it may hold the host's ends of the
/// connections.
///
/// # Errors
/// The host is gone already.
#[expect(
    unsafe_code,
    reason = "there is no safe `fcntl`, `dup2`, `prctl` and `pidfd_open`"
)]
pub(crate) fn bind() -> Result<(), &'static str> {
    let host = std::env::var(snakepit_grpc::worker_env::HOST_PID).ok();
    let Some(host) = host.and_then(|pid| pid.parse::<libc::pid_t>().ok()) else {
        // A host that starts workers in another way promises nothing.
        return Ok(());
    };
    // The descriptor is opened before the process id is compared: from then on it refers to the
    // parent of this process or to no process. SAFETY: the call takes two numbers and creates a
    // descriptor that nothing else owns.
    let held = unsafe { libc::syscall(libc::SYS_pidfd_open, host, 0) };
    let held = libc::c_int::try_from(held).ok().filter(|&fd| fd >= 0);
    // SAFETY: the kernel has just created it.
    let held = held.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: it takes no arguments and cannot fail.
    let parent = unsafe { libc::getppid() };
    if parent == host {
        // Without the descriptor (Linux before 5.3), only the end of the connections shows that the
        // host is gone.
        HOST.get_or_init(|| held);
    }
    if is_pipe(0) {
        // SAFETY: both calls take numbers and change nothing but a setting of this process.
        unsafe {
            // The second layer, only where the first is missing: it would kill this process first
            // and alone, and with its last descriptor of the pipe the signal to the rest of the
            // group is lost. All workers are started by a thread of the host that never ends.
            if libc::fcntl(0, F_GETSIG) != libc::SIGKILL {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            } else {
                // Continues a process that is stopped, so that its own thread can notice the end of
                // the host where the kernel's signal does not come: a copy of the host holds the
                // other end of the pipe.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGCONT);
            }
        }
        keep_pipe();
        if parent != host {
            return Err("the host is gone");
        }
    }
    Ok(())
}

/// A descriptor of the host's process; readable once it has ended, whoever holds its connections.
static HOST: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// A connection that ends with the process of the host.
#[derive(Debug)]
pub(crate) struct Tied<'a>(pub(crate) &'a UnixStream);

/// The events that the control thread has waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The connection is readable.
    pub(crate) input: bool,
    /// The connection is writable.
    pub(crate) room: bool,
    /// The wake-up was set.
    pub(crate) wake: bool,
}

impl Tied<'_> {
    /// Waits until the connection is readable. Returns `false` after `patience`, or when a signal
    /// arrives.
    ///
    /// # Errors
    /// The host has ended, or the system call fails.
    pub(crate) fn readable(&self, patience: Option<Duration>) -> io::Result<bool> {
        self.wait(patience, None, false).map(|ready| ready.input)
    }

    /// Waits until the connection is readable, the wake-up is set or, with `room`, the connection
    /// is writable.
    ///
    /// # Errors
    /// The host has ended, or the system call fails.
    pub(crate) fn wait(
        &self,
        patience: Option<Duration>,
        wake: Option<RawFd>,
        room: bool,
    ) -> io::Result<Ready> {
        let host = HOST.get().and_then(Option::as_ref);
        let host = host.map_or(-1, |host| host.as_raw_fd());
        let events = libc::POLLIN | if room { libc::POLLOUT } else { 0 };
        let watched = [
            socket::watch(self.0.as_raw_fd(), events),
            socket::watch(host, libc::POLLIN),
            socket::watch(wake.unwrap_or(-1), libc::POLLIN),
        ];
        let [connection, gone, wake] = socket::any(watched, patience)?;
        if gone != 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Ready {
            input: connection & !libc::POLLOUT != 0,
            room: connection & libc::POLLOUT != 0,
            wake: wake != 0,
        })
    }
}

impl io::Read for Tied<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.readable(None)? {}
        self.0.read(buffer)
    }
}

/// Moves the pipe to a high descriptor that children do not inherit. Code that reads the standard
/// input finds it empty.
#[expect(unsafe_code, reason = "there is no safe `fcntl` and `dup2`")]
fn keep_pipe() {
    const NULL: &CStr = c"/dev/null";
    /// A number above those that programs use.
    const HIGH: libc::c_int = 100;
    // SAFETY: the path is a C string; the descriptors are our own. The copy is never closed, which
    // is its purpose.
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

/// Redirects the output to `/dev/null`, since nothing reads it any more: writes are dropped instead
/// of failing.
#[expect(unsafe_code, reason = "there is no safe `dup2`")]
pub(crate) fn silence() {
    // SAFETY: the path is a C string; the standard descriptors are replaced by one of the same
    // kind, and never closed.
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
    // SAFETY: all zeros is a valid `stat`, and the pointer refers to memory of its size.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &raw mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFIFO
    }
}
