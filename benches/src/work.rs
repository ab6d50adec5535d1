//! The pure work that is measured by both the driver and the criterion benches.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use serde_json::{Value as Json, json};
use snakepit::{Payload, Value};
use snakepit_core::testing::{Acquire, Grant, Scheduler};
use tokio::time::Instant;

/// Names of the values with which the codecs are measured; the same as in `peers/value_codec.py`.
pub const VALUES: [&str; 5] = [
    "32 bytes of text",
    "small map",
    "1000 integers",
    "1000 floats",
    "100 records",
];

/// Returns the value with this name.
///
/// # Panics
/// If the name is not in [`VALUES`].
pub fn value(name: &str) -> Json {
    let record = |index: usize| json!({"id": index, "name": format!("record {index}")});
    match name {
        "32 bytes of text" => json!("x".repeat(32)),
        "small map" => {
            json!({"name": "mean", "values": [1.0, 2.5, 3.0], "flags": {"deep": true}, "n": 7})
        }
        "1000 integers" => (0..1000).collect(),
        "1000 floats" => (0..1000).map(|index| f64::from(index) / 7.0).collect(),
        "100 records" => (0..100).map(record).collect(),
        _ => panic!("no value is named {name}"),
    }
}

/// Encodes the value like the arguments of a call.
///
/// # Panics
/// Never for the values of this module.
pub fn encode(value: &Json) -> Payload {
    Payload::encode(value).expect("these values nest little")
}

/// Decodes the output of [`encode`] into the type that holds every value.
///
/// # Panics
/// If the payload does not come from [`encode`].
pub fn decode(payload: &Payload) -> Value {
    payload.decode().expect("the payload was just encoded")
}

/// Numbers of workers and of waiting calls with which the scheduler is measured; its cost should be
/// constant over both.
pub const CROWDS: [(usize, usize); 7] = [
    (1, 0),
    (8, 0),
    (64, 0),
    (512, 0),
    (512, 1_000),
    (512, 100_000),
    (1, 100_000),
];

/// Time for which every call held its slot.
const HELD: Duration = Duration::from_millis(1);

/// A scheduler in the middle of its work: half its slots taken, or all taken and calls waiting.
#[derive(Debug)]
pub struct Crowd {
    scheduler: Scheduler<()>,
    taken: VecDeque<Grant>,
}

impl Crowd {
    /// Creates workers of one slot each, and waiting calls; with waiting calls, every slot is
    /// taken.
    pub fn new(workers: usize, waiting: usize) -> Self {
        let mut scheduler = Scheduler::new(waiting + 1);
        for _ in 0..workers {
            scheduler.add(1);
        }
        let take = if waiting == 0 {
            workers / 2
        } else {
            workers + waiting
        };
        let mut taken = VecDeque::new();
        for _ in 0..take {
            if let Acquire::Granted(grant) = scheduler.acquire(None, || ()) {
                taken.push_back(grant);
            }
        }
        Self { scheduler, taken }
    }

    /// Adds one call and ends the oldest running one, so that the crowd stays the same.
    ///
    /// # Panics
    /// If the scheduler loses a slot, which would be its bug.
    pub fn turn(&mut self) {
        if let Acquire::Granted(grant) = self.scheduler.acquire(None, || ()) {
            self.taken.push_back(grant);
        }
        let oldest = self.taken.pop_front().expect("a slot was taken");
        if let Some(((), grant)) = self.scheduler.release(oldest, Some(HELD)).wake {
            self.taken.push_back(grant);
        }
    }

    /// Number of waiting calls.
    pub fn waiting(&self) -> usize {
        self.scheduler.queued()
    }
}

/// Measures the nanoseconds of one call of `work`, as the mean over about `duration`.
pub fn nanoseconds<T>(duration: Duration, mut work: impl FnMut() -> T) -> f64 {
    // The clock is read once for each batch, so that its cost is negligible beside work of some
    // nanoseconds.
    const BATCH: u32 = 100;
    let begin = Instant::now();
    let mut batches = 0_u32;
    while begin.elapsed() < duration {
        for _ in 0..BATCH {
            black_box(work());
        }
        batches += 1;
    }
    begin.elapsed().as_nanos() as f64 / (f64::from(batches) * f64::from(BATCH))
}

#[cfg(test)]
mod tests {
    use super::{CROWDS, Crowd, VALUES, decode, encode, nanoseconds, value};

    #[test]
    fn every_value_survives_the_codec() {
        for name in VALUES {
            let payload = encode(&value(name));
            let again = snakepit::Payload::encode(&decode(&payload)).unwrap();
            assert_eq!(again, payload, "{name}");
        }
    }

    #[test]
    fn a_crowd_keeps_its_size() {
        for (workers, waiting) in CROWDS {
            let mut crowd = Crowd::new(workers, waiting);
            (0..2000).for_each(|_| crowd.turn());
            assert_eq!(crowd.waiting(), waiting);
            assert_eq!(
                crowd.taken.len(),
                if waiting == 0 { workers / 2 } else { workers }
            );
        }
    }

    #[test]
    fn times_are_positive() {
        assert!(nanoseconds(std::time::Duration::from_millis(2), || 1 + 1) > 0.0);
    }
}
