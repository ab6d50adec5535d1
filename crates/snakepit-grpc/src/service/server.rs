//! The service: one short method per rpc, which calls the module that answers it.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt as _;
use snakepit_core::host_tools::HostState;
use snakepit_core::id::{SessionId, WorkerId};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::caller::Caller;
use super::gateway::{Gateway, PeerTool};
use super::peer_tools::PeerTools;
use super::{Scope, ServeOptions, peer, sessions};
use crate::pb;
use crate::pb::bridge_service_server::BridgeService;

type RpcResult<T> = Result<Response<T>, Status>;

/// Serves the state of a host to gRPC clients, and with a [`Gateway`] the tools of its workers.
/// Cheap to clone.
///
/// [`serve_unix`](Self::serve_unix), [`serve_abstract`](Self::serve_abstract),
/// [`serve_tcp`](Self::serve_tcp) and `serve_tls` (with the feature `tls`) serve it on a socket.
#[derive(Clone)]
pub struct BridgeServer {
    pub(super) inner: Arc<Inner>,
    /// Limit of one answer in bytes.
    pub(super) max_message: usize,
    /// Finds the worker to which a process belongs. `None` if no client is a worker.
    workers: Option<FindWorker>,
}

/// Returns the worker to which a process belongs, if any.
pub type FindWorker = Arc<dyn Fn(u32) -> Option<WorkerId> + Send + Sync>;

pub(super) struct Inner {
    pub(super) state: HostState,
    pub(super) gateway: Option<Arc<dyn Gateway>>,
    pub(super) peers: Arc<PeerTools>,
}

impl BridgeServer {
    /// Serves this state. Clients cannot run tools of workers: `ExecuteTool` and similar rpcs
    /// answer PERMISSION_DENIED.
    pub fn new(state: HostState) -> Self {
        Self::build(state, None)
    }

    /// Serves this state and lets clients run tools.
    pub fn with_gateway(state: HostState, gateway: Arc<dyn Gateway>) -> Self {
        Self::build(state, Some(gateway))
    }

    fn build(state: HostState, gateway: Option<Arc<dyn Gateway>>) -> Self {
        // All servers of a state know the same tools.
        let peers = state.extension(|| {
            let peers = Arc::new(PeerTools::default());
            let ended = Arc::downgrade(&peers);
            state.sessions().on_end(move |session, generation, _| {
                if let Some(peers) = ended.upgrade() {
                    peers.forget(session, generation);
                }
            });
            peers
        });
        let inner = Inner {
            state,
            gateway,
            peers,
        };
        Self {
            inner: Arc::new(inner),
            max_message: ServeOptions::default().max_message,
            workers: None,
        }
    }

    /// Lets workers of the host register tools as what they are, whatever names they choose for
    /// themselves. `find` identifies them by their processes, which only Unix sockets report.
    #[must_use]
    pub fn for_workers(mut self, find: FindWorker) -> Self {
        self.workers = Some(find);
        self
    }

    fn worker(&self, process: u32) -> Option<WorkerId> {
        self.workers.as_ref()?(process)
    }

    /// Returns the tools that a worker of the host has registered for a session.
    pub fn tools_of(&self, session: &SessionId, worker: &WorkerId) -> Vec<PeerTool> {
        let tools = self.inner.peers.of_worker(session, worker.as_str());
        tools.iter().map(|tool| PeerTool::clone(tool)).collect()
    }

    /// Drops all tools that a peer has registered under the name that it chose, because the peer is
    /// gone. Returns their number.
    pub fn forget_peer(&self, worker: &str) -> usize {
        self.inner.peers.forget_worker(worker)
    }
}

impl fmt::Debug for BridgeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeServer")
            .field("state", &self.inner.state)
            .field("gateway", &self.inner.gateway.is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl BridgeService for BridgeServer {
    type ExecuteStreamingToolStream = BoxStream<pb::ToolChunk>;
    type StreamTelemetryStream = BoxStream<pb::TelemetryEvent>;
    type ExecuteToolManyStream = BoxStream<pb::ExecuteToolResponse>;
    type WatchVariablesStream = BoxStream<pb::VariableChange>;
    type StreamElixirToolStream = BoxStream<pb::ToolChunk>;

    async fn ping(&self, request: Request<pb::PingRequest>) -> RpcResult<pb::PingResponse> {
        Ok(Response::new(sessions::ping(&request.into_inner())))
    }

    async fn initialize_session(
        &self,
        request: Request<pb::InitializeSessionRequest>,
    ) -> RpcResult<pb::InitializeSessionResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let fits = Caller::of(&request).within(self.max_message);
        self.inner
            .initialize_session(request.into_inner())
            .and_then(fits)
    }

    async fn cleanup_session(
        &self,
        request: Request<pb::CleanupSessionRequest>,
    ) -> RpcResult<pb::CleanupSessionResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        self.inner
            .cleanup_session(request.into_inner())
            .map(Response::new)
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> RpcResult<pb::GetSessionResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let fits = Caller::of(&request).within(self.max_message);
        self.inner.get_session(request.into_inner()).and_then(fits)
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> RpcResult<pb::HeartbeatResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        Ok(Response::new(self.inner.heartbeat(request.into_inner())))
    }

    async fn execute_tool(
        &self,
        request: Request<pb::ExecuteToolRequest>,
    ) -> RpcResult<pb::ExecuteToolResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let caller = Caller::of(&request);
        let answer = self.inner.execute_tool(
            request.into_inner(),
            &caller,
            caller.limit(self.max_message),
        );
        answer.await.map(|answer| caller.answer(answer))
    }

    async fn execute_streaming_tool(
        &self,
        request: Request<pb::ExecuteToolRequest>,
    ) -> RpcResult<Self::ExecuteStreamingToolStream> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let caller = Caller::of(&request);
        let answer = self.inner.execute_streaming_tool(
            request.into_inner(),
            &caller,
            caller.limit(self.max_message),
        );
        answer.await.map(|answer| caller.answer(answer))
    }

    async fn execute_tool_many(
        &self,
        request: Request<Streaming<pb::ExecuteToolRequest>>,
    ) -> RpcResult<Self::ExecuteToolManyStream> {
        let (caller, scope) = (Caller::of(&request), Scope::of(&request));
        let requests = request.into_inner().map(move |request| {
            let request = request?;
            scope.check(&request.session_id)?;
            Ok(request)
        });
        let inner = Arc::clone(&self.inner);
        inner
            .execute_tool_many(requests, caller.clone(), caller.limit(self.max_message))
            .map(|answers| caller.answer(answers))
    }

    async fn cancel_call(
        &self,
        _: Request<pb::CancelCallRequest>,
    ) -> RpcResult<pb::CancelCallResponse> {
        Err(Status::unimplemented(
            "clients of the host cancel a call by ending its request",
        ))
    }

    async fn register_tools(
        &self,
        request: Request<pb::RegisterToolsRequest>,
    ) -> RpcResult<pb::RegisterToolsResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let worker = peer::process(&request).and_then(|process| self.worker(process));
        Ok(Response::new(
            self.inner
                .register_tools(request.into_inner(), worker.as_ref()),
        ))
    }

    async fn get_exposed_elixir_tools(
        &self,
        request: Request<pb::GetExposedElixirToolsRequest>,
    ) -> RpcResult<pb::GetExposedElixirToolsResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let fits = Caller::of(&request).within(self.max_message);
        self.inner
            .exposed_tools(&request.into_inner().session_id)
            .and_then(fits)
    }

    async fn execute_elixir_tool(
        &self,
        request: Request<pb::ExecuteElixirToolRequest>,
    ) -> RpcResult<pb::ExecuteElixirToolResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let caller = Caller::of(&request);
        let answer = self.inner.call_host_tool(
            request.into_inner(),
            &caller,
            caller.limit(self.max_message),
        );
        Ok(caller.answer(answer.await))
    }

    async fn stream_elixir_tool(
        &self,
        request: Request<pb::ExecuteElixirToolRequest>,
    ) -> RpcResult<Self::StreamElixirToolStream> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let caller = Caller::of(&request);
        self.inner
            .stream_host_tool(
                &request.into_inner(),
                &caller,
                caller.limit(self.max_message),
            )
            .map(|answer| caller.answer(answer))
    }

    async fn stream_telemetry(
        &self,
        _: Request<Streaming<pb::TelemetryControl>>,
    ) -> RpcResult<Self::StreamTelemetryStream> {
        Err(Status::unimplemented(
            "this host has no telemetry for its clients",
        ))
    }

    async fn describe(
        &self,
        request: Request<pb::DescribeRequest>,
    ) -> RpcResult<pb::DescribeResponse> {
        Caller::of(&request).within(self.max_message)(self.inner.describe())
    }

    async fn register_variable(
        &self,
        request: Request<pb::RegisterVariableRequest>,
    ) -> RpcResult<pb::RegisterVariableResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let origin = peer::origin(&request);
        self.inner
            .register_variable(request.into_inner(), origin)
            .map(Response::new)
    }

    async fn get_variables(
        &self,
        request: Request<pb::GetVariablesRequest>,
    ) -> RpcResult<pb::GetVariablesResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let limit = Caller::of(&request).limit(self.max_message);
        self.inner
            .get_variables(request.into_inner(), limit)
            .map(Response::new)
    }

    async fn set_variables(
        &self,
        request: Request<pb::SetVariablesRequest>,
    ) -> RpcResult<pb::SetVariablesResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let origin = peer::origin(&request);
        self.inner
            .set_variables(request.into_inner(), origin)
            .map(Response::new)
    }

    async fn delete_variable(
        &self,
        request: Request<pb::DeleteVariableRequest>,
    ) -> RpcResult<pb::DeleteVariableResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let origin = peer::origin(&request);
        self.inner
            .delete_variable(&request.into_inner(), origin)
            .map(Response::new)
    }

    async fn list_variables(
        &self,
        request: Request<pb::ListVariablesRequest>,
    ) -> RpcResult<pb::ListVariablesResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let limit = Caller::of(&request).limit(self.max_message);
        self.inner
            .list_variables(&request.into_inner(), limit)
            .map(Response::new)
    }

    async fn watch_variables(
        &self,
        request: Request<pb::WatchVariablesRequest>,
    ) -> RpcResult<Self::WatchVariablesStream> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        self.inner
            .watch_variables(request.into_inner())
            .map(Response::new)
    }

    async fn put_program(
        &self,
        request: Request<pb::PutProgramRequest>,
    ) -> RpcResult<pb::PutProgramResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        self.inner
            .put_program(request.into_inner())
            .map(Response::new)
    }

    async fn get_program(
        &self,
        request: Request<pb::GetProgramRequest>,
    ) -> RpcResult<pb::GetProgramResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let fits = Caller::of(&request).within(self.max_message);
        self.inner.get_program(&request.into_inner()).and_then(fits)
    }

    async fn delete_program(
        &self,
        request: Request<pb::DeleteProgramRequest>,
    ) -> RpcResult<pb::DeleteProgramResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        self.inner
            .delete_program(&request.into_inner())
            .map(Response::new)
    }

    async fn list_programs(
        &self,
        request: Request<pb::ListProgramsRequest>,
    ) -> RpcResult<pb::ListProgramsResponse> {
        Scope::of(&request).check(&request.get_ref().session_id)?;
        let fits = Caller::of(&request).within(self.max_message);
        self.inner
            .list_programs(&request.into_inner())
            .and_then(fits)
    }
}
