//! Runs tools of workers for clients.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::host_tools::ToolCall;
use snakepit_core::id::{CallId, SessionId};
use snakepit_core::value::{Metadata, Payload};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::codegen::BoxStream;

use super::arguments::{self, Form};
use super::caller::Caller;
use super::chunks::{Chunks, Served, panicked};
use super::deadline;
use super::gateway::{Gateway, GatewayCall};
use super::server::Inner;
use super::status::{Fault, call_error, from_tool, invalid, short_name};
use crate::convert::tool_error_message;
use crate::pb;

/// Largest size of a tool's name in bytes.
const MAX_NAME: usize = 256;

/// Number of calls of one `ExecuteToolMany` that run concurrently.
pub(super) const MANY: usize = 16;

/// A decoded and checked call.
struct Prepared {
    session: Option<SessionId>,
    tool: String,
    args: Payload,
    form: Form,
    metadata: Metadata,
    caller: Caller,
    served: Served,
}

impl Inner {
    fn gateway(&self) -> Result<&Arc<dyn Gateway>, Status> {
        self.gateway.as_ref().ok_or_else(|| {
            Status::permission_denied(
                "this host does not run tools for its clients: its gateway is off",
            )
        })
    }

    /// Runs a call. Its failure is part of the answer.
    pub(super) async fn execute_tool(
        &self,
        request: pb::ExecuteToolRequest,
        caller: &Caller,
        max_message: usize,
    ) -> Result<pb::ExecuteToolResponse, Status> {
        let gateway = self.gateway()?;
        let started = Instant::now();
        let mut response = pb::ExecuteToolResponse {
            call_id: request.call_id,
            ..pb::ExecuteToolResponse::default()
        };
        let result = async {
            let call = self.understand(request, caller)?;
            response.metadata = call.served.metadata();
            let form = call.form;
            Ok((self.run(&**gateway, call).await?, form))
        };
        let result = match result.await {
            Ok((reply, form)) => {
                let work = move |reply: &Payload| arguments::result(reply, form, max_message);
                let answer = arguments::apart(&reply, work).await;
                // Reported as any message that is too large, and not as a failure of the tool.
                if let Err(error) = &answer
                    && error.code == ErrorCode::PayloadTooLarge
                {
                    return Err(from_tool(error.clone()));
                }
                answer
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(result) => {
                response.success = true;
                (response.result, response.binary_result) = (result.result, result.binary_result);
                (response.payload, response.encoding) = (result.payload, result.encoding);
            }
            Err(error) => {
                response.error_message = error.to_string();
                response.error = Some(tool_error_message(*error));
            }
        }
        let millis = started.elapsed().as_millis();
        response
            .metadata
            .insert("execution_time".to_owned(), millis.to_string());
        response.execution_time_ms = i64::try_from(millis).unwrap_or(i64::MAX);
        Ok(response)
    }

    /// Runs calls and answers in order. Some calls run concurrently; further requests are read as
    /// answers are taken.
    pub(super) fn execute_tool_many(
        self: Arc<Self>,
        requests: impl Stream<Item = Result<pb::ExecuteToolRequest, Status>> + Send + 'static,
        caller: Caller,
        max_message: usize,
    ) -> Result<BoxStream<pb::ExecuteToolResponse>, Status> {
        self.gateway()?;
        let answers = requests.map(move |request| {
            let (inner, caller) = (Arc::clone(&self), caller.clone());
            async move { inner.execute_tool(request?, &caller, max_message).await }
        });
        Ok(answers.buffered(MANY).boxed())
    }

    pub(super) async fn execute_streaming_tool(
        &self,
        request: pb::ExecuteToolRequest,
        caller: &Caller,
        max_message: usize,
    ) -> Result<BoxStream<pb::ToolChunk>, Status> {
        let gateway = self.gateway()?;
        let call = self.understand(request, caller).map_err(from_tool)?;
        let (tool, form, served) = (call.tool.clone(), call.form, call.served.clone());
        if let Served::Local = served {
            let stream = self
                .state
                .tools()
                .open_stream(call.host_call(), &tool, call.args);
            let stream = stream.map_err(from_tool)?;
            return Ok(Chunks::new(&tool, form, max_message, served, stream).into_stream());
        }
        if let Served::Remote(Some(registered)) = &served
            && !registered.tool.streaming
        {
            return Err(from_tool(no_stream(&tool)));
        }
        let call = call.gateway_call().map_err(from_tool)?;
        let stream = AssertUnwindSafe(gateway.execute_stream(call)).catch_unwind();
        let stream = stream.await.map_err(|_| from_tool(panicked()))?;
        let stream = stream.map_err(|error| from_tool(call_error(error)))?;
        let stream = stream.map_err(call_error);
        Ok(Chunks::new(&tool, form, max_message, served, stream).into_stream())
    }

    fn understand(
        &self,
        request: pb::ExecuteToolRequest,
        caller: &Caller,
    ) -> Result<Prepared, Fault> {
        let tool = request.tool_name.clone();
        if tool.is_empty() || tool.len() > MAX_NAME {
            let name = short_name(&tool);
            return Err(invalid(format!(
                "the tool's name `{name}` must have 1 to {MAX_NAME} bytes"
            )));
        }
        let session = self.session_of_call(&request.session_id)?;
        let metadata = arguments::metadata(request.metadata.clone())?;
        let mut caller = caller.clone();
        caller.deadline = deadline::earlier(caller.deadline, request.timeout_us);
        caller.deadline = deadline::earlier(caller.deadline, timeout_of(&metadata)?);
        let (args, form) = arguments::of_call(request, &metadata)?;
        let served = self.served(session.as_ref(), &tool);
        Ok(Prepared {
            session,
            tool,
            args,
            form,
            metadata,
            caller,
            served,
        })
    }

    /// Returns the party that runs a tool. Tools of the host take precedence over those of peers,
    /// and those over the tools of pools.
    fn served(&self, session: Option<&SessionId>, tool: &str) -> Served {
        if self.state.tools().is_exposed(session, tool) {
            return Served::Local;
        }
        let registered = session.and_then(|session| self.peers.get(session, tool));
        Served::Remote(registered)
    }

    async fn run(&self, gateway: &dyn Gateway, call: Prepared) -> Result<Payload, Fault> {
        if let Served::Local = call.served {
            let host_call = call.host_call();
            let tools = self.state.tools();
            return tools.call(host_call, &call.tool, call.args).await;
        }
        let deadline = call.caller.deadline;
        let call = call.gateway_call()?;
        let running = AssertUnwindSafe(gateway.execute(call)).catch_unwind();
        let result = match deadline {
            Some(deadline) => timeout_at(deadline, running).await.map_err(|_| late())?,
            None => running.await,
        };
        result.map_err(|_| panicked())?.map_err(call_error)
    }
}

impl Prepared {
    fn host_call(&self) -> ToolCall {
        let mut call = ToolCall::new();
        call.session.clone_from(&self.session);
        self.caller.name(&mut call);
        call.call = Some(CallId::next());
        call
    }

    fn gateway_call(self) -> Result<GatewayCall, Fault> {
        let now = Instant::now();
        let timeout = self
            .caller
            .deadline
            .map(|deadline| deadline.saturating_duration_since(now));
        if timeout == Some(Duration::ZERO) {
            return Err(late());
        }
        let registered = match self.served {
            Served::Remote(registered) => registered,
            Served::Local => None,
        };
        let peer_is_worker = registered.as_ref().is_some_and(|it| it.known_worker);
        let peer = registered.map(|it| it.worker);
        Ok(GatewayCall {
            session: self.session,
            tool: self.tool,
            args: self.args,
            timeout,
            peer,
            peer_is_worker,
            metadata: self.metadata,
            trace: self.caller.trace,
            trace_state: self.caller.trace_state,
            correlation: self.caller.correlation,
        })
    }
}

/// Returns the time limit in microseconds that older clients put into the metadata. 0 if there is
/// none.
fn timeout_of(metadata: &Metadata) -> Result<u64, Fault> {
    let Some(text) = metadata.get("timeout_ms") else {
        return Ok(0);
    };
    let millis: Option<u64> = text.trim().parse().ok();
    let millis = millis.filter(|millis| *millis > 0);
    let millis =
        millis.ok_or_else(|| invalid("the metadata `timeout_ms` is not a positive number"))?;
    Ok(millis.saturating_mul(1000))
}

fn no_stream(tool: &str) -> Fault {
    let message = format!("tool `{tool}` does not return a stream");
    ToolError::new(ErrorCode::WrongCallKind, message).into()
}

fn late() -> Fault {
    ToolError::new(
        ErrorCode::CallTimeout,
        "the call did not end before the client's deadline",
    )
    .into()
}
