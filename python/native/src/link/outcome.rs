//! The outcomes of requests to the host, and of waits for them.

use crate::link::reader::Body;

/// The outcome of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The result.
    Reply(Body),
    /// The head of an error.
    Error(Vec<u8>),
    /// The result has this many bytes, which exceeds the limit.
    TooLarge(u64),
    /// No answer will come.
    Failed(Failure),
}

/// The reason why no answer will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The call is over.
    Over,
    /// The caller has cancelled the call.
    Cancelled,
    /// The time for the request is up.
    Late,
    /// The connection has ended.
    HostGone,
}

/// The result of a wait.
#[derive(Debug)]
pub(crate) enum Waited {
    Done(Outcome),
    /// A signal must be handled; then wait again.
    Signal,
}
