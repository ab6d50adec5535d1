//! The host's answers to its workers: sessions, variables, programs and host tools of a
//! [`HostState`].

mod calls;
mod programs;
mod sessions;
mod tools;
mod variables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::host_tools::HostState;
use snakepit_core::id::{CallId, WorkerId};
use snakepit_core::state::{Origin, Session};
use snakepit_core::value::Payload;

use self::calls::Call;
use crate::link::{HostOp, HostRequest, HostRequests};

/// Answers the requests that tools make while they run, for all workers of a host. Cheap to clone.
///
/// A call can access only its own session, which the first request that needs it creates.
#[derive(Clone, Debug)]
pub struct HostBridge {
    state: HostState,
    calls: Arc<Mutex<HashMap<CallId, Arc<Call>>>>,
}

impl HostBridge {
    /// Creates a bridge to this state.
    pub fn new(state: HostState) -> Self {
        Self {
            state,
            calls: Arc::default(),
        }
    }

    /// Returns the number of running calls that have made a request.
    pub fn calls(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Arc<Call>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state that is kept for the calling tool while its call runs.
    fn call(&self, request: &HostRequest) -> Arc<Call> {
        Arc::clone(self.lock().entry(request.caller.call).or_default())
    }

    /// Returns the caller's session, the same one for all its requests.
    fn session(&self, request: &HostRequest) -> Result<Session, Box<ToolError>> {
        let Some(id) = &request.caller.session else {
            return Err(refusal(
                ErrorCode::UnknownSession,
                "this call has no session",
                "call the tool through a session: `snakepit.session(\"id\")`",
            ));
        };
        self.call(request).session(|| {
            let sessions = self.state.sessions();
            let held = request.caller.hold.clone();
            let hold = match held.filter(|hold| hold.session().is_in(sessions)) {
                Some(hold) => hold,
                None => sessions
                    .get_or_create(id.clone(), Default::default())?
                    .hold()?,
            };
            let origin = Origin::Worker(request.worker.clone());
            Ok((hold.session().with_origin(origin), hold))
        })
    }
}

#[async_trait]
impl HostRequests for HostBridge {
    async fn handle(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>> {
        match request.op {
            HostOp::ToolCall => self.tool_call(request).await,
            HostOp::ToolsList => self.tools_list(&request),
            HostOp::ToolOpen => self.tool_open(request).await,
            HostOp::ToolNext => self.tool_next(&request).await,
            HostOp::ToolClose => self.tool_close(&request),
            HostOp::SessionGet => self.session_get(&request),
            HostOp::SessionUpdate => self.session_update(&request),
            HostOp::VariableRegister => self.variable_register(&request),
            HostOp::VariableGet => self.variable_get(&request),
            HostOp::VariableSet => self.variable_set(&request),
            HostOp::VariableDelete => self.variable_delete(&request),
            HostOp::VariableList => self.variable_list(&request),
            HostOp::Changes => self.changes(&request).await,
            HostOp::ProgramPut => self.program_put(&request),
            HostOp::ProgramGet => self.program_get(&request),
            HostOp::ProgramDelete => self.program_delete(&request),
            HostOp::ProgramList => self.program_list(&request),
            HostOp::Ping => Ok(request.body),
        }
    }

    fn call_ended(&self, _: &WorkerId, call: CallId) {
        // Dropped after the lock is released, together with everything that the call had opened.
        let ended = self.lock().remove(&call);
        drop(ended);
    }
}

/// Decodes the argument of a request. Nil stands for an argument whose parts are all optional.
fn argument<T: DeserializeOwned>(request: &HostRequest) -> Result<T, Box<ToolError>> {
    Payload::from_msgpack(request.body.clone())
        .decode()
        .map_err(|error| {
            refusal(
                ErrorCode::InvalidRequest,
                format!("the argument of {:?}: {error}", request.op),
                "update host and worker together",
            )
        })
}

fn answer<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Box<ToolError>> {
    let encoded = Payload::encode(value).map_err(|error| {
        refusal(
            error.code(),
            format!("the answer cannot be sent: {error}"),
            "",
        )
    })?;
    Ok(encoded.bytes)
}

fn refusal(code: ErrorCode, message: impl Into<String>, help: &str) -> Box<ToolError> {
    let mut error = ToolError::new(code, message);
    error.help = help.to_owned();
    Box::new(error)
}
