//! What runs the tools of workers for clients.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use snakepit_core::{
    Error, Metadata, Payload, Session, SessionId, ToolError, ToolInfo, TraceContext, TraceState,
};

/// Results of one streaming tool. It ends after the last one or after the first error. Dropping it cancels the call.
pub type GatewayStream = Pin<Box<dyn Stream<Item = Result<Payload, Error>> + Send>>;

/// Runs the tools of workers for clients.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Runs one call.
    ///
    /// # Errors
    /// Why it failed. A tool that does not exist is [`ErrorCode::UnknownTool`](snakepit_core::ErrorCode::UnknownTool).
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    async fn execute(&self, call: GatewayCall) -> Result<Payload, Error>;

    /// Starts one streaming call.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); errors after the start come as the last item.
    async fn execute_stream(&self, call: GatewayCall) -> Result<GatewayStream, Error>;

    /// The tools that there are.
    fn tools(&self) -> Vec<ToolInfo>;

    /// Calls find workers: what `grpc.health.v1` tells clients. It is asked often and must be quick.
    fn is_ready(&self) -> bool {
        true
    }

    /// A peer is about to register tools of its own for a session. Names are valid and unique; what is refused here is not registered.
    ///
    /// # Errors
    /// Why not.
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
    /// Session of the client; it exists.
    pub session: Option<SessionId>,
    /// Name of the tool.
    pub tool: String,
    /// Arguments: a map or a list.
    pub args: Payload,
    /// Time until the client stops waiting.
    pub timeout: Option<Duration>,
    /// The peer that has registered this tool for the session, by the name it gave itself; `None` for a tool of the host's own pools.
    pub peer: Option<Arc<str>>,
    /// Texts that the client sent along.
    pub metadata: Metadata,
    /// The client's span, from the header `traceparent`.
    pub trace: Option<TraceContext>,
    /// What goes with that span, from the header `tracestate`.
    pub trace_state: TraceState,
    /// Text for the records of the call, from the header `x-snakepit-correlation-id`.
    pub correlation: Option<Arc<str>>,
}

/// One tool that a peer has registered for a session.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PeerTool {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// It gives a stream of results.
    pub streaming: bool,
    /// Its metadata.
    pub metadata: Metadata,
}
