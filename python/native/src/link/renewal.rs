//! The worker's request to be replaced, because an exception that was raised in a tool may have
//! left an unknown state.

use std::sync::atomic::{AtomicBool, Ordering};

use snakepit_grpc::frame::FLAG_RENEW;

static WANTED: AtomicBool = AtomicBool::new(false);

/// Requests a replacement from the host: every answer from now on carries the flag, beginning with
/// that of the interrupted call.
pub(crate) fn want() {
    WANTED.store(true, Ordering::SeqCst);
}

/// Returns the flag for the header of a frame; 0 if no replacement is requested.
pub(crate) fn flag() -> u8 {
    if WANTED.load(Ordering::SeqCst) {
        FLAG_RENEW
    } else {
        0
    }
}
