//! The control thread's part: it looks at the queue in short turns as long as records come, and
//! rests otherwise.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{SINK, TICK, after};
use crate::clock;
use crate::reports::{Offered, Reports};

/// Looks without a record after which it rests.
const IDLE_TICKS: u32 = 20;

/// Frames that are sent at a look: what the host asks comes first.
const FRAMES: usize = 4;

/// When to look at the queue, and whether to wait for room.
#[derive(Debug, Default)]
pub(crate) struct Pump {
    next: Option<Instant>,
    idle: u32,
    blocked: bool,
}

impl Pump {
    /// When to look again.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Returns whether there is something to send that the socket has no room for.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Time has passed, or the bell rang, or the socket has room.
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
            // A record that came at this moment has not rung.
            let came =
                sink.filled.load(Ordering::Relaxed) && !sink.armed.swap(true, Ordering::AcqRel);
            self.next = came.then(|| after(TICK));
            self.idle = 0;
        }
    }
}
