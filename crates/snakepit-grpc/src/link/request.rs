//! A worker's requests to its host, independent of the wire's messages.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use snakepit_core::call::Request;
use snakepit_core::error::ToolError;
use snakepit_core::id::{CallId, WorkerId};
use tokio::time::Instant;

use super::mask::Mask;
use crate::pb;

/// Answers the requests that tools make while they run.
///
/// Requests of one call run concurrently with each other and with the call.
#[async_trait]
pub trait HostRequests: Send + Sync + 'static {
    /// Answers one request with a MessagePack value, as `proto/README.md` specifies for the
    /// operation.
    ///
    /// # Cancel safety
    /// The future is dropped when the worker cancels the request, when its time is up and when the
    /// call ends.
    async fn handle(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>>;

    /// Notifies the handler that a call that made requests has ended, together with all of its
    /// requests. The handler can release what they opened. A batch of calls ends once for each
    /// frame that carries its items.
    fn call_ended(&self, worker: &WorkerId, call: CallId);
}

/// One request of a worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostRequest {
    /// The worker that sent the request.
    pub worker: WorkerId,
    /// The running call that the request belongs to, without its arguments. Its `trace` is the span
    /// in which the tool made the request.
    pub caller: Request,
    /// Time after which no answer is needed: the deadline of the call, or the request's own if that
    /// is earlier.
    pub deadline: Option<Instant>,
    /// The requested operation.
    pub op: HostOp,
    /// Name of the tool, variable or program, if the operation has one.
    pub name: String,
    /// The argument, a MessagePack value.
    pub body: Bytes,
    /// Limit of the answer in bytes; a larger answer is not sent.
    pub max_answer: usize,
    /// Masks secrets in texts of the worker that the host shows. `None` if they stay as they are.
    pub mask: Option<Arc<dyn Mask>>,
}

impl HostRequest {
    /// Creates a request for tests of a handler. Its deadline is the caller's, and its answer has
    /// no limit.
    pub fn new(worker: WorkerId, caller: Request, op: HostOp, name: &str, body: Bytes) -> Self {
        Self {
            deadline: caller.deadline,
            worker,
            caller,
            op,
            name: name.to_owned(),
            body,
            max_answer: usize::MAX,
            mask: None,
        }
    }
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An operation that a worker may request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HostOp {
            $($(#[$doc])* $name,)*
        }

        impl HostOp {
            /// All operations.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the operation with this number.
            pub fn from_number(number: i32) -> Option<Self> {
                Some(match pb::HostOp::try_from(number).ok()? {
                    pb::HostOp::Unspecified => return None,
                    $(pb::HostOp::$name => Self::$name,)*
                })
            }

            /// Returns the operation's number on the wire.
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$name => pb::HostOp::$name as i32,)*
                }
            }
        }
    };
}

ops! {
    /// List the host tools that the call may use.
    ToolsList,
    /// Call a host tool.
    ToolCall,
    /// Start a streaming host tool.
    ToolOpen,
    /// Read the next items of a stream.
    ToolNext,
    /// End a stream.
    ToolClose,
    /// Read the call's session.
    SessionGet,
    /// Change the session's metadata.
    SessionUpdate,
    /// Register a variable.
    VariableRegister,
    /// Read variables.
    VariableGet,
    /// Write variables.
    VariableSet,
    /// Delete a variable.
    VariableDelete,
    /// List the variables.
    VariableList,
    /// Wait for changes of variables.
    Changes,
    /// Store a program.
    ProgramPut,
    /// Return the argument.
    ProgramGet,
    /// Delete a program.
    ProgramDelete,
    /// List the programs.
    ProgramList,
    /// Keep-alive without an effect.
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
