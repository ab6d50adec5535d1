//! What a recording says: of a host that is dead as a rule. Nothing in the file is trusted.

use serde::Serialize;

use super::layout::{
    DEATH, DEATH_AT, DEATH_CALLS, DEATH_CAUSE, DEATH_EXIT, DEATH_EXIT_WORDS, DEATH_OUTPUT,
    DEATH_OUTPUT_WORDS, DEATH_WORKER, DEATHS, FIRST_DEATH, FIRST_RECORD, HOST_PID, MAGIC, NAME,
    NAMES, OUTCOMES, POOL, RECORD, RECORDS, TOOLS, WALL_NS, WORDS, WORKERS,
};
use super::names;
use super::ring::Record;
use crate::Death;

/// The recording of one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recording {
    /// Pool.
    pub pool: String,
    /// Process id of the host.
    pub host_pid: u64,
    /// When it began, in seconds since 1970.
    pub began: f64,
    /// The last calls, the oldest first.
    pub calls: Vec<RecordedCall>,
    /// The last deaths of workers, the oldest first.
    pub deaths: Vec<RecordedDeath>,
}

/// A call in a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedCall {
    /// Number of the call.
    pub call: u64,
    /// Tool; its first 56 bytes.
    pub tool: String,
    /// Worker that had it last; empty if none had it.
    pub worker: String,
    /// Slot of the worker.
    pub slot: u16,
    /// When it was made, in seconds since 1970.
    pub at: f64,
    /// One word for its end, or `running`.
    pub outcome: &'static str,
    /// Code of its error.
    pub code: Option<String>,
    /// Microseconds in the queue.
    pub queued_us: u32,
    /// Microseconds from its beginning until it was sent to the worker.
    pub sent_us: u32,
    /// Microseconds that it took in all. `None` if it has not ended.
    pub duration_us: Option<u64>,
    /// Times that it was sent.
    pub attempts: u8,
    /// Items of a batch; 1 for a call.
    pub items: u32,
    /// Bytes of its arguments.
    pub bytes_in: u32,
    /// Bytes of its result; 0 for streams, batches and failures.
    pub bytes_out: u32,
}

/// The death of a worker in a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedDeath {
    /// Its facts.
    #[serde(flatten)]
    pub death: Death,
    /// The last that the worker wrote, at most 632 bytes.
    pub output: String,
}

impl Recording {
    /// Bytes of a file.
    pub const BYTES: u64 = (WORDS * 8) as u64;

    /// Reads the bytes of a file. `None` if they are none of a recording, or of another format.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|chunk| u64::from_ne_bytes(chunk.try_into().expect("it has eight bytes")))
            .collect();
        if words.len() != WORDS || words[0] != MAGIC {
            return None;
        }
        let began = words[WALL_NS] as f64 / 1e9;
        let name = |first: usize, number: u16| match usize::from(number) {
            number @ 1..NAMES => {
                let at = first + number * NAME;
                names::read(&words[at..at + NAME])
            }
            _ => String::new(),
        };
        let mut records: Vec<Record> = records(&words).collect();
        records.sort_unstable_by_key(|record| (record.begun, record.call));
        let call = |record: Record| RecordedCall {
            call: record.call,
            tool: name(TOOLS, record.tool),
            worker: name(WORKERS, record.worker),
            slot: record.slot,
            at: began + record.begun as f64 / 1e6,
            outcome: OUTCOMES[usize::from(record.outcome).min(OUTCOMES.len() - 1)],
            code: (record.code > 0).then(|| format!("SP{:04}", record.code)),
            queued_us: record.queued,
            sent_us: record.sent,
            duration_us: (record.outcome > 0).then_some(record.ended),
            attempts: record.attempts,
            items: record.items,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
        };
        Some(Self {
            pool: names::read(&words[POOL..POOL + NAME]),
            host_pid: words[HOST_PID],
            began,
            calls: records.into_iter().map(call).collect(),
            deaths: deaths(&words),
        })
    }
}

/// The records that are whole.
fn records(words: &[u64]) -> impl Iterator<Item = Record> + '_ {
    let records = words[FIRST_RECORD..].chunks_exact(RECORD).take(RECORDS);
    records.filter(|record| record[0] != 0).map(|record| {
        let record = record.try_into().expect("it has as many words");
        Record::unpack(record)
    })
}

fn deaths(words: &[u64]) -> Vec<RecordedDeath> {
    let deaths = words[FIRST_DEATH..].chunks_exact(DEATH).take(DEATHS);
    let mut deaths: Vec<_> = deaths.filter(|death| death[0] != 0).collect();
    deaths.sort_unstable_by_key(|death| death[0]);
    let text =
        |words: &[u64], first: usize, length: usize| names::read(&words[first..first + length]);
    let read = |death: &[u64]| RecordedDeath {
        death: Death {
            worker: text(death, DEATH_WORKER, NAME),
            at: Some(f64::from_bits(death[DEATH_AT]))
                .filter(|at| at.is_finite())
                .unwrap_or(0.0),
            exit: text(death, DEATH_EXIT, DEATH_EXIT_WORDS),
            cause: text(death, DEATH_CAUSE, NAME),
            calls: death[DEATH_CALLS],
        },
        output: text(death, DEATH_OUTPUT, DEATH_OUTPUT_WORDS),
    };
    deaths.into_iter().map(read).collect()
}
