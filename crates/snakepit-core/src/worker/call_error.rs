//! The failure of a call as its worker's side knows it, and the results that may contain one.

use std::pin::Pin;

use futures_core::Stream;

use super::WorkerExit;
use crate::error::{Death, Direction, Error, ToolError};
use crate::id::WorkerId;
use crate::printable::Printable;
use crate::value::Payload;

/// Result of one item of a `call_many`.
pub type ItemResult = Result<Payload, CallError>;

/// The chunks of one streaming call as a worker delivers them. The stream ends after the last chunk
/// or after the first error other than [`CallError::Rejected`]; only then is the slot free.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Payload, CallError>> + Send>>;

/// The reason why one call failed, as known by the worker's side.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The tool failed, or the worker rejected the call.
    #[error(transparent)]
    Tool(Box<ToolError>),
    /// The host rejects a chunk of a stream whose tool still runs. The pool cancels the call.
    #[error(transparent)]
    Rejected(Box<ToolError>),
    /// A payload is larger than the limit; nothing was sent.
    #[error("{direction} of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Direction of the payload.
        direction: Direction,
        /// Size of the payload in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The worker has [given the call back](super::Worker::recall_all): it was not begun, and never
    /// will be.
    #[error("the worker returned the call without starting it")]
    NotBegun,
    /// The worker is gone.
    #[error("the worker is gone: {}", Printable(&exit.reason))]
    Died {
        /// Exit of the worker.
        exit: Box<WorkerExit>,
        /// The tool may have run: the request had been sent.
        ambiguous: bool,
    },
}

impl Error {
    /// Converts a worker's error into a call's error.
    pub fn from_call(error: CallError, worker: &WorkerId) -> Self {
        match error {
            CallError::Tool(error) | CallError::Rejected(error) => Self::Tool(error),
            CallError::TooLarge {
                direction,
                size,
                limit,
            } => Self::TooLarge {
                direction,
                size,
                limit,
            },
            // The pool repeats calls that were given back; this error is for those that it cannot
            // repeat.
            CallError::NotBegun => Self::WorkerDied {
                worker: worker.clone(),
                cause: Death::of(&WorkerExit::default()),
                reason: error.to_string(),
                ambiguous: false,
                output: Vec::new(),
            },
            CallError::Died { exit, ambiguous } => Self::WorkerDied {
                worker: worker.clone(),
                cause: Death::of(&exit),
                reason: exit.reason,
                ambiguous,
                output: exit.output,
            },
        }
    }
}
