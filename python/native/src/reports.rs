//! What the worker tells its host on the control connection.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prost::Message as _;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::ladder::Step;
use crate::{fork, socket};

/// Bytes that may lie unread in the control connection before a long frame: with them it still fits into the kernel's buffer.
const UNREAD: usize = 16 << 10;

/// Bytes of the name of an adapter that are told.
const MAX_NAME: usize = 200;

/// The writing side of the control connection, for all threads.
#[derive(Debug)]
pub(crate) struct Reports {
    control: Mutex<OwnedFd>,
}

impl Reports {
    pub(crate) fn new(control: OwnedFd) -> Self {
        Self {
            control: Mutex::new(control),
        }
    }

    /// What stopped a call that was cancelled, and how long that took.
    pub(crate) fn stopped(&self, call: u64, (step, after): (Step, Duration)) {
        let head = pb::Stopped {
            step: step as u32,
            after_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX),
        };
        let head = head.encode_to_vec();
        let mut header = Header::new(Kind::Stopped, call);
        header.head_len = u32::try_from(head.len()).expect("two numbers are short");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// The host has taken a call back, or could not any more.
    pub(crate) fn recalled(&self, call: u64, back: bool) {
        let head = pb::Recalled { back }.encode_to_vec();
        let mut header = Header::new(Kind::Recalled, call);
        header.head_len = u32::try_from(head.len()).expect("one bit is short");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// An adapter begins to clean up; with an empty name all have ended.
    pub(crate) fn cleaning(&self, adapter: &str) {
        let end = (0..=adapter.len().min(MAX_NAME)).rev();
        let end = end.into_iter().find(|end| adapter.is_char_boundary(*end));
        let head = pb::Cleaning {
            adapter: adapter[..end.unwrap_or(0)].to_owned(),
        };
        let head = head.encode_to_vec();
        let mut header = Header::new(Kind::Cleaning, 0);
        header.head_len = u32::try_from(head.len()).expect("the name is bounded");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// Sends a short frame. It does not wait: a host that does not read loses it, as a whole, for the kernel takes such a frame in one
    /// piece or not at all.
    pub(crate) fn send(&self, frame: &[u8]) {
        if fork::in_child() {
            return;
        }
        // The lock keeps frames of two threads apart.
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection that ended is noticed by its reader.
        let _ = socket::write(&control, [frame, &[]], false);
    }

    /// Sends a frame of up to 64 KiB. That fits at once as long as the host reads; a host that does not loses it.
    pub(crate) fn send_long(&self, frame: &[u8]) {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if socket::unread(&control).is_ok_and(|bytes| bytes <= UNREAD) {
            // A connection that ended is noticed by its reader.
            let _ = socket::write_all(&control, [frame, &[]]);
        }
    }
}
