//! Decisions about a worker by its signs of life: the table of `docs/liveness.md` as a function of
//! the evidence.
//!
//! Missed heartbeats alone never end a worker that has a call: from outside, a host under load, a
//! long computation in C and a waiting call all look the same. A busy worker is ended by a
//! deadline, or by a limit that the user has set.

use std::time::Duration;

/// The evidence about one worker at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The host itself was late: heartbeats may have been missed because of it.
    pub(crate) late: bool,
    /// The worker has a call.
    pub(crate) busy: bool,
    /// Heartbeats missed in a row.
    pub(crate) misses: u32,
    /// Time for which its interpreter has not responded; zero if it responds.
    pub(crate) held: Duration,
    /// Time for which it has used hardly any CPU time. `None` if that is unknown.
    pub(crate) flat: Option<Duration>,
    /// Time since the first of its present calls was given up. `None` if none was.
    pub(crate) overdue: Option<Duration>,
    /// The worker has calls that were not given up and may still end.
    pub(crate) innocent: bool,
    /// Calls wait for a slot of the pool.
    pub(crate) queued: bool,
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Heartbeats in a row that must be missed.
    pub(crate) misses: u32,
    /// Time after which silence, a held interpreter or rest is worth a log line.
    pub(crate) patience: Duration,
    /// Time that a call may continue without any CPU time. `None`, the default, for no limit.
    pub(crate) stall: Option<Duration>,
    /// Time that a tool may continue after its call was given up.
    pub(crate) grace: Duration,
    /// A waiting call ends that time at once.
    pub(crate) kill_when_queued: bool,
}

/// The decision about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LivenessVerdict {
    /// The round of heartbeats does not count.
    Discard,
    /// The worker needs no action.
    Well,
    /// The worker has a call and does not respond: it gets no further calls for now, and is never
    /// killed for that.
    Quiet,
    /// The worker has a call and rests. Waiting is legal, so this is only logged. If it does not
    /// respond either, it gets no further calls.
    Stalled {
        /// The worker and its interpreter respond.
        reachable: bool,
    },
    /// The worker has no call and does not answer: replacing it loses nothing.
    Unresponsive,
    /// The worker is killed with its calls.
    Kill(Cause),
}

/// The reason for killing a worker that has a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The limit for calls without CPU time, set by the user, has passed.
    Stalled,
    /// A call was given up, and its tool continues beyond its grace.
    Overdue,
}

impl Cause {
    /// Returns the reason as one word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Overdue => "overdue",
        }
    }
}

/// Judges one worker.
pub(crate) fn judge(evidence: &Evidence, limits: &Limits) -> LivenessVerdict {
    if evidence.late {
        return LivenessVerdict::Discard;
    }
    let silent = evidence.misses >= limits.misses;
    if !evidence.busy {
        return if silent {
            LivenessVerdict::Unresponsive
        } else {
            LivenessVerdict::Well
        };
    }
    let queued = limits.kill_when_queued && evidence.queued;
    let over = |time| queued || time >= limits.grace;
    // If the worker has other calls, the task that waits for the end of the tool has it replaced
    // and drained.
    if !evidence.innocent && evidence.overdue.is_some_and(over) {
        return LivenessVerdict::Kill(Cause::Overdue);
    }
    if let (Some(stall), Some(flat)) = (limits.stall, evidence.flat)
        && flat >= stall
    {
        return LivenessVerdict::Kill(Cause::Stalled);
    }
    let reachable = !silent && evidence.held < limits.patience;
    if evidence.flat.is_some_and(|flat| flat >= limits.patience) {
        return LivenessVerdict::Stalled { reachable };
    }
    if reachable {
        LivenessVerdict::Well
    } else {
        LivenessVerdict::Quiet
    }
}

#[cfg(test)]
mod tests;
