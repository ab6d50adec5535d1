//! The writer of recordings: each call when it is sent and when it ends, and each death.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use snakepit_core::call::{CallObserver, EndedCall, SentCall};
use snakepit_registry::SharedWords;
use tokio::time::Instant;

use super::check::sum;
use super::layout::{
    DEATH, DEATH_AT, DEATH_CALLS, DEATH_CAUSE, DEATH_EXIT, DEATH_EXIT_WORDS, DEATH_OUTPUT,
    DEATH_OUTPUT_WORDS, DEATH_SUM, DEATH_WORKER, DEATHS, FIRST_DEATH, FIRST_RECORD, HEADER_SUM,
    HOST_PID, MAGIC, NAME, NEXT_DEATH, POOL, RECORD, RECORDS, TOOLS, WALL_NS, WORDS, WORKERS,
    outcome,
};
use super::names::{self, Names};
use super::ring::Record;
use crate::{CallReport, Death};

/// Records of running calls that are skipped before one of them is overwritten.
const PASSED_OVER: usize = 8;

/// The recorder of one pool, or of the host tools.
pub(crate) struct Recorder {
    words: SharedWords,
    tools: Names,
    workers: Names,
    begun: Instant,
    /// Number of the next record.
    next: AtomicUsize,
}

impl Recorder {
    /// Size of its file in words.
    pub(crate) const WORDS: usize = WORDS;

    /// Begins a recording; `words` are all zero.
    pub(crate) fn new(words: SharedWords, pool: &str) -> Self {
        let (tools, workers) = (Names::new(TOOLS), Names::new(WORKERS));
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let wall = u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(0);
        words[WALL_NS].store(wall, Ordering::Relaxed);
        let pid = u64::from(std::process::id());
        words[HOST_PID].store(pid, Ordering::Relaxed);
        words[HEADER_SUM].store(u64::from(sum([wall, pid])), Ordering::Relaxed);
        names::write(&words[POOL..POOL + NAME], pool);
        words[0].store(MAGIC, Ordering::Release);
        Self {
            words,
            tools,
            workers,
            begun: Instant::now(),
            next: AtomicUsize::new(0),
        }
    }

    fn record(&self, index: usize) -> &[AtomicU64] {
        let first = FIRST_RECORD + index * RECORD;
        &self.words[first..first + RECORD]
    }

    /// Returns the index for the next record. Records of running calls are kept unless
    /// [`PASSED_OVER`] of them follow each other.
    fn place(&self) -> usize {
        let mut index = 0;
        for _ in 0..PASSED_OVER {
            index = self.next.fetch_add(1, Ordering::Relaxed) % RECORDS;
            if !Record::runs(self.record(index)) {
                break;
            }
        }
        index
    }

    fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.begun))
    }

    fn new_record(&self, call: u64, tool: &str, begun: Instant, items: u64) -> Record {
        Record {
            call,
            attempt: call,
            tool: small(self.tools.number(&self.words, tool).into()),
            begun: self.micros(begun),
            items: small(items),
            ..Record::default()
        }
    }

    /// Records the death of a worker and its last output.
    pub(crate) fn died(&self, death: &Death, output: &str) {
        let number = self.words[NEXT_DEATH].fetch_add(1, Ordering::Relaxed);
        let first = FIRST_DEATH + number as usize % DEATHS * DEATH;
        let words = &self.words[first..first + DEATH];
        words[0].store(0, Ordering::Release);
        words[DEATH_AT].store(death.at.to_bits(), Ordering::Relaxed);
        words[DEATH_CALLS].store(death.calls, Ordering::Relaxed);
        names::write(&words[DEATH_WORKER..DEATH_WORKER + NAME], &death.worker);
        names::write(&words[DEATH_CAUSE..DEATH_CAUSE + NAME], &death.cause);
        names::write(
            &words[DEATH_EXIT..DEATH_EXIT + DEATH_EXIT_WORDS],
            &death.exit,
        );
        let mut first = output.len().saturating_sub((DEATH_OUTPUT_WORDS - 1) * 8);
        while !output.is_char_boundary(first) {
            first += 1;
        }
        let words_of_output = &words[DEATH_OUTPUT..DEATH_OUTPUT + DEATH_OUTPUT_WORDS];
        names::write(words_of_output, &output[first..]);
        let rest = words
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(at, _)| *at != DEATH_SUM);
        let rest = rest.map(|(_, word)| word.load(Ordering::Relaxed));
        let sum = sum(rest.chain([number + 1]));
        words[DEATH_SUM].store(u64::from(sum), Ordering::Relaxed);
        words[0].store(number + 1, Ordering::Release);
    }

    /// Returns the running calls, oldest first.
    pub(crate) fn running(&self, now: Instant) -> Vec<CallReport> {
        let now = self.micros(now);
        let records = (0..RECORDS).filter_map(|index| Record::load(self.record(index)));
        let mut running: Vec<Record> = records.filter(|record| record.outcome == 0).collect();
        running.sort_unstable_by_key(|record| record.begun + u64::from(record.sent));
        let seconds = |micros: u64| micros as f64 / 1e6;
        let report = |record: Record| CallReport {
            call: record.call,
            attempt: record.attempt,
            tool: self.tools.name(record.tool),
            worker: self.workers.name(record.worker),
            slot: record.slot,
            age_seconds: seconds(now.saturating_sub(record.begun + u64::from(record.sent))),
            queued_seconds: seconds(record.queued.into()),
            left_seconds: (record.deadline > 0).then(|| {
                let at = seconds(record.begun) + f64::from(record.deadline) / 1e3;
                at - seconds(now)
            }),
            items: record.items.into(),
            attempts: record.attempts.into(),
        };
        running.into_iter().map(report).collect()
    }
}

impl CallObserver for Recorder {
    fn sent(&self, call: &SentCall<'_>) -> u32 {
        let index = match call.mark {
            Some(index) => index as usize % RECORDS,
            None => self.place(),
        };
        // A retry reuses the record of the previous attempt unless that has been overwritten.
        let before = call.mark.and_then(|_| Record::load(self.record(index)));
        let before = before.filter(|record| record.call == call.call.0);
        let mut record = before
            .unwrap_or_else(|| self.new_record(call.call.0, call.tool, call.begun, call.items));
        record.attempt = call.attempt.0;
        record.attempts = record.attempts.saturating_add(1);
        record.worker = call.worker.map_or(0, |worker| {
            small(self.workers.number(&self.words, worker.as_str()).into())
        });
        let distance = call
            .caller
            .map_or(0, |caller| call.call.0.saturating_sub(caller.0));
        record.caller = u16::try_from(distance).unwrap_or(0);
        record.slot = call.slot.0;
        // A call that got its slot at once was made at that very time.
        if call.at != call.begun {
            record.sent = small(micros(call.at.saturating_duration_since(call.begun)));
        }
        record.queued = small(micros(call.queued));
        record.bytes_in = small(call.bytes);
        record.deadline = call.deadline.map_or(0, |deadline| {
            let time = deadline.saturating_duration_since(call.begun);
            small::<u32>(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).max(1)
        });
        record.store(self.record(index));
        small(index as u64)
    }

    fn ended(&self, call: &EndedCall<'_>) {
        let marked = call.mark.map(|index| index as usize % RECORDS);
        let own = marked.and_then(|index| {
            let record = Record::load(self.record(index))?;
            (record.call == call.call.0).then_some((index, record))
        });
        // The call was never sent, or its record has been overwritten.
        let (index, mut record) = own.unwrap_or_else(|| {
            let record = self.new_record(call.call.0, call.tool, call.begun, call.items);
            (self.place(), record)
        });
        record.outcome = small(outcome(call.outcome));
        record.code = call.code.map_or(0, code_number);
        record.attempts = small(call.attempts.into());
        record.queued = small(micros(call.queued));
        record.ended = micros(call.at.saturating_duration_since(call.begun));
        record.bytes_out = small(call.bytes);
        record.store(self.record(index));
    }
}

/// Returns the number in a code such as `SP4003`.
fn code_number(code: &str) -> u16 {
    code.trim_start_matches("SP").parse().unwrap_or(0)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Converts a number to a smaller type, saturating.
fn small<T: TryFrom<u64> + Bounded>(value: u64) -> T {
    T::try_from(value).unwrap_or(T::HIGHEST)
}

trait Bounded {
    const HIGHEST: Self;
}

macro_rules! bounded {
    ($($number:ty)*) => { $(impl Bounded for $number { const HIGHEST: Self = Self::MAX; })* };
}
bounded!(u8 u16 u32);

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.next.load(Ordering::Relaxed);
        f.debug_struct("Recorder")
            .field("next", &next)
            .finish_non_exhaustive()
    }
}
