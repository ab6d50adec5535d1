//! The connections to a worker, and the first exchange with it.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use snakepit_core::error::ToolError;
use snakepit_core::id::SessionId;
use snakepit_core::worker::WorkerInfo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower_service::Service;

use super::failure::{reported, told};
use super::{Capabilities, GrpcWorker};
use crate::convert;
use crate::frame::MAX_HEAD;
use crate::link::Source;
use crate::link::spans::Spans;
use crate::pb;
use crate::pb::bridge_service_client::BridgeServiceClient;
use crate::preamble::PROTOCOL_VERSION;
use crate::service::Address;

pub(super) type Client = BridgeServiceClient<Channel>;

/// Bytes that the worker may send ahead, on one stream and on one connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// Bytes of a message besides its payload.
const AROUND: usize = 64 << 10;

/// Decides whether the process that has accepted a connection is the worker. It receives the id of
/// the process; `None` if the transport does not tell.
pub type PeerCheck = Arc<dyn Fn(Option<u32>) -> Result<(), String> + Send + Sync>;

/// The reason for which a worker cannot be used from the beginning.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no connection.
    #[error("nothing accepts connections at {address}: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// The error of the system.
        reason: String,
    },
    /// Another process listens at the address.
    #[error("{0}")]
    Stranger(String),
    /// The worker has answered a request of the start with an error.
    #[error("`{rpc}` failed: {reason}")]
    Rpc {
        /// Name of the rpc.
        rpc: &'static str,
        /// Code and message of the status.
        reason: String,
    },
    /// The worker has reported that it cannot start.
    #[error(transparent)]
    Refused(Box<ToolError>),
    /// The worker's description of itself cannot be used.
    #[error(transparent)]
    Description(Box<ToolError>),
}

impl GrpcWorker {
    /// Connects to a worker, and waits until it has described itself. A worker that does not
    /// implement `Describe` is given a session named `session` for all calls that have none.
    ///
    /// # Errors
    /// See [`ConnectError`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the connections.
    pub async fn connect(
        address: Address,
        check: PeerCheck,
        source: Source,
        session: SessionId,
        limit: usize,
    ) -> Result<Self, ConnectError> {
        let connector = Connector {
            address,
            check,
            refusal: Arc::default(),
        };
        let calls = BridgeServiceClient::new(connector.open().await?)
            .max_decoding_message_size(limit.saturating_add(AROUND))
            .max_encoding_message_size(usize::MAX);
        let aside =
            BridgeServiceClient::new(connector.open().await?).max_decoding_message_size(MAX_HEAD);
        ping(&aside).await?;
        let description = describe(&aside).await?;
        let private = description.is_none().then_some(session);
        if let Some(session) = &private {
            initialize(&aside, session).await?;
        }
        let (info, can) = match description {
            Some(description) => {
                let can = Capabilities::read(&description.capabilities);
                (convert::worker_info(description), can)
            }
            None => (WorkerInfo::default(), Capabilities::undescribed()),
        };
        let spans = Spans::default();
        spans.belong(source);
        Ok(Self {
            calls,
            aside,
            info,
            can,
            private,
            limit,
            spans,
            open: Mutex::default(),
            refusals: AtomicU32::new(0),
            broken: watch::Sender::new(None),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        })
    }
}

async fn ping(client: &Client) -> Result<(), ConnectError> {
    let request = pb::PingRequest {
        message: "connection_test".to_owned(),
    };
    let answer = client.clone().ping(request).await;
    answer.map(drop).map_err(|status| failed("Ping", &status))
}

/// Returns the worker's description. `None` if it does not describe itself.
async fn describe(client: &Client) -> Result<Option<pb::DescribeResponse>, ConnectError> {
    let request = pb::DescribeRequest {
        protocol_version: PROTOCOL_VERSION,
    };
    match client.clone().describe(request).await {
        Ok(answer) => {
            let encoded = answer.into_inner().encode_to_vec().into();
            let description = convert::description(&encoded);
            description.map(Some).map_err(ConnectError::Description)
        }
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(match reported(&status) {
            Some(error) => ConnectError::Refused(Box::new(convert::start_error(error))),
            None => failed("Describe", &status),
        }),
    }
}

async fn initialize(client: &Client, session: &SessionId) -> Result<(), ConnectError> {
    let request = pb::InitializeSessionRequest {
        session_id: session.as_str().to_owned(),
        metadata: HashMap::new(),
        config: None,
    };
    let failed = |reason: String| ConnectError::Rpc {
        rpc: "InitializeSession",
        reason,
    };
    match client.clone().initialize_session(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            if answer.success {
                return Ok(());
            }
            Err(failed(answer.error_message))
        }
        // A worker without sessions.
        Err(status) if status.code() == Code::Unimplemented => Ok(()),
        Err(status) => Err(failed(told(&status))),
    }
}

fn failed(rpc: &'static str, status: &Status) -> ConnectError {
    ConnectError::Rpc {
        rpc,
        reason: told(status),
    }
}

/// Opens connections to one address. A connection that is lost while no call uses it is replaced.
#[derive(Clone)]
struct Connector {
    address: Address,
    check: PeerCheck,
    /// The reason for which the process at the address was rejected. `None` if it was not.
    refusal: Arc<Mutex<Option<String>>>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connector {
    async fn open(&self) -> Result<Channel, ConnectError> {
        let endpoint = Endpoint::from_static("http://localhost")
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1);
        let channel = endpoint.connect_with_connector(self.clone()).await;
        channel.map_err(|error| match self.refusal() {
            Some(reason) => ConnectError::Stranger(reason),
            None => ConnectError::Unreachable {
                address: self.address.to_string(),
                reason: innermost(&error),
            },
        })
    }

    fn refusal(&self) -> Option<String> {
        let refusal = self.refusal.lock();
        refusal.ok().and_then(|refusal| refusal.clone())
    }

    async fn connect(self) -> io::Result<TokioIo<Box<dyn Stream>>> {
        let (stream, pid): (Box<dyn Stream>, _) = match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let pid = stream.peer_cred()?.pid();
                (
                    Box::new(stream),
                    pid.and_then(|pid| u32::try_from(pid).ok()),
                )
            }
            Address::Abstract(_) => return Err(io::ErrorKind::Unsupported.into()),
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                (Box::new(stream), None)
            }
        };
        let check = Arc::clone(&self.check);
        // It reads the system's tables of processes.
        let checked = tokio::task::spawn_blocking(move || check(pid)).await;
        checked.map_err(io::Error::other)?.map_err(|reason| {
            if let Ok(mut refusal) = self.refusal.lock() {
                *refusal = Some(reason.clone());
            }
            io::Error::other(reason)
        })?;
        Ok(TokioIo::new(stream))
    }
}

impl<T> Service<T> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: T) -> Self::Future {
        Pin::from(Box::new(self.clone().connect()) as Box<_>)
    }
}

/// Returns the text of the cause of an error.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
