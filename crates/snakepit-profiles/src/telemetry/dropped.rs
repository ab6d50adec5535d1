//! Counts of one worker's dropped records by reason, until they are reported.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

use snakepit_grpc::records::Missing;

/// The reason for which a record was dropped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    /// The worker's queue was full.
    WorkerQueueFull,
    /// The record is longer than allowed.
    TooLarge,
    /// The host's queue was full.
    HostQueueFull,
    /// The bytes are not a record.
    Malformed,
    /// The recorder, or a subscriber, panicked at a record of the frame.
    RecorderFailed,
    /// The thread that reads frames has ended.
    ReaderGone,
}

/// Names of the reasons in events and metrics, in their order.
const WORDS: [&str; 6] = [
    "worker_queue_full",
    "too_large",
    "host_queue_full",
    "malformed",
    "recorder_failed",
    "reader_gone",
];

/// Number of records by reason.
#[derive(Debug, Default)]
pub(super) struct Dropped([AtomicU64; WORDS.len()]);

impl Dropped {
    /// Adds records to a count.
    pub(super) fn add(&self, reason: Reason, records: u64) {
        if records > 0 {
            let add = |dropped: u64| Some(dropped.saturating_add(records));
            // The closure never fails.
            let _ = self.0[reason as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    /// Adds the records that a frame reports as missing, or that are malformed.
    pub(super) fn missing(&self, missing: Missing) {
        self.add(Reason::WorkerQueueFull, missing.queue_full);
        self.add(Reason::TooLarge, missing.too_large);
        self.add(Reason::Malformed, missing.malformed);
    }

    /// Returns whether any count is not 0.
    pub(super) fn is_some(&self) -> bool {
        self.0.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Returns the counts that are not 0, and resets them.
    pub(super) fn take(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts: [u64; WORDS.len()] = array::from_fn(|at| self.0[at].swap(0, Ordering::Relaxed));
        let all = WORDS.into_iter().zip(counts);
        all.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_word_and_is_told_once() {
        let dropped = Dropped::default();
        assert!(!dropped.is_some() && dropped.take().next().is_none());
        dropped.missing(Missing {
            queue_full: 2,
            too_large: 3,
            malformed: 5,
        });
        for (reason, records) in [
            (Reason::HostQueueFull, 7),
            (Reason::RecorderFailed, 11),
            (Reason::ReaderGone, u64::MAX),
            (Reason::ReaderGone, 1),
        ] {
            dropped.add(reason, records);
        }
        let told: Vec<_> = dropped.take().collect();
        let expected = WORDS.into_iter().zip([2, 3, 7, 5, 11, u64::MAX]);
        assert_eq!(told, expected.collect::<Vec<_>>());
        assert!(!dropped.is_some());
    }
}
