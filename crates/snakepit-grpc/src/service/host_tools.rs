//! Tools of the host for clients, and the registration of clients' tools.

use std::collections::HashMap;
use std::sync::Arc;

use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::host_tools::ToolCall;
use snakepit_core::id::{SessionId, WorkerId};
use snakepit_core::value::Payload;
use tokio::time::Instant;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::arguments::{self, Form};
use super::caller::Caller;
use super::chunks::{Chunks, Served};
use super::server::Inner;
use super::status::{Fault, from_tool, invalid, short_name, state_error};
use super::tool_specs;
use crate::pb;

/// Largest size in bytes of the name that a peer chooses for itself.
const MAX_WORKER: usize = 128;

impl Inner {
    pub(super) fn exposed_tools(
        &self,
        session: &str,
    ) -> Result<pb::GetExposedElixirToolsResponse, Status> {
        let session = self.optional_session(session)?;
        let tools = self.state.tools().list_exposed(session.as_ref());
        let tools = tools.into_iter().map(tool_specs::of_host_tool).collect();
        Ok(pb::GetExposedElixirToolsResponse { tools })
    }

    /// Calls a host tool. Every failure is part of the answer, where clients expect it.
    pub(super) async fn call_host_tool(
        &self,
        request: pb::ExecuteElixirToolRequest,
        caller: &Caller,
        max_message: usize,
    ) -> pb::ExecuteElixirToolResponse {
        let started = Instant::now();
        let mut response = pb::ExecuteElixirToolResponse::default();
        let result = async {
            let (call, args, form) = self.prepare(&request, caller)?;
            let reply = self
                .state
                .tools()
                .call(call, &request.tool_name, args)
                .await;
            let reply = reply.map_err(|error| self.client_error(&request, error))?;
            arguments::apart(&reply, move |reply| {
                arguments::any_result(reply, form, max_message)
            })
            .await
        };
        match result.await {
            Ok((any, binary)) => {
                response.success = true;
                (response.result, response.binary_result) = (Some(any), binary);
            }
            Err(error) => {
                response.metadata = error_metadata(&error);
                response.error_message = error.message;
            }
        }
        let millis = started.elapsed().as_millis();
        response
            .metadata
            .insert("execution_time".to_owned(), millis.to_string());
        response.execution_time_ms = i64::try_from(millis).unwrap_or(i64::MAX);
        response
    }

    pub(super) fn stream_host_tool(
        &self,
        request: &pb::ExecuteElixirToolRequest,
        caller: &Caller,
        max_message: usize,
    ) -> Result<BoxStream<pb::ToolChunk>, Status> {
        let (call, args, form) = self.prepare(request, caller).map_err(from_tool)?;
        let stream = self
            .state
            .tools()
            .open_stream(call, &request.tool_name, args);
        let stream = stream.map_err(|error| from_tool(self.client_error(request, error)))?;
        let chunks = Chunks::new(&request.tool_name, form, max_message, Served::Local, stream);
        Ok(chunks.into_stream())
    }

    /// Returns the call and the arguments of a host tool, and the form of its result.
    fn prepare(
        &self,
        request: &pb::ExecuteElixirToolRequest,
        caller: &Caller,
    ) -> Result<(ToolCall, Payload, Form), Fault> {
        let form = arguments::any_form(&arguments::metadata(request.metadata.clone())?)?;
        let session = self
            .session_of_call(&request.session_id)
            .map_err(|mut error| {
                if error.code == ErrorCode::UnknownSession {
                    error.message = format!("not_found: {}", error.message);
                }
                error
            })?;
        let args = arguments::named(&request.parameters, &HashMap::new())?;
        let mut call = ToolCall::new();
        call.session = session;
        caller.name(&mut call);
        Ok((call, args, form))
    }

    /// Returns the session that a call names, if any. The session must exist.
    pub(super) fn session_of_call(&self, id: &str) -> Result<Option<SessionId>, Fault> {
        if id.is_empty() {
            return Ok(None);
        }
        let session = self.state.sessions().get(&SessionId::new(id));
        session
            .map(|session| Some(session.id().clone()))
            .map_err(state_error)
    }

    /// Rewrites an error into the text that clients of the wire expect.
    fn client_error(&self, request: &pb::ExecuteElixirToolRequest, mut error: Fault) -> Fault {
        let (tool, session) = (&request.tool_name, &request.session_id);
        let unknown = error.code == ErrorCode::UnknownHostTool
            && !self
                .state
                .tools()
                .is_exposed(Some(&SessionId::new(session.as_str())), tool);
        error.message = if !unknown {
            format!("Tool execution failed: {error}")
        } else if self
            .peers
            .get(&SessionId::new(session.as_str()), tool)
            .is_some()
        {
            format!("Tool {} is not an Elixir tool", short_name(tool))
        } else {
            format!(
                "Tool {} not found for session {}",
                short_name(tool),
                short_name(session)
            )
        };
        error.type_name.clear();
        error
    }

    /// Registers the tools of a peer for a session; `worker` is its name if it is a worker of the
    /// host. Every failure is part of the answer.
    pub(super) fn register_tools(
        &self,
        request: pb::RegisterToolsRequest,
        worker: Option<&WorkerId>,
    ) -> pb::RegisterToolsResponse {
        let session = request.session_id.clone();
        let asked: Vec<String> = request.tools.iter().map(|tool| tool.name.clone()).collect();
        match self.try_register(request, worker) {
            Ok(names) => pb::RegisterToolsResponse {
                success: true,
                error_message: left_out(&asked, &names),
                tool_ids: names
                    .into_iter()
                    .map(|name| (name.clone(), format!("{session}:{name}")))
                    .collect(),
            },
            Err(error) => pb::RegisterToolsResponse {
                error_message: error.message,
                ..pb::RegisterToolsResponse::default()
            },
        }
    }

    fn try_register(
        &self,
        request: pb::RegisterToolsRequest,
        known: Option<&WorkerId>,
    ) -> Result<Vec<String>, Fault> {
        if request.worker_id.len() > MAX_WORKER {
            let message = format!("the worker's id has more than {MAX_WORKER} bytes");
            return Err(invalid(message));
        }
        let session = self
            .state
            .sessions()
            .get(&SessionId::from(request.session_id));
        let session = session.map_err(state_error)?;
        let mut tools: Vec<_> = request
            .tools
            .into_iter()
            .map(tool_specs::from_registration)
            .collect();
        let own = self.state.tools().list(Some(session.id()));
        let taken: Vec<String> = own.into_iter().map(|info| info.name).collect();
        let worker = match known {
            Some(known) => Arc::from(known.as_str()),
            None => Arc::from(request.worker_id),
        };
        let changes = self
            .peers
            .register(&session, &worker, tools.clone(), &taken, known.is_some())
            .map_err(|error| Box::new(error.into()))?;
        tools.retain(|tool| changes.contains_key(&tool.name));
        if let Some(gateway) = &self.gateway
            && let Err(error) = gateway.register_tools(&session, &worker, &tools)
        {
            self.peers.undo(&session, changes);
            return Err(error);
        }
        Ok(changes.into_keys().collect())
    }
}

/// Names the tools that were not registered; empty if there are none.
fn left_out(asked: &[String], registered: &[String]) -> String {
    let left = asked.iter().filter(|name| !registered.contains(name));
    let left: Vec<_> = left.map(String::as_str).collect();
    if left.is_empty() {
        return String::new();
    }
    let names = left.join(", ");
    format!("not registered, because host tools have these names: {names}")
}

/// Returns the parts of an error that the answer's text does not contain.
fn error_metadata(error: &ToolError) -> HashMap<String, String> {
    let mut metadata = HashMap::from([("error_code".to_owned(), error.code.to_string())]);
    if !error.help.is_empty() {
        metadata.insert("error_help".to_owned(), error.help.clone());
    }
    metadata
}
