//! Processes that user code forks: a copy never speaks for its worker, whatever code it returns
//! into.
//!
//! The kernel gives the copy the connections of the worker. Three layers keep it silent: an
//! `atfork` handler replaces its connections by dead ones before user code goes on, the runtime
//! ends the copy as soon as the tool's code has returned, and an event loop ends it before another
//! task gets its turn (`snakepit_bridge/_serve/aio.py`).
#![expect(unsafe_code, reason = "pthread_atfork, dup2 and _exit")]

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, IntoRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use pyo3::prelude::*;

/// Largest number of connections of a worker: two for each slot, and two for the control
/// connection.
const MAX_CONNECTIONS: usize = 2 * (256 + 1);

static IN_CHILD: AtomicBool = AtomicBool::new(false);

/// A connection whose other end is closed; -1 before [`watch`].
static DEAD: AtomicI32 = AtomicI32::new(-1);

static CONNECTIONS: [AtomicI32; MAX_CONNECTIONS] = [const { AtomicI32::new(-1) }; MAX_CONNECTIONS];
static COUNT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn mute() {
    IN_CHILD.store(true, Ordering::Relaxed);
    let dead = DEAD.load(Ordering::Relaxed);
    let count = COUNT.load(Ordering::Relaxed).min(MAX_CONNECTIONS);
    for connection in &CONNECTIONS[..count] {
        // SAFETY: `dup3` takes numbers, and is allowed in the child of a process with several
        // threads. The descriptors stay open, so that their numbers are not reused for other files.
        unsafe { libc::dup3(dead, connection.load(Ordering::Relaxed), libc::O_CLOEXEC) };
    }
}

/// Installs the `atfork` handler, which marks forked copies and disconnects them.
pub(crate) fn watch() -> io::Result<()> {
    let (dead, _closed) = UnixStream::pair()?;
    DEAD.store(dead.into_raw_fd(), Ordering::Relaxed);
    // SAFETY: `mute` uses atomics and system calls, which is allowed in the child of a process with
    // several threads.
    match unsafe { libc::pthread_atfork(None, None, Some(mute)) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Registers a connection that lives as long as the process; forked copies lose it.
pub(crate) fn keep_from_copies(connection: &impl AsRawFd) {
    let fd: RawFd = connection.as_raw_fd();
    let at = COUNT.load(Ordering::Relaxed);
    if let Some(place) = CONNECTIONS.get(at) {
        place.store(fd, Ordering::Relaxed);
        COUNT.store(at + 1, Ordering::Relaxed);
    }
}

/// Returns whether this is a forked copy of the worker.
pub(crate) fn in_child() -> bool {
    IN_CHILD.load(Ordering::Relaxed)
}

/// Ends the process if it is a forked copy whose code has returned into the runtime.
#[inline]
pub(crate) fn end_child() {
    if in_child() {
        leave();
    }
}

/// Ends a forked copy of the worker, with a message. Does nothing in the worker itself.
#[pyfunction]
#[pyo3(name = "_end_copy")]
pub(crate) fn end_copy() {
    end_child();
}

#[cold]
fn leave() -> ! {
    let text = "a forked child returned from a tool: end it with os._exit()\n";
    let _ = io::stderr().write_all(text.as_bytes());
    // SAFETY: `_exit` takes no pointers. Destructors and exit handlers belong to the parent.
    unsafe { libc::_exit(1) }
}
