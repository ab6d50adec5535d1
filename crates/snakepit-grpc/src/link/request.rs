//! What a worker asks of its host, free of the messages of the wire.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use snakepit_core::{CallId, Request, ToolError, WorkerId};
use tokio::time::Instant;

use crate::pb;

/// Answers the requests that tools make while they run.
///
/// Requests of one call run concurrently with each other and with the call.
#[async_trait]
pub trait HostRequests: Send + Sync + 'static {
    /// Answers one request with a MessagePack value, as `proto/README.md` says for the operation.
    ///
    /// # Cancel safety
    /// The future is dropped when the worker cancels the request, when its time is up and when the call ends.
    async fn handle(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>>;

    /// A call that made requests is over, and so are all of them: what they opened can be closed. A batch of calls ends once for each
    /// frame that it travels in.
    fn call_ended(&self, worker: &WorkerId, call: CallId);
}

/// One request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostRequest {
    /// The worker that asks.
    pub worker: WorkerId,
    /// The running call in whose name it asks, without its arguments. Its `trace` is the span in which the tool asks.
    pub caller: Request,
    /// When nobody waits for the answer any more: the deadline of the call, or the request's own if that is earlier.
    pub deadline: Option<Instant>,
    /// What it asks.
    pub op: HostOp,
    /// Name of the tool, variable or program, where the operation has one.
    pub name: String,
    /// The argument, a MessagePack value.
    pub body: Bytes,
    /// Limit of the answer in bytes; a larger one is not sent.
    pub max_answer: usize,
}

impl HostRequest {
    /// A request, for tests of a handler. Its deadline is the caller's, and its answer has no limit.
    pub fn new(worker: WorkerId, caller: Request, op: HostOp, name: &str, body: Bytes) -> Self {
        Self {
            deadline: caller.deadline,
            worker,
            caller,
            op,
            name: name.to_owned(),
            body,
            max_answer: usize::MAX,
        }
    }
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a worker may ask.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HostOp {
            $($(#[$doc])* $name,)*
        }

        impl HostOp {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The operation with this number.
            pub fn from_number(number: i32) -> Option<Self> {
                Some(match pb::HostOp::try_from(number).ok()? {
                    pb::HostOp::Unspecified => return None,
                    $(pb::HostOp::$name => Self::$name,)*
                })
            }

            /// Its number on the wire.
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$name => pb::HostOp::$name as i32,)*
                }
            }
        }
    };
}

ops! {
    /// The host tools that the call may use.
    ToolsList,
    /// Call a host tool.
    ToolCall,
    /// Start a streaming host tool.
    ToolOpen,
    /// The next items of a stream.
    ToolNext,
    /// End a stream.
    ToolClose,
    /// What the call's session is.
    SessionGet,
    /// Change its metadata.
    SessionUpdate,
    /// Make a variable.
    VariableRegister,
    /// Read variables.
    VariableGet,
    /// Write variables.
    VariableSet,
    /// Delete a variable.
    VariableDelete,
    /// Which variables there are.
    VariableList,
    /// Wait for changes of variables.
    Changes,
    /// Store a program.
    ProgramPut,
    /// Read a program.
    ProgramGet,
    /// Delete a program.
    ProgramDelete,
    /// Which programs there are.
    ProgramList,
    /// A sign of life.
    Ping,
}

impl fmt::Debug for dyn HostRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostRequests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_own_number() {
        for op in HostOp::ALL {
            assert_eq!(HostOp::from_number(op.number()), Some(*op));
        }
        assert_eq!(HostOp::from_number(0), None);
        assert_eq!(HostOp::from_number(99), None);
        assert_eq!(HostOp::Ping.number(), 40);
    }
}
