//! What to make of a worker's signs of life: the table of `docs/liveness.md` as a function of the evidence.
//!
//! Missed heartbeats alone end no worker that has a call: a host under load, a long computation in C and a call that waits all look the
//! same from outside. What ends a busy worker is a deadline, or a limit that was asked for.

use std::time::Duration;

/// What is known of one worker at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The host itself was late: whatever was missed may be its own fault.
    pub(crate) late: bool,
    /// It has a call.
    pub(crate) busy: bool,
    /// Heartbeats missed in a row.
    pub(crate) misses: u32,
    /// How long its interpreter has been out of reach; zero when it answers.
    pub(crate) held: Duration,
    /// How long it has used hardly any CPU time; nothing where that cannot be told.
    pub(crate) flat: Option<Duration>,
    /// How long ago the first call that is still in it was given up; nothing while somebody waits for all its calls.
    pub(crate) overdue: Option<Duration>,
    /// It has calls that were not given up: they may end, whatever becomes of the others.
    pub(crate) innocent: bool,
    /// Calls wait for a slot of the pool.
    pub(crate) queued: bool,
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Heartbeats in a row that must be missed.
    pub(crate) misses: u32,
    /// Time after which silence, a held interpreter or rest is worth a note.
    pub(crate) patience: Duration,
    /// Time that a call may go on without any CPU time; no limit as a rule.
    pub(crate) stall: Option<Duration>,
    /// Time that a tool may go on after its call was given up.
    pub(crate) grace: Duration,
    /// A waiting call ends that time.
    pub(crate) kill_when_queued: bool,
}

/// What the evidence comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing of this round counts.
    Discard,
    /// Nothing is to be done.
    Well,
    /// It has a call and is out of reach: it gets no further calls for now, and is never killed for that.
    Quiet,
    /// It has a call and rests: worth one line, since waiting is legal. Out of reach as well, it gets no further calls.
    Stalled {
        /// It answers, and so does its interpreter.
        reachable: bool,
    },
    /// It has no call and does not answer: nothing is lost when it is replaced.
    Suspect,
    /// It is killed with its calls.
    Kill(Cause),
}

/// Why a worker is killed although it has a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The limit for calls without CPU time, which was asked for, has passed.
    Stalled,
    /// A call was given up, and its tool goes on after its time.
    Overdue,
}

impl Cause {
    /// One word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Overdue => "overdue",
        }
    }
}

/// Judges one worker.
pub(crate) fn judge(evidence: &Evidence, limits: &Limits) -> Verdict {
    if evidence.late {
        return Verdict::Discard;
    }
    let silent = evidence.misses >= limits.misses;
    if !evidence.busy {
        return if silent {
            Verdict::Suspect
        } else {
            Verdict::Well
        };
    }
    let queued = limits.kill_when_queued && evidence.queued;
    let over = |time| queued || time >= limits.grace;
    // With other calls in it, the worker is replaced and drained by whoever waits for the end of the tool.
    if !evidence.innocent && evidence.overdue.is_some_and(over) {
        return Verdict::Kill(Cause::Overdue);
    }
    if let (Some(stall), Some(flat)) = (limits.stall, evidence.flat)
        && flat >= stall
    {
        return Verdict::Kill(Cause::Stalled);
    }
    let reachable = !silent && evidence.held < limits.patience;
    if evidence.flat.is_some_and(|flat| flat >= limits.patience) {
        return Verdict::Stalled { reachable };
    }
    if reachable {
        Verdict::Well
    } else {
        Verdict::Quiet
    }
}

#[cfg(test)]
mod tests;
