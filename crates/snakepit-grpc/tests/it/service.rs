//! The generated gRPC client and server talk to each other.

use hyper_util::rt::TokioIo;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::pb::bridge_service_server::{BridgeService, BridgeServiceServer};
use snakepit_grpc::pb::*;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// A worker that only describes itself.
struct Worker;

type Answer<T> = Result<Response<T>, Status>;

/// Streams that no test opens.
type Nothing<T> = futures_util::stream::Empty<Result<T, Status>>;

fn refused<T>() -> Answer<T> {
    Err(Status::unimplemented("not part of this test"))
}

#[tonic::async_trait]
impl BridgeService for Worker {
    type ExecuteStreamingToolStream = Nothing<ToolChunk>;
    type StreamTelemetryStream = Nothing<TelemetryEvent>;
    type ExecuteToolManyStream = Nothing<ExecuteToolResponse>;

    async fn ping(&self, request: Request<PingRequest>) -> Answer<PingResponse> {
        let message = format!("{} back", request.into_inner().message);
        Ok(Response::new(PingResponse {
            message,
            ..Default::default()
        }))
    }

    async fn describe(&self, _: Request<DescribeRequest>) -> Answer<DescribeResponse> {
        let tools = vec![ToolSpec {
            name: "mean".into(),
            ..Default::default()
        }];
        Ok(Response::new(DescribeResponse {
            tools,
            ..Default::default()
        }))
    }

    async fn initialize_session(
        &self,
        _: Request<InitializeSessionRequest>,
    ) -> Answer<InitializeSessionResponse> {
        refused()
    }

    async fn cleanup_session(
        &self,
        _: Request<CleanupSessionRequest>,
    ) -> Answer<CleanupSessionResponse> {
        refused()
    }

    async fn get_session(&self, _: Request<GetSessionRequest>) -> Answer<GetSessionResponse> {
        refused()
    }

    async fn heartbeat(&self, _: Request<HeartbeatRequest>) -> Answer<HeartbeatResponse> {
        refused()
    }

    async fn execute_tool(&self, _: Request<ExecuteToolRequest>) -> Answer<ExecuteToolResponse> {
        refused()
    }

    async fn execute_streaming_tool(
        &self,
        _: Request<ExecuteToolRequest>,
    ) -> Answer<Self::ExecuteStreamingToolStream> {
        refused()
    }

    async fn execute_tool_many(
        &self,
        _: Request<Streaming<ExecuteToolRequest>>,
    ) -> Answer<Self::ExecuteToolManyStream> {
        refused()
    }

    async fn register_tools(
        &self,
        _: Request<RegisterToolsRequest>,
    ) -> Answer<RegisterToolsResponse> {
        refused()
    }

    async fn get_exposed_elixir_tools(
        &self,
        _: Request<GetExposedElixirToolsRequest>,
    ) -> Answer<GetExposedElixirToolsResponse> {
        refused()
    }

    async fn execute_elixir_tool(
        &self,
        _: Request<ExecuteElixirToolRequest>,
    ) -> Answer<ExecuteElixirToolResponse> {
        refused()
    }

    async fn stream_telemetry(
        &self,
        _: Request<Streaming<TelemetryControl>>,
    ) -> Answer<Self::StreamTelemetryStream> {
        refused()
    }
}

#[tokio::test]
async fn ping_and_describe() {
    let (host, worker) = tokio::io::duplex(64 * 1024);
    let incoming = futures_util::stream::iter([Ok::<_, std::io::Error>(worker)]);
    let server = Server::builder()
        .add_service(BridgeServiceServer::new(Worker))
        .serve_with_incoming(incoming);
    let client = async move {
        let mut host = Some(host);
        let connector = tower::service_fn(move |_| {
            let stream = host
                .take()
                .map(TokioIo::new)
                .ok_or(std::io::ErrorKind::NotConnected);
            async move { stream.map_err(std::io::Error::from) }
        });
        let endpoint = Endpoint::from_static("http://worker");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        let mut client = BridgeServiceClient::new(channel);
        let ping = PingRequest {
            message: "there and".into(),
        };
        assert_eq!(
            client.ping(ping).await.unwrap().into_inner().message,
            "there and back"
        );
        let answer = client
            .describe(DescribeRequest::default())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.tools[0].name, "mean");
        let error = client
            .heartbeat(HeartbeatRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unimplemented);
    };
    // The server ends with its only connection, which ends with the client.
    let (served, ()) = tokio::join!(server, client);
    served.unwrap();
}
