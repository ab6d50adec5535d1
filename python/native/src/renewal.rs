//! Whether the worker wants to be replaced, because an exception was raised in a tool where it may
//! have left an unknown state.

use std::sync::atomic::{AtomicBool, Ordering};

use snakepit_grpc::frame::FLAG_RENEW;

static WANTED: AtomicBool = AtomicBool::new(false);

/// Asks the host for a replacement: every answer from now on carries the flag, that of the
/// interrupted call first.
pub(crate) fn want() {
    WANTED.store(true, Ordering::SeqCst);
}

/// Returns the flag for the header of a frame.
pub(crate) fn flag() -> u8 {
    if WANTED.load(Ordering::SeqCst) {
        FLAG_RENEW
    } else {
        0
    }
}
