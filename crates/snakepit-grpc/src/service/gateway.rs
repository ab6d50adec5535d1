//! The interface through which clients run the tools of workers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use snakepit_core::error::{Error, ToolError};
use snakepit_core::events::{TraceContext, TraceState};
use snakepit_core::id::SessionId;
use snakepit_core::state::Session;
use snakepit_core::value::{Metadata, Payload};
use snakepit_core::worker::ToolInfo;

/// Results of one streaming tool. The stream ends after the last result or after the first error.
/// Dropping it cancels the call.
pub type GatewayStream = Pin<Box<dyn Stream<Item = Result<Payload, Error>> + Send>>;

/// Runs the tools of workers for clients.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Runs one call.
    ///
    /// # Errors
    /// The error of the call. A tool that does not exist is
    /// [`ErrorCode::UnknownTool`](snakepit_core::error::ErrorCode::UnknownTool).
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    async fn execute(&self, call: GatewayCall) -> Result<Payload, Error>;

    /// Starts one streaming call.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute); errors after the start are the last item.
    async fn execute_stream(&self, call: GatewayCall) -> Result<GatewayStream, Error>;

    /// Returns the available tools.
    fn tools(&self) -> Vec<ToolInfo>;

    /// Returns `true` if calls find workers, which `grpc.health.v1` reports to clients. Called
    /// often, so it must be fast.
    fn is_ready(&self) -> bool {
        true
    }

    /// Approves the tools that a peer is about to register for a session. Their names are valid and
    /// unique. If this fails, none of them is registered.
    ///
    /// # Errors
    /// The reason for the rejection.
    fn register_tools(
        &self,
        session: &Session,
        worker: &str,
        tools: &[PeerTool],
    ) -> Result<(), Box<ToolError>>;
}

/// One call of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayCall {
    /// The client's session, which exists. `None` for a call without one.
    pub session: Option<SessionId>,
    /// Name of the tool.
    pub tool: String,
    /// The arguments: a map or a list.
    pub args: Payload,
    /// Time until the client stops waiting.
    pub timeout: Option<Duration>,
    /// The peer that has registered this tool for the session, by the name that it chose. `None`
    /// for a tool of the host's own pools.
    pub peer: Option<Arc<str>>,
    /// `true` if that peer is a worker of the host and `peer` its id. Another peer may choose the
    /// same name.
    pub peer_is_worker: bool,
    /// Metadata that the client sent with the call.
    pub metadata: Metadata,
    /// The client's span, from the header `traceparent`.
    pub trace: Option<TraceContext>,
    /// The trace state that belongs to that span, from the header `tracestate`.
    pub trace_state: TraceState,
    /// Correlation id for the records of the call, from the header `x-snakepit-correlation-id`.
    pub correlation: Option<Arc<str>>,
}

/// One tool that a peer has registered for a session.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PeerTool {
    /// The tool's name.
    pub name: String,
    /// The tool's description.
    pub description: String,
    /// `true` if the tool returns a stream of results.
    pub streaming: bool,
    /// The tool's metadata.
    pub metadata: Metadata,
}
