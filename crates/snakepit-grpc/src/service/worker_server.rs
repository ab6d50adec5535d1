//! `WorkerServer`: a worker that serves its own tools, in Rust.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use snakepit_core::error::ToolError;
use tokio::net::UnixListener;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::status::from_tool;
use crate::pb;
use crate::pb::bridge_service_server::{BridgeService, BridgeServiceServer};

/// The chunks of one call. An error is the last item.
pub type WorkerChunks = Pin<Box<dyn Stream<Item = Result<pb::ToolChunk, Box<ToolError>>> + Send>>;

/// The tools of a worker in Rust; `docs/foreign-workers.md` states what a worker promises.
#[async_trait]
pub trait WorkerTools: Send + Sync + 'static {
    /// Describes the worker and its tools.
    fn describe(&self) -> pb::DescribeResponse;

    /// Runs one call. Its failure is part of the answer.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the call: the host has closed its connection.
    async fn execute(&self, request: pb::ExecuteToolRequest) -> pb::ExecuteToolResponse;

    /// Runs one streaming call.
    fn stream(&self, request: pb::ExecuteToolRequest) -> WorkerChunks;

    /// Stops the tool of a running call, which then ends with an error. Ignores unknown calls.
    fn cancel(&self, call: u64);

    /// Drops what the tools keep for a session that has ended.
    fn end_session(&self, session: &str);
}

/// Serves tools to one host.
pub struct WorkerServer<T> {
    tools: Arc<T>,
}

impl<T: WorkerTools> WorkerServer<T> {
    /// Creates a server of these tools.
    pub fn new(tools: T) -> Self {
        Self {
            tools: Arc::new(tools),
        }
    }

    /// Serves on a Unix socket until `end` resolves and the running calls have ended. Messages have
    /// at most `limit` bytes in both directions.
    ///
    /// # Errors
    /// The socket cannot be opened, or accepts no further connections.
    pub async fn serve_unix(
        self,
        path: impl AsRef<Path>,
        limit: usize,
        end: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = UnixListener::bind(path)?;
        let incoming = stream::unfold(listener, async |listener| {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let service = BridgeServiceServer::new(self)
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit);
        let serving = Server::builder()
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, end);
        serving.await.map_err(io::Error::other)
    }
}

impl<T> fmt::Debug for WorkerServer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerServer").finish_non_exhaustive()
    }
}

type RpcResult<T> = Result<Response<T>, Status>;

/// Implements the service: the rpcs of `own` as given, the others refused.
macro_rules! service {
    (own { $($own:tt)* } refused { $($rpc:ident($request:ty) -> $response:ty,)* }) => {
        #[async_trait]
        impl<T: WorkerTools> BridgeService for WorkerServer<T> {
            $($own)*
            $(async fn $rpc(&self, _: Request<$request>) -> RpcResult<$response> {
                Err(Status::unimplemented("a worker does not serve this"))
            })*
        }
    };
}

service! {
    own {
        type ExecuteStreamingToolStream = BoxStream<pb::ToolChunk>;
        type StreamTelemetryStream = BoxStream<pb::TelemetryEvent>;
        type ExecuteToolManyStream = BoxStream<pb::ExecuteToolResponse>;
        type WatchVariablesStream = BoxStream<pb::VariableChange>;
        type StreamElixirToolStream = BoxStream<pb::ToolChunk>;

        async fn ping(&self, request: Request<pb::PingRequest>) -> RpcResult<pb::PingResponse> {
            let message = format!("pong: {}", request.get_ref().message);
            Ok(Response::new(pb::PingResponse { message, server_time: None }))
        }

        async fn describe(&self, _: Request<pb::DescribeRequest>) -> RpcResult<pb::DescribeResponse> {
            Ok(Response::new(self.tools.describe()))
        }

        async fn execute_tool(
            &self,
            request: Request<pb::ExecuteToolRequest>,
        ) -> RpcResult<pb::ExecuteToolResponse> {
            Ok(Response::new(self.tools.execute(request.into_inner()).await))
        }

        async fn execute_streaming_tool(
            &self,
            request: Request<pb::ExecuteToolRequest>,
        ) -> RpcResult<Self::ExecuteStreamingToolStream> {
            let chunks = self.tools.stream(request.into_inner());
            Ok(Response::new(chunks.map(|chunk| chunk.map_err(from_tool)).boxed()))
        }

        async fn execute_tool_many(
            &self,
            request: Request<Streaming<pb::ExecuteToolRequest>>,
        ) -> RpcResult<Self::ExecuteToolManyStream> {
            let tools = Arc::clone(&self.tools);
            let answers = request.into_inner().then(move |request| {
                let tools = Arc::clone(&tools);
                async move { Ok(tools.execute(request?).await) }
            });
            Ok(Response::new(answers.boxed()))
        }

        async fn cancel_call(
            &self,
            request: Request<pb::CancelCallRequest>,
        ) -> RpcResult<pb::CancelCallResponse> {
            self.tools.cancel(request.get_ref().call_id);
            Ok(Response::new(pb::CancelCallResponse {}))
        }

        async fn cleanup_session(
            &self,
            request: Request<pb::CleanupSessionRequest>,
        ) -> RpcResult<pb::CleanupSessionResponse> {
            self.tools.end_session(&request.get_ref().session_id);
            Ok(Response::new(pb::CleanupSessionResponse { success: true, resources_cleaned: 0 }))
        }
    }
    refused {
        initialize_session(pb::InitializeSessionRequest) -> pb::InitializeSessionResponse,
        get_session(pb::GetSessionRequest) -> pb::GetSessionResponse,
        heartbeat(pb::HeartbeatRequest) -> pb::HeartbeatResponse,
        register_tools(pb::RegisterToolsRequest) -> pb::RegisterToolsResponse,
        get_exposed_elixir_tools(pb::GetExposedElixirToolsRequest)
            -> pb::GetExposedElixirToolsResponse,
        execute_elixir_tool(pb::ExecuteElixirToolRequest) -> pb::ExecuteElixirToolResponse,
        stream_telemetry(Streaming<pb::TelemetryControl>) -> Self::StreamTelemetryStream,
        stream_elixir_tool(pb::ExecuteElixirToolRequest) -> Self::StreamElixirToolStream,
        register_variable(pb::RegisterVariableRequest) -> pb::RegisterVariableResponse,
        get_variables(pb::GetVariablesRequest) -> pb::GetVariablesResponse,
        set_variables(pb::SetVariablesRequest) -> pb::SetVariablesResponse,
        delete_variable(pb::DeleteVariableRequest) -> pb::DeleteVariableResponse,
        list_variables(pb::ListVariablesRequest) -> pb::ListVariablesResponse,
        watch_variables(pb::WatchVariablesRequest) -> Self::WatchVariablesStream,
        put_program(pb::PutProgramRequest) -> pb::PutProgramResponse,
        get_program(pb::GetProgramRequest) -> pb::GetProgramResponse,
        delete_program(pb::DeleteProgramRequest) -> pb::DeleteProgramResponse,
        list_programs(pb::ListProgramsRequest) -> pb::ListProgramsResponse,
    }
}
