//! What is known of one worker's life: kept with it, fed with answers, read by the policy.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::HeartbeatConfig;
use crate::policy::liveness::Evidence;
use crate::{CallId, Pulse};

/// CPU time that is taken for the worker's own housekeeping.
const HOUSEKEEPING: Duration = Duration::from_millis(20);

/// A worker that uses less than one part in so many of a core rests.
const SHARE: u32 = 100;

/// Signs of life of one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeartbeatStatus {
    /// What they come to.
    pub state: HeartbeatState,
    /// Answers that are missing in a row.
    pub misses: u32,
    /// Seconds since the last answer; nothing before the first one.
    pub age_seconds: Option<f64>,
    /// Seconds that the interpreter had been out of reach at the last answer; nothing when it was not.
    pub held_seconds: Option<f64>,
    /// Seconds for which its calls have used no CPU time; nothing when they do, when it has none, and when that cannot be told.
    pub flat_seconds: Option<f64>,
}

/// What the signs of life of a worker come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeartbeatState {
    /// It answers.
    #[default]
    Ok,
    /// It has a call and is out of reach, or its interpreter is: no further call goes to it.
    Quiet,
    /// It has a call that uses no CPU time.
    Stalled,
    /// It was given up, and is being killed.
    Suspect,
}

/// One question to a worker, and what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) asked: Instant,
    pub(crate) pulse: Option<Pulse>,
    /// Its CPU time when it was asked, if it had a call then.
    pub(crate) cpu: Option<Duration>,
}

/// What an answer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    /// So many are missing in a row now.
    Missed(u32),
    /// It answers again after so many.
    Recovered(u32),
}

/// The record of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// No question before.
    begins: Option<Instant>,
    under_way: u32,
    misses: u32,
    answered: Option<Instant>,
    held: Duration,
    rest: Option<Rest>,
    /// Calls that were given up and whose tools go on, the oldest first.
    overdue: Vec<(CallId, Instant)>,
    pub(crate) state: HeartbeatState,
}

/// A time in which hardly any CPU time was used.
#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Instant,
    /// CPU time at its beginning.
    cpu: Duration,
    /// Calls that had ended by then.
    calls: u64,
    /// The last look.
    until: Instant,
}

impl Track {
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

    /// Whether it is to be asked now; if so the question counts as under way.
    pub(crate) fn ask(&mut self, now: Instant, most: u32) -> bool {
        let due = self.begins.is_some_and(|begins| begins <= now)
            && self.under_way < most
            && self.state != HeartbeatState::Suspect;
        self.under_way += u32::from(due);
        due
    }

    /// Takes an answer, or that there is none. `calls` have ended so far.
    pub(crate) fn hear(&mut self, answer: &Answer, now: Instant, calls: u64) -> News {
        self.under_way = self.under_way.saturating_sub(1);
        self.look(answer, calls);
        if let Some(pulse) = answer.pulse {
            self.held = pulse.held.unwrap_or_default();
            self.answered = Some(now);
            return match std::mem::take(&mut self.misses) {
                0 => News::None,
                misses => News::Recovered(misses),
            };
        }
        // It has answered a later question in the meantime.
        if self.answered.is_some_and(|at| at >= answer.asked) {
            return News::None;
        }
        self.misses += 1;
        News::Missed(self.misses)
    }

    fn look(&mut self, answer: &Answer, calls: u64) {
        let Some(cpu) = answer.cpu else {
            self.rest = None;
            return;
        };
        let fresh = Rest {
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
        // Less than before: a process of the worker has come to its end, so something goes on.
        let used = cpu.checked_sub(rest.cpu).is_none_or(|used| used >= worth);
        if used || calls != rest.calls {
            *rest = fresh;
        } else {
            rest.until = answer.asked;
        }
    }

    /// Returns the evidence for the policy about a worker that has so many calls.
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

    /// Forgets the questions under way and every measured time: the clock has run without the host.
    pub(crate) const fn discard(&mut self) {
        self.under_way = 0;
        self.held = Duration::ZERO;
        self.rest = None;
    }

    /// Nobody waits for this call any more.
    pub(crate) fn give_up(&mut self, call: CallId, now: Instant) {
        self.overdue.push((call, now));
    }

    /// The tool of such a call has ended.
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

    fn track(now: Instant) -> Track {
        let config = HeartbeatConfig {
            initial_delay: Duration::ZERO,
            ..HeartbeatConfig::default()
        };
        Track::new(&config, now)
    }

    fn heard(asked: Instant, cpu: Option<Duration>) -> Answer {
        Answer {
            asked,
            pulse: Some(Pulse::default()),
            cpu,
        }
    }

    fn missing(asked: Instant) -> Answer {
        Answer {
            asked,
            pulse: None,
            cpu: None,
        }
    }

    #[test]
    fn misses_count_in_a_row_and_a_later_answer_voids_an_earlier_question() {
        let start = Instant::now();
        let mut track = track(start);
        assert!(track.ask(start, 2) && track.ask(start, 2) && !track.ask(start, 2));
        let late = start + 10 * SECOND;
        assert_eq!(track.hear(&missing(start), late, 0), News::Missed(1));
        assert_eq!(track.hear(&missing(start), late, 0), News::Missed(2));
        let answer = heard(start + SECOND, None);
        assert_eq!(track.hear(&answer, late, 0), News::Recovered(2));
        assert_eq!(track.hear(&missing(start), late, 0), News::None);
        assert_eq!(track.evidence(late, 0).misses, 0);
    }

    #[test]
    fn hardly_any_cpu_time_is_rest() {
        let start = Instant::now();
        let mut track = track(start);
        let mut look = |second: u32, millis: u64, calls| {
            let asked = start + second * SECOND;
            let cpu = Some(Duration::from_millis(millis));
            track.hear(&heard(asked, cpu), asked, calls);
            track.flat().map(|flat| flat.as_secs())
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
        track.hear(&idle, start + 110 * SECOND, 1);
        assert_eq!(track.flat(), None);
    }

    #[test]
    fn a_call_is_overdue_until_its_tool_ends() {
        let start = Instant::now();
        let mut track = track(start);
        track.give_up(CallId(1), start);
        track.give_up(CallId(2), start + SECOND);
        let later = start + 3 * SECOND;
        assert_eq!(track.evidence(later, 2).overdue, Some(3 * SECOND));
        assert!(!track.evidence(later, 2).innocent && track.evidence(later, 3).innocent);
        track.settle(CallId(1));
        assert_eq!(track.evidence(later, 1).overdue, Some(2 * SECOND));
        track.settle(CallId(2));
        assert_eq!(track.evidence(later, 1).overdue, None);
    }
}
