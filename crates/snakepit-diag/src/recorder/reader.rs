//! The reader of recordings, usually of a dead host. It trusts nothing in the file.

use serde::Serialize;

use super::check::sum;
use super::layout::{
    CUT, DEATH, DEATH_AT, DEATH_CALLS, DEATH_CAUSE, DEATH_EXIT, DEATH_EXIT_WORDS, DEATH_OUTPUT,
    DEATH_OUTPUT_WORDS, DEATH_SUM, DEATH_WORKER, DEATHS, FIRST_DEATH, FIRST_RECORD, HEADER,
    HEADER_SUM, HOST_PID, MAGIC, NAME, NAMES, OUTCOMES, POOL, RECORD, RECORDS, TOOLS, WALL_NS,
    WORDS, WORKERS,
};
use super::names;
use super::ring::Record;
use crate::Death;

/// Replaces a damaged name.
const LOST: &str = "(damaged)";

/// The recording of one pool, or of the host tools.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recording {
    /// The pool's name; `host tools` of those.
    pub pool: String,
    /// Process id of the host.
    pub host_pid: u64,
    /// Time at which the recording began, in seconds since 1970.
    pub began: f64,
    /// Number of damaged entries, which are left out.
    pub damaged: usize,
    /// Bytes that are missing at the end of the file. What stood there is lost.
    pub missing_bytes: u64,
    /// The last calls, oldest first.
    pub calls: Vec<RecordedCall>,
    /// The last deaths of workers, oldest first.
    pub deaths: Vec<RecordedDeath>,
}

/// A call in a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedCall {
    /// Number of the call.
    pub call: u64,
    /// Number of the call that makes it: that of a host tool for a call of a pool, that of a
    /// worker's tool for a call of a host tool. `None` if there is none, or if it began more than
    /// 65,535 calls before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<u64>,
    /// Name of the tool; its first 56 bytes.
    pub tool: String,
    /// The worker that the call was last sent to; empty if it was never sent. Of a host tool, the
    /// worker that calls it.
    pub worker: String,
    /// Slot of the worker.
    pub slot: u16,
    /// Time at which the call was made, in seconds since 1970.
    pub at: f64,
    /// Outcome as one word, `running`, or `cut by the death of its host`.
    pub outcome: &'static str,
    /// Code of its error. `None` if it has none.
    pub code: Option<String>,
    /// Microseconds in the queue.
    pub queued_us: u32,
    /// Microseconds from the start of the call until it was sent to the worker.
    pub sent_us: u32,
    /// Microseconds from start to end. `None` if it has not ended.
    pub duration_us: Option<u64>,
    /// Number of times that it was sent.
    pub attempts: u8,
    /// Items of a batch; 1 for a call.
    pub items: u32,
    /// Bytes of the arguments.
    pub bytes_in: u32,
    /// Bytes of its result; 0 for streams, batches and failures.
    pub bytes_out: u32,
}

/// The death of a worker in a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedDeath {
    /// Worker, time, exit and cause.
    #[serde(flatten)]
    pub death: Death,
    /// The last output of the worker, at most 632 bytes.
    pub output: String,
}

impl Recording {
    /// Size of a file in bytes.
    pub const BYTES: u64 = (WORDS * 8) as u64;

    /// Reads the bytes of a file. `None` if they are no recording, have another format, or have a
    /// damaged header. Other damaged entries are left out and counted; of a file that was cut off,
    /// what is there is read.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::of(&words(bytes)?, missing(bytes)))
    }

    /// Reads a file that is being written, from two copies: an entry that changed between the
    /// copies is incomplete, not damaged.
    pub(crate) fn read_written(before: &[u8], after: &[u8]) -> Option<Self> {
        let missing = missing(after);
        let (before, mut after) = (words(before)?, words(after)?);
        for (first, length) in entries() {
            let entry = first..first + length;
            if before[entry.clone()] != after[entry.clone()]
                && !is_whole(first, &after[entry.clone()])
            {
                after[entry].fill(0);
            }
        }
        Some(Self::of(&after, missing))
    }

    /// Changes the outcome of calls that have not ended: their host is dead.
    pub(crate) fn cut(&mut self) {
        for call in &mut self.calls {
            if call.duration_us.is_none() {
                call.outcome = CUT;
            }
        }
    }

    fn of(words: &[u64], missing_bytes: u64) -> Self {
        let began = words[WALL_NS] as f64 / 1e9;
        let text = |first: usize| names::read(&words[first..first + NAME]);
        let name = |first: usize, number: u16| match usize::from(number) {
            number @ 1..NAMES => text(first + number * NAME).unwrap_or_else(|| LOST.to_owned()),
            _ => String::new(),
        };
        let damaged =
            entries().filter(|(first, length)| !is_whole(*first, &words[*first..first + length]));
        let mut records: Vec<Record> = records(words).collect();
        records.sort_unstable_by_key(|record| (record.begun, record.call));
        let call = |record: Record| RecordedCall {
            call: record.call,
            caller: match record.caller {
                0 => None,
                distance => record.call.checked_sub(distance.into()),
            },
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
        Self {
            pool: text(POOL).unwrap_or_else(|| LOST.to_owned()),
            host_pid: words[HOST_PID],
            began,
            damaged: damaged.count(),
            missing_bytes,
            calls: records.into_iter().map(call).collect(),
            deaths: deaths(words),
        }
    }
}

/// Returns the words of a file; those that are missing at its end are 0. `None` if the file is too
/// large, or its header is missing or wrong.
fn words(bytes: &[u8]) -> Option<Vec<u64>> {
    if !(HEADER * 8..=WORDS * 8).contains(&bytes.len()) {
        return None;
    }
    let chunks = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    });
    let mut words: Vec<u64> = chunks.collect();
    words.resize(WORDS, 0);
    let ours =
        words[0] == MAGIC && words[HEADER_SUM] == u64::from(sum([words[WALL_NS], words[HOST_PID]]));
    ours.then_some(words)
}

/// Returns the number of bytes that are missing at the end of a file.
const fn missing(bytes: &[u8]) -> u64 {
    Recording::BYTES.saturating_sub(bytes.len() as u64)
}

/// Returns the offset and the length of each entry: the pool, names, deaths and calls.
fn entries() -> impl Iterator<Item = (usize, usize)> {
    let table = |first: usize, count: usize, length: usize| {
        (0..count).map(move |index| (first + index * length, length))
    };
    table(POOL, 1, NAME)
        .chain(table(TOOLS, 2 * NAMES, NAME))
        .chain(table(FIRST_DEATH, DEATHS, DEATH))
        .chain(table(FIRST_RECORD, RECORDS, RECORD))
}

/// Returns true if the entry at this offset is empty or not damaged.
fn is_whole(first: usize, entry: &[u64]) -> bool {
    match first {
        _ if entry[0] == 0 => true,
        FIRST_RECORD.. => entry
            .try_into()
            .is_ok_and(|entry| Record::read(entry).is_some()),
        FIRST_DEATH.. => death_is_whole(entry),
        _ => names::read(entry).is_some(),
    }
}

fn death_is_whole(death: &[u64]) -> bool {
    let rest = death
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(at, _)| *at != DEATH_SUM);
    let sum = sum(rest.map(|(_, word)| *word).chain([death[0]]));
    death[DEATH_SUM] == u64::from(sum)
}

/// Returns the records that are whole.
fn records(words: &[u64]) -> impl Iterator<Item = Record> + '_ {
    let records = words[FIRST_RECORD..].chunks_exact(RECORD).take(RECORDS);
    records
        .filter(|record| record[0] != 0)
        .filter_map(|record| {
            let record = record.try_into().expect("it has as many words");
            Record::read(record)
        })
}

fn deaths(words: &[u64]) -> Vec<RecordedDeath> {
    let deaths = words[FIRST_DEATH..].chunks_exact(DEATH).take(DEATHS);
    let mut deaths: Vec<_> = deaths
        .filter(|death| death[0] != 0 && death_is_whole(death))
        .collect();
    deaths.sort_unstable_by_key(|death| death[0]);
    let text = |words: &[u64], first: usize, length: usize| {
        names::read(&words[first..first + length]).unwrap_or_else(|| LOST.to_owned())
    };
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
