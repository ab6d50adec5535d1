//! Errors of calls, and what they consist of.

mod death;
mod stacks;
mod start;
mod tool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use crate::code::ErrorCode;
use crate::id::{PoolName, SessionId, WorkerId};
use crate::printable::Printable;
use crate::schedule::QueueBound;
use crate::state::StateError;
use crate::value::PayloadError;
pub use death::{Death, ExitStatus};
pub use stacks::{StackFrame, Stacks, ThreadStack};
pub use start::StartError;
pub(crate) use tool::with_causes;
pub use tool::{Direction, ToolError};

/// The reason why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No pool has this name.
    #[error("no pool is named `{}`", Printable(name))]
    UnknownPool {
        /// The requested name.
        name: String,
        /// The existing names.
        known: Vec<String>,
    },
    /// The call was rejected because it would exceed a bound of the queue. It has not run.
    #[error(
        "pool `{pool}` is full: {queued} calls already wait, {bound}; try again in {retry_after:.1?}"
    )]
    Saturated {
        /// The pool.
        pool: PoolName,
        /// The bound that the call would have exceeded.
        bound: QueueBound,
        /// Calls in the queue.
        queued: usize,
        /// Time after which a retry is worthwhile, estimated from the waiting calls and the
        /// durations of calls.
        retry_after: Duration,
    },
    /// The time limit expired.
    #[error("no answer within {after:?} in phase {phase} of pool `{pool}`")]
    Timeout {
        /// The pool.
        pool: PoolName,
        /// The phase in which the time ran out.
        phase: Phase,
        /// The time allowed.
        after: Duration,
        /// Stacks of the worker's threads, in [`Phase::Call`]. `None` if the worker did not report
        /// them in time.
        stacks: Option<Arc<Stacks>>,
    },
    /// The pool is closed or closing.
    #[error("pool `{0}` is closed")]
    Closed(PoolName),
    /// No worker could be started and the pool stopped trying for now.
    #[error("pool `{pool}` cannot start workers")]
    Start {
        /// The pool.
        pool: PoolName,
        /// The last failure.
        #[source]
        source: Box<StartError>,
    },
    /// The tool raised an exception, or the worker rejected the call.
    #[error(transparent)]
    Tool(Box<ToolError>),
    /// A payload is larger than the limit.
    #[error("{direction} of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Direction of the payload.
        direction: Direction,
        /// Size of the payload in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The worker died during the call.
    #[error("worker `{worker}` died: {}", Printable(reason))]
    WorkerDied {
        /// The worker.
        worker: WorkerId,
        /// Description of its end.
        reason: String,
        /// Cause of its end, as far as there is evidence.
        cause: Death,
        /// The tool may have run, wholly or in part.
        ambiguous: bool,
        /// The last lines of the worker's output.
        output: Vec<String>,
    },
    /// Calls of this fingerprint have killed too many workers: this one was rejected and never
    /// sent.
    #[error(
        "this call of `{}` is in quarantine for {retry_after:?}: it has killed too many workers of pool `{pool}`",
        Printable(tool)
    )]
    Quarantined {
        /// The pool.
        pool: PoolName,
        /// The tool.
        tool: String,
        /// Time until such calls are accepted again.
        retry_after: Duration,
    },
    /// Calls before this one lost their workers: this one was rejected and never sent.
    #[error(
        "{} of pool `{pool}` failed too often, calls are rejected for {retry_after:?}",
        .tool.as_ref().map_or_else(|| "workers".to_owned(), |tool| format!("workers with `{}`", Printable(tool)))
    )]
    CircuitOpen {
        /// The pool.
        pool: PoolName,
        /// The tool. `None` if all calls of the pool are rejected.
        tool: Option<String>,
        /// Time after which a retry is worthwhile.
        retry_after: Duration,
    },
    /// The session's worker has no free slot, and the caller chose not to wait.
    #[error("worker `{worker}` of session `{session}` has no free slot")]
    AffinityBusy {
        /// The session.
        session: SessionId,
        /// The worker of the call.
        worker: WorkerId,
    },
    /// The session's worker is gone, and the session's data in its memory is lost. The call has not
    /// run.
    #[error(
        "worker `{worker}` of session `{session}` has ended, and the session's state in its memory is lost"
    )]
    AffinityLost {
        /// The session.
        session: SessionId,
        /// The worker it had.
        worker: WorkerId,
        /// Number of workers that the session has had in this pool, including that one.
        generation: u64,
    },
    /// The pool cannot remember more strict sessions.
    #[error("pool `{pool}` has {limit} strict sessions already")]
    AffinityFull {
        /// The pool.
        pool: PoolName,
        /// The limit.
        limit: usize,
    },
    /// A nested call would wait forever for calls that wait for it.
    #[error(
        "the call at depth {depth} would wait forever: all slots of pool `{pool}` that it could use belong to calls that wait for it, directly or in other pools"
    )]
    Deadlock {
        /// The pool.
        pool: PoolName,
        /// Number of calls in which it is nested.
        depth: u32,
    },
    /// An operation on the host's state failed.
    #[error(transparent)]
    State(Box<StateError>),
    /// The arguments could not be encoded, or the result does not fit the requested type.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        Self::State(Box::new(error))
    }
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPool { .. } => ErrorCode::UnknownPool,
            Self::Saturated { .. } => ErrorCode::Saturated,
            Self::Timeout { phase, .. } => phase.code(),
            Self::Closed(_) => ErrorCode::Closed,
            Self::Start { source, .. } => source.code,
            Self::Tool(error) => error.code,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::WorkerDied { .. } => ErrorCode::WorkerDied,
            Self::Quarantined { .. } => ErrorCode::Quarantined,
            Self::CircuitOpen { .. } => ErrorCode::CircuitOpen,
            Self::AffinityBusy { .. } => ErrorCode::AffinityBusy,
            Self::AffinityLost { .. } => ErrorCode::AffinityLost,
            Self::AffinityFull { .. } => ErrorCode::AffinityFull,
            Self::Deadlock { .. } => ErrorCode::Deadlock,
            Self::State(error) => error.code(),
            Self::Payload(error) => error.code(),
        }
    }

    /// Returns true if the call certainly has not run and may succeed later: it was rejected before
    /// any worker had it.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Saturated { .. }
            | Self::CircuitOpen { .. }
            | Self::AffinityBusy { .. }
            | Self::Timeout {
                phase: Phase::Queue,
                ..
            } => true,
            Self::WorkerDied { ambiguous, .. } => !*ambiguous,
            _ => false,
        }
    }
}

/// The phase of a call in which its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for the pool to become ready.
    Start,
    /// Waiting for a slot.
    Queue,
    /// A worker had the call.
    Call,
}

impl Phase {
    /// Returns the code of a timeout in this phase.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Start => ErrorCode::NotReady,
            Self::Queue => ErrorCode::QueueTimeout,
            Self::Call => ErrorCode::CallTimeout,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Queue => "queue",
            Self::Call => "call",
        })
    }
}
