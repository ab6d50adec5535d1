//! The choice of the next step in stopping a process group: SIGTERM, a grace period, SIGKILL. Pure,
//! so that every path can be tested.

use std::time::Duration;

/// Interval between two checks of a group without its leader.
const GROUP_POLL: Duration = Duration::from_millis(2);

/// The living part of a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `true` if the leader lives.
    pub leader: bool,
    /// `true` if any member lives, the leader included.
    pub group: bool,
}

/// The next action of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send SIGTERM to the leader alone, because it may still need its helpers.
    Terminate,
    /// Kill the whole group.
    Kill,
    /// Wait for a change, at most this long.
    Wait(Duration),
    /// Stop: no process is left.
    Gone,
    /// Stop: a process did not die in time.
    Leftover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Grace { until: Duration },
    Killed { until: Duration },
    Over,
}

/// The state of stopping one group.
#[derive(Clone, Debug)]
pub struct Escalation {
    phase: Phase,
    grace: Duration,
    confirm: Duration,
}

impl Escalation {
    /// Begins to stop a group. `grace` is the time between SIGTERM and SIGKILL; zero means SIGKILL
    /// at once. `confirm` is the time that the group may take to die after SIGKILL.
    pub const fn new(grace: Duration, confirm: Duration) -> Self {
        Self {
            phase: Phase::Start,
            grace,
            confirm,
        }
    }

    /// Returns `true` if SIGKILL was needed.
    pub const fn killed(&self) -> bool {
        matches!(self.phase, Phase::Killed { .. } | Phase::Over)
    }

    /// Returns the next step. `now` is the time since the start.
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
            // Without a leader there is no process that could end the group in order.
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
