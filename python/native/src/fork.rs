//! A child that user code forked must never speak on the link: its frames would answer for the worker.
#![expect(unsafe_code, reason = "pthread_atfork and _exit")]

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

static IN_CHILD: AtomicBool = AtomicBool::new(false);

extern "C" fn mark() {
    IN_CHILD.store(true, Ordering::Relaxed);
}

/// From now on children know what they are. Asking for the process id before each frame would cost a system call.
pub(crate) fn watch() -> io::Result<()> {
    // SAFETY: `mark` only stores to an atomic, which is allowed in the child of a process with several threads.
    match unsafe { libc::pthread_atfork(None, None, Some(mark)) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Whether this is a child that user code forked.
pub(crate) fn in_child() -> bool {
    IN_CHILD.load(Ordering::Relaxed)
}

/// Ends the process when it is a forked child whose code has returned into the runtime.
pub(crate) fn end_child() {
    if !in_child() {
        return;
    }
    let text = "a forked child returned from a tool: end it with os._exit()\n";
    let _ = io::stderr().write_all(text.as_bytes());
    // SAFETY: `_exit` takes no pointers. Destructors and exit handlers belong to the parent.
    unsafe { libc::_exit(1) }
}
