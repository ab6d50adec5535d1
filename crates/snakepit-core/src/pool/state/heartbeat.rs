//! The heartbeat record of one worker: kept with it, updated by answers, read by the policy.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::id::CallId;
use crate::policy::liveness::Evidence;
use crate::pool::config::HeartbeatConfig;
use crate::worker::Pulse;

/// CPU time attributed to the worker's own housekeeping.
const HOUSEKEEPING: Duration = Duration::from_millis(20);

/// Inverse of the share of a core below which a worker counts as resting.
const SHARE: u32 = 100;

/// Signs of life of one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeartbeatStatus {
    /// State that follows from them.
    pub state: HeartbeatState,
    /// Number of missed answers in a row.
    pub misses: u32,
    /// Seconds since the last answer. `None` before the first one.
    pub age_seconds: Option<f64>,
    /// Seconds for which the interpreter had not responded at the last answer. `None` if it
    /// responded.
    pub held_seconds: Option<f64>,
    /// Seconds for which its calls have used no CPU time. `None` if they use some, if there are
    /// none, or if it is unknown.
    pub flat_seconds: Option<f64>,
}

/// The state of a worker by its signs of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeartbeatState {
    /// The worker answers.
    #[default]
    Ok,
    /// The worker has a call and does not respond, or its interpreter does not: it gets no further
    /// calls.
    Quiet,
    /// The worker has a call that uses no CPU time.
    Stalled,
    /// The worker was given up, and is being killed.
    Unresponsive,
}

/// One heartbeat of a worker, and its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartbeatAnswer {
    pub(crate) asked: Instant,
    pub(crate) pulse: Option<Pulse>,
    /// CPU time of the worker at the request. `None` if it had no call, or it is unknown.
    pub(crate) cpu: Option<Duration>,
}

/// The change caused by an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatChange {
    None,
    /// This many answers in a row are missing now.
    Missed(u32),
    /// The worker answers again after this many missing answers.
    Recovered(u32),
}

/// The record of one worker.
#[derive(Clone, Debug)]
pub(crate) struct HeartbeatRecord {
    /// Time before which no heartbeat is sent.
    begins: Option<Instant>,
    under_way: u32,
    misses: u32,
    answered: Option<Instant>,
    held: Duration,
    rest: Option<IdlePeriod>,
    /// Calls that were given up and whose tools still run, the oldest first.
    overdue: Vec<(CallId, Instant)>,
    pub(crate) state: HeartbeatState,
}

/// A period in which hardly any CPU time was used.
#[derive(Clone, Copy, Debug)]
struct IdlePeriod {
    since: Instant,
    /// CPU time when the period began.
    cpu: Duration,
    /// Number of calls that had ended by then.
    calls: u64,
    /// Time of the last reading.
    until: Instant,
}

impl HeartbeatRecord {
    pub(crate) fn new(config: &HeartbeatConfig, ready: Instant) -> Self {
        Self {
            begins: ready.checked_add(config.initial_delay),
            under_way: 0,
            misses: 0,
            answered: None,
            held: Duration::ZERO,
            rest: None,
            overdue: Vec::new(),
            state: HeartbeatState::Ok,
        }
    }

    /// Returns true if a heartbeat is to be sent now, and counts it as open.
    pub(crate) fn open(&mut self, now: Instant, most: u32) -> bool {
        let due = self.begins.is_some_and(|begins| begins <= now)
            && self.under_way < most
            && self.state != HeartbeatState::Unresponsive;
        self.under_way += u32::from(due);
        due
    }

    /// Records an answer, or its absence. `calls` calls have ended so far.
    pub(crate) fn hear(
        &mut self,
        answer: &HeartbeatAnswer,
        now: Instant,
        calls: u64,
    ) -> HeartbeatChange {
        self.under_way = self.under_way.saturating_sub(1);
        self.look(answer, calls);
        if let Some(pulse) = answer.pulse {
            self.held = pulse.held.unwrap_or_default();
            self.answered = Some(now);
            return match std::mem::take(&mut self.misses) {
                0 => HeartbeatChange::None,
                misses => HeartbeatChange::Recovered(misses),
            };
        }
        // The worker has answered a later heartbeat in the meantime.
        if self.answered.is_some_and(|at| at >= answer.asked) {
            return HeartbeatChange::None;
        }
        self.misses += 1;
        HeartbeatChange::Missed(self.misses)
    }

    fn look(&mut self, answer: &HeartbeatAnswer, calls: u64) {
        let Some(cpu) = answer.cpu else {
            self.rest = None;
            return;
        };
        let fresh = IdlePeriod {
            since: answer.asked,
            cpu,
            calls,
            until: answer.asked,
        };
        let Some(rest) = &mut self.rest else {
            self.rest = Some(fresh);
            return;
        };
        if answer.asked <= rest.until {
            return;
        }
        let worth = HOUSEKEEPING.max(answer.asked.duration_since(rest.since) / SHARE);
        // A decrease means that a process of the worker has ended, so the worker is active.
        let used = cpu.checked_sub(rest.cpu).is_none_or(|used| used >= worth);
        if used || calls != rest.calls {
            *rest = fresh;
        } else {
            rest.until = answer.asked;
        }
    }

    /// Returns the evidence for the policy about a worker with this number of calls.
    pub(crate) fn evidence(&self, now: Instant, calls: u16) -> Evidence {
        let overdue = self.overdue.first();
        Evidence {
            late: false,
            busy: calls > 0,
            innocent: usize::from(calls) > self.overdue.len(),
            misses: self.misses,
            held: self.held,
            flat: self.flat(),
            overdue: overdue.map(|(_, since)| now.saturating_duration_since(*since)),
            queued: false,
        }
    }

    fn flat(&self) -> Option<Duration> {
        let rest = self.rest.as_ref()?;
        Some(rest.until.duration_since(rest.since))
    }

    /// Discards the open heartbeats and every measured time: the host was suspended.
    pub(crate) const fn discard(&mut self) {
        self.under_way = 0;
        self.held = Duration::ZERO;
        self.rest = None;
    }

    /// Records that a call was given up.
    pub(crate) fn give_up(&mut self, call: CallId, now: Instant) {
        self.overdue.push((call, now));
    }

    /// Records that the tool of such a call has ended.
    pub(crate) fn settle(&mut self, call: CallId) {
        self.overdue.retain(|(one, _)| *one != call);
    }

    pub(crate) fn status(&self, now: Instant) -> HeartbeatStatus {
        let some = |time: Duration| (!time.is_zero()).then_some(time.as_secs_f64());
        HeartbeatStatus {
            state: self.state,
            misses: self.misses,
            age_seconds: self
                .answered
                .map(|at| now.saturating_duration_since(at).as_secs_f64()),
            held_seconds: some(self.held),
            flat_seconds: self.flat().and_then(some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(now: Instant) -> HeartbeatRecord {
        let config = HeartbeatConfig {
            initial_delay: Duration::ZERO,
            ..HeartbeatConfig::default()
        };
        HeartbeatRecord::new(&config, now)
    }

    fn heard(asked: Instant, cpu: Option<Duration>) -> HeartbeatAnswer {
        HeartbeatAnswer {
            asked,
            pulse: Some(Pulse::default()),
            cpu,
        }
    }

    fn missing(asked: Instant) -> HeartbeatAnswer {
        HeartbeatAnswer {
            asked,
            pulse: None,
            cpu: None,
        }
    }

    #[test]
    fn misses_count_in_a_row_and_a_later_answer_voids_an_earlier_question() {
        let start = Instant::now();
        let mut record = record(start);
        assert!(record.open(start, 2) && record.open(start, 2) && !record.open(start, 2));
        let late = start + 10 * SECOND;
        assert_eq!(
            record.hear(&missing(start), late, 0),
            HeartbeatChange::Missed(1)
        );
        assert_eq!(
            record.hear(&missing(start), late, 0),
            HeartbeatChange::Missed(2)
        );
        let answer = heard(start + SECOND, None);
        assert_eq!(record.hear(&answer, late, 0), HeartbeatChange::Recovered(2));
        assert_eq!(record.hear(&missing(start), late, 0), HeartbeatChange::None);
        assert_eq!(record.evidence(late, 0).misses, 0);
    }

    #[test]
    fn hardly_any_cpu_time_is_rest() {
        let start = Instant::now();
        let mut record = record(start);
        let mut look = |second: u32, millis: u64, calls| {
            let asked = start + second * SECOND;
            let cpu = Some(Duration::from_millis(millis));
            record.hear(&heard(asked, cpu), asked, calls);
            record.flat().map(|flat| flat.as_secs())
        };
        assert_eq!(
            look(0, 500, 0),
            Some(0),
            "it may have rested before: no call was looked at"
        );
        assert_eq!(look(2, 500, 0), Some(2));
        assert_eq!(look(4, 510, 0), Some(4), "that much its answers take");
        assert_eq!(look(6, 600, 0), Some(0), "it works");
        assert_eq!(
            look(100, 1500, 0),
            Some(94),
            "less than a hundredth of a core"
        );
        assert_eq!(look(102, 1500, 1), Some(0), "another call");
        assert_eq!(look(104, 900, 1), Some(0), "a process of it has ended");
        assert_eq!(look(106, 900, 1), Some(2));
        assert_eq!(look(105, 900, 1), Some(2), "an answer that was overtaken");
        let idle = heard(start + 110 * SECOND, None);
        record.hear(&idle, start + 110 * SECOND, 1);
        assert_eq!(record.flat(), None);
    }

    #[test]
    fn a_call_is_overdue_until_its_tool_ends() {
        let start = Instant::now();
        let mut record = record(start);
        record.give_up(CallId(1), start);
        record.give_up(CallId(2), start + SECOND);
        let later = start + 3 * SECOND;
        assert_eq!(record.evidence(later, 2).overdue, Some(3 * SECOND));
        assert!(!record.evidence(later, 2).innocent && record.evidence(later, 3).innocent);
        record.settle(CallId(1));
        assert_eq!(record.evidence(later, 1).overdue, Some(2 * SECOND));
        record.settle(CallId(2));
        assert_eq!(record.evidence(later, 1).overdue, None);
    }
}
