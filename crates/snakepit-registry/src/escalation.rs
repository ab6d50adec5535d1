//! SIGTERM, a grace period, SIGKILL: which step comes next. Pure, so every path can be tested.

use std::time::Duration;

/// How often a group without its leader is looked at.
const GROUP_POLL: Duration = Duration::from_millis(2);

/// What is left of a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its leader lives.
    pub leader: bool,
    /// Any member lives, the leader included.
    pub group: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the leader to end (SIGTERM to it alone: its helpers may still be needed).
    Terminate,
    /// Kill the whole group.
    Kill,
    /// Wait for a change, but not longer than this.
    Wait(Duration),
    /// Stop: nothing is left.
    Gone,
    /// Stop: something does not die in time.
    Leftover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Grace { until: Duration },
    Killed { until: Duration },
    Over,
}

/// The steps of stopping one group.
#[derive(Clone, Debug)]
pub struct Escalation {
    phase: Phase,
    grace: Duration,
    confirm: Duration,
}

impl Escalation {
    /// `grace` is the time between SIGTERM and SIGKILL, zero means SIGKILL at once; `confirm` is
    /// the time that the death after it may take.
    pub const fn new(grace: Duration, confirm: Duration) -> Self {
        Self {
            phase: Phase::Start,
            grace,
            confirm,
        }
    }

    /// Whether SIGKILL was needed.
    pub const fn killed(&self) -> bool {
        matches!(self.phase, Phase::Killed { .. } | Phase::Over)
    }

    /// The next step, given the time since the start and what is left.
    pub fn next(&mut self, now: Duration, seen: Seen) -> Step {
        if !seen.group {
            return Step::Gone;
        }
        match self.phase {
            Phase::Start if seen.leader && !self.grace.is_zero() => {
                self.phase = Phase::Grace {
                    until: now + self.grace,
                };
                Step::Terminate
            }
            Phase::Grace { until } if seen.leader && now < until => Step::Wait(until - now),
            // Without its leader nobody in the group was told to end, and nobody leads it.
            Phase::Start | Phase::Grace { .. } => {
                self.phase = Phase::Killed {
                    until: now + self.confirm,
                };
                Step::Kill
            }
            Phase::Killed { until } if now < until => {
                let left = until - now;
                Step::Wait(if seen.leader {
                    left
                } else {
                    left.min(GROUP_POLL)
                })
            }
            Phase::Killed { .. } | Phase::Over => {
                self.phase = Phase::Over;
                Step::Leftover
            }
        }
    }
}
