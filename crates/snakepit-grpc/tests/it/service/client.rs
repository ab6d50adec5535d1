//! Clients of a served host.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr as SocketName;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use prost::Message as _;
use prost_types::Any;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_grpc::pb;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::service::{Address, ServeOptions, Serving, Token};
use tokio::net::UnixStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::host::{self, Signals};

pub(crate) type Client = BridgeServiceClient<InterceptedService<Channel, Bearer>>;

/// Adds a token to each request.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// A host with all its tools on a Unix socket, and a client.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) state: HostState,
    pub(crate) signals: Signals,
    pub(crate) serving: Serving,
    pub(crate) _directory: tempfile::TempDir,
}

pub(crate) async fn served() -> Served {
    served_with(HostStateConfig::new(), &ServeOptions::new()).await
}

pub(crate) async fn served_with(config: HostStateConfig, options: &ServeOptions) -> Served {
    let (server, state, signals) = host::server(config);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s").join("host.sock");
    let serving = server.serve_unix(&path, options).await.unwrap();
    let client = connect(serving.address(), None).await;
    Served {
        client,
        state,
        signals,
        serving,
        _directory: directory,
    }
}

pub(crate) fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) async fn connect(address: &Address, token: Option<&Token>) -> Client {
    let token = token.map(|token| token.secret().to_owned());
    BridgeServiceClient::with_interceptor(channel(address).await, Bearer(token))
        .max_decoding_message_size(256 << 20)
}

pub(crate) async fn channel(address: &Address) -> Channel {
    match address {
        Address::Tcp(address) => {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            endpoint.connect().await.unwrap()
        }
        Address::Abstract(name) => {
            let name = name.clone();
            let connector = tower::service_fn(move |_| {
                let address = SocketName::from_abstract_name(&name).unwrap();
                async move {
                    let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
                    stream.set_nonblocking(true)?;
                    UnixStream::from_std(stream).map(TokioIo::new)
                }
            });
            let endpoint = Endpoint::from_static("http://localhost");
            endpoint.connect_with_connector(connector).await.unwrap()
        }
        Address::Unix(path) => {
            let path: PathBuf = path.clone();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            let endpoint = Endpoint::from_static("http://localhost");
            endpoint.connect_with_connector(connector).await.unwrap()
        }
    }
}

/// Returns a parameter as JSON under the type URL of a string.
pub(crate) fn json(text: &str) -> Any {
    Any {
        type_url: "type.googleapis.com/google.protobuf.StringValue".into(),
        value: text.into(),
    }
}

pub(crate) fn tool_call(
    session: &str,
    tool: &str,
    parameters: &[(&str, &str)],
) -> pb::ExecuteToolRequest {
    pb::ExecuteToolRequest {
        session_id: session.into(),
        tool_name: tool.into(),
        parameters: parameters
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json(text)))
            .collect(),
        ..pb::ExecuteToolRequest::default()
    }
}

pub(crate) fn host_call(
    session: &str,
    tool: &str,
    parameters: &[(&str, &str)],
) -> pb::ExecuteElixirToolRequest {
    let call = tool_call(session, tool, parameters);
    pb::ExecuteElixirToolRequest {
        session_id: call.session_id,
        tool_name: call.tool_name,
        parameters: call.parameters,
        ..pb::ExecuteElixirToolRequest::default()
    }
}

/// Creates a session.
pub(crate) async fn open(client: &mut Client, session: &str) {
    let request = pb::InitializeSessionRequest {
        session_id: session.into(),
        ..pb::InitializeSessionRequest::default()
    };
    let answer = client.initialize_session(request).await.unwrap();
    assert!(answer.into_inner().success);
}

/// `google.rpc.Status`, with the field that the tests need.
#[derive(Clone, PartialEq, prost::Message)]
struct RichStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// Decodes the error in the details of a status.
pub(crate) fn details(status: &Status) -> pb::ToolError {
    let rich = RichStatus::decode(status.details()).unwrap();
    pb::ToolError::decode(rich.details[0].value.as_slice()).unwrap()
}
