//! The control thread's part: it checks the queue at short intervals while records come, and sleeps
//! otherwise.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{SINK, TICK, after};
use crate::link::reports::{Offered, Reports};
use crate::process::clock;

/// Checks without a record after which the pump sleeps.
const IDLE_TICKS: u32 = 20;

/// Largest number of frames that are sent at one check: requests of the host come first.
const FRAMES: usize = 4;

/// The schedule of checks of the queue.
#[derive(Debug, Default)]
pub(crate) struct Pump {
    next: Option<Instant>,
    idle: u32,
    blocked: bool,
}

impl Pump {
    /// Returns the time of the next check.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Returns whether frames wait for room in the socket.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Checks the queue if it is time. `heard` says that the wake-up was set, `room` that the
    /// socket has room.
    pub(crate) fn turn(&mut self, reports: &Reports, heard: bool, room: bool) {
        if self.blocked && !room {
            return;
        }
        if heard && self.next.is_none() {
            self.next = Some(after(TICK));
            self.idle = 0;
        }
        self.blocked = !reports.flush();
        if self.blocked || (!room && self.next.is_none_or(|next| next > clock::now())) {
            return;
        }
        self.look();
    }

    fn look(&mut self) {
        let Some(sink) = SINK.get() else {
            self.next = None;
            return;
        };
        for sent in 0..=FRAMES {
            if sent == FRAMES {
                self.next = Some(clock::now());
                return;
            }
            match sink.offer() {
                Offered::Sent => self.idle = 0,
                Offered::Full => {
                    (self.blocked, self.next) = (true, None);
                    return;
                }
                Offered::Nothing => {
                    self.idle += u32::from(sent == 0);
                    break;
                }
            }
        }
        self.next = Some(after(TICK));
        if self.idle >= IDLE_TICKS {
            sink.armed.store(false, Ordering::Release);
            // A record that was added at this moment has not set the wake-up.
            let came =
                sink.filled.load(Ordering::Relaxed) && !sink.armed.swap(true, Ordering::AcqRel);
            self.next = came.then(|| after(TICK));
            self.idle = 0;
        }
    }
}
