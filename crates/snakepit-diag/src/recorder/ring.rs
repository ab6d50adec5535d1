//! One record of the ring: a call, packed into eight words.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::check::sum;
use super::layout::RECORD;

/// The content of a call's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Number of the call, 48 bits; never 0.
    pub(super) call: u64,
    /// Distance to the number of the call that makes this one; 0 if there is none, or if it is too
    /// far away.
    pub(super) caller: u16,
    /// Number of the call's last attempt, 48 bits.
    pub(super) attempt: u64,
    pub(super) outcome: u8,
    pub(super) attempts: u8,
    pub(super) slot: u16,
    pub(super) tool: u16,
    pub(super) worker: u16,
    /// Number in the error code; 0 without an error.
    pub(super) code: u16,
    /// Start: microseconds from the beginning of the recording, 48 bits.
    pub(super) begun: u64,
    /// Time of sending: microseconds from the start of the call.
    pub(super) sent: u32,
    /// Microseconds in the queue.
    pub(super) queued: u32,
    /// End: microseconds from the start of the call, 48 bits.
    pub(super) ended: u64,
    pub(super) bytes_in: u32,
    pub(super) bytes_out: u32,
    /// Deadline: milliseconds from the start of the call; 0 if it has none.
    pub(super) deadline: u32,
    pub(super) items: u32,
}

/// The largest number of 48 bits.
const LOW_48: u64 = (1 << 48) - 1;

impl Record {
    /// Writes the record. A concurrent reader sees that it is incomplete.
    pub(super) fn store(&self, words: &[AtomicU64]) {
        let packed = self.pack();
        words[0].store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in words[1..].iter().zip(&packed[1..]) {
            word.store(*value, Ordering::Relaxed);
        }
        words[0].store(packed[0], Ordering::Release);
    }

    /// Reads the record. `None` if there is none, or if it is being written.
    pub(super) fn load(words: &[AtomicU64]) -> Option<Self> {
        let call = words[0].load(Ordering::Acquire);
        let mut packed = [0; RECORD];
        for (value, word) in packed.iter_mut().zip(words) {
            *value = word.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let whole = call != 0 && words[0].load(Ordering::Relaxed) == call;
        packed[0] = call;
        whole.then(|| Self::unpack(&packed))
    }

    /// Returns true if the words have a call that has not ended.
    pub(super) fn runs(words: &[AtomicU64]) -> bool {
        let outcome = words[1].load(Ordering::Relaxed) & 0xff;
        outcome == 0 && words[0].load(Ordering::Relaxed) != 0
    }

    pub(super) fn pack(&self) -> [u64; RECORD] {
        let (outcome, attempts) = (u64::from(self.outcome), u64::from(self.attempts));
        let (slot, tool, worker) = (
            u64::from(self.slot),
            u64::from(self.tool),
            u64::from(self.worker),
        );
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let mut words = [
            self.call & LOW_48 | u64::from(self.caller) << 48,
            outcome | attempts << 8 | slot << 16 | tool << 32 | worker << 48,
            self.begun.min(LOW_48) | u64::from(self.code) << 48,
            pair(self.sent, self.queued),
            self.ended.min(LOW_48),
            self.attempt & LOW_48,
            pair(self.bytes_in, self.bytes_out),
            pair(self.deadline, self.items),
        ];
        let sum = u64::from(sum(words));
        words[4] |= sum << 48;
        words[5] |= sum >> 16 << 48;
        words
    }

    /// Reads words from a file. `None` if they are damaged.
    pub(super) fn read(words: &[u64; RECORD]) -> Option<Self> {
        let record = Self::unpack(words);
        (record.pack() == *words).then_some(record)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "each part is cut out of its word"
    )]
    pub(super) const fn unpack(words: &[u64; RECORD]) -> Self {
        let [call, parts, begun, waits, ended, attempt, bytes, rest] = *words;
        Self {
            call: call & LOW_48,
            caller: (call >> 48) as u16,
            attempt: attempt & LOW_48,
            outcome: parts as u8,
            attempts: (parts >> 8) as u8,
            slot: (parts >> 16) as u16,
            tool: (parts >> 32) as u16,
            worker: (parts >> 48) as u16,
            code: (begun >> 48) as u16,
            begun: begun & LOW_48,
            sent: waits as u32,
            queued: (waits >> 32) as u32,
            ended: ended & LOW_48,
            bytes_in: bytes as u32,
            bytes_out: (bytes >> 32) as u32,
            deadline: rest as u32,
            items: (rest >> 32) as u32,
        }
    }
}
