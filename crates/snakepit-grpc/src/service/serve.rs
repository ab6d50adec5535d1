//! The service on a socket.

mod accept;
mod account;
mod body;
mod error;
mod guard;
mod health;
mod received;
mod scope;
mod socket;
mod token;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use self::accept::{Listener, Tasks};
use self::guard::Guard;
use self::socket::Socket;
use super::server::BridgeServer;
use crate::pb::bridge_service_server::BridgeServiceServer;
pub use error::ServeError;
pub use scope::Scope;
pub use token::{Token, TokenError};

/// Limits of a server. Start from [`ServeOptions::new`] and change fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Largest message in bytes, both ways; 64 MiB by default.
    pub max_message: usize,
    /// Requests under way, open streams included; others are refused with RESOURCE_EXHAUSTED. 1,024 by default.
    pub max_requests: usize,
    /// Connections; others wait to be accepted. 256 by default.
    pub max_connections: usize,
    /// Requests under way on one connection; 256 by default.
    pub max_streams: u32,
    /// Bytes of answers that one client has not taken yet; 64 MiB by default. Beyond half of it the client's next request waits until some
    /// are taken, and fails with RESOURCE_EXHAUSTED after 10 s; an answer beyond all of it fails at once. A single answer always fits.
    pub max_unsent_connection: usize,
    /// Bytes of answers that all clients together have not taken yet; 256 MiB by default. Beyond it a client may have 1 MiB, and from half
    /// of it on a connection whose client takes nothing for 10 s is closed.
    pub max_unsent: usize,
    /// Bytes of the messages of one client's requests, from the announcement of their length until they are answered; 128 MiB by default.
    /// A request beyond it fails with RESOURCE_EXHAUSTED. A single message always fits.
    pub max_received_connection: usize,
    /// Bytes of the messages of all requests; 256 MiB by default. Beyond it a client may have 1 MiB, and from half of it on a connection
    /// whose client sends nothing of a message for 10 s is closed.
    pub max_received: usize,
    /// Time in which a new TCP connection must make a request with the token; 10 s by default. It is closed before, as the oldest without
    /// such a request, when all connections are taken and a further one comes.
    pub patience: Duration,
    /// Further tokens on TCP, each for the clients that may use some sessions only; none by default.
    pub clients: Vec<(Token, Scope)>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_message: 64 << 20,
            max_requests: 1024,
            max_connections: 256,
            max_streams: 256,
            max_unsent_connection: 64 << 20,
            max_unsent: 256 << 20,
            max_received_connection: 128 << 20,
            max_received: 256 << 20,
            patience: Duration::from_secs(10),
            clients: Vec::new(),
        }
    }
}

impl ServeOptions {
    /// The default limits.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    /// As gRPC clients take it: `unix:<path>` or `<ip>:<port>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// A running server. Dropping it ends the server and all its connections at once.
#[must_use = "dropping it ends the server"]
pub struct Serving {
    address: Address,
    socket: Option<Socket>,
    stopping: CancellationToken,
    tasks: Tasks,
    health: HealthReporter,
    /// Follows the pools, where there are any.
    following: JoinSet<()>,
}

impl BridgeServer {
    /// Serves on a Unix socket of mode 0600. Its directory is created with mode 0700, or must be a directory of this user that nobody else
    /// may enter; a socket left behind by a server that is gone is replaced. Processes of other users are turned away.
    ///
    /// Clients on `grpcio` need the option `("grpc.default_authority", "localhost")`.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn serve_unix(
        &self,
        path: impl AsRef<Path>,
        options: &ServeOptions,
    ) -> Result<Serving, ServeError> {
        let (socket, listener) = Socket::bind(path.as_ref())?;
        let address = Address::Unix(socket.path().to_owned());
        let listener = Listener::Unix {
            listener,
            uid: socket.uid(),
        };
        Ok(self
            .serve(listener, address, Some(socket), None, options)
            .await)
    }

    /// Serves on a TCP port of a loopback address, 0 for any free one. Every request must carry the token in its metadata, as
    /// `authorization: Bearer <token>`; others are refused with UNAUTHENTICATED.
    ///
    /// # Errors
    /// See [`ServeError`]; above all an address that is not loopback, since the token would travel in the clear.
    pub async fn serve_tcp(
        &self,
        address: SocketAddr,
        token: Token,
        options: &ServeOptions,
    ) -> Result<Serving, ServeError> {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        let bind = |source| ServeError::Bind {
            address: address.to_string(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = Address::Tcp(listener.local_addr().map_err(bind)?);
        Ok(self
            .serve(Listener::Tcp(listener), address, None, Some(token), options)
            .await)
    }

    async fn serve(
        &self,
        listener: Listener,
        address: Address,
        socket: Option<Socket>,
        token: Option<Token>,
        options: &ServeOptions,
    ) -> Serving {
        let (health, health_service) = tonic_health::server::health_reporter();
        let gateway = self.inner.gateway.clone();
        let ready = gateway.as_ref().is_none_or(|gateway| gateway.is_ready());
        health::set(&health, ready).await;
        let mut following = JoinSet::new();
        if let Some(gateway) = gateway {
            following.spawn(health::follow(health.clone(), gateway, ready));
        }
        let mut server = self.clone();
        server.max_message = options.max_message;
        let service = BridgeServiceServer::new(server)
            .max_decoding_message_size(options.max_message)
            .max_encoding_message_size(options.max_message);
        let stopping = CancellationToken::new();
        let guard = Guard {
            routes: Routes::new(service).add_service(health_service).prepare(),
            tokens: token.map(|token| {
                let main = std::iter::once((token, Scope::all()));
                main.chain(options.clients.iter().cloned()).collect()
            }),
            requests: Arc::new(Semaphore::new(options.max_requests)),
            max_requests: options.max_requests,
            stopping: stopping.clone(),
        };
        let tasks = Tasks::default();
        tasks.spawn(accept::run(listener, guard, options.clone(), tasks.clone()));
        Serving {
            address,
            socket,
            stopping,
            tasks,
            health,
            following,
        }
    }
}

impl Serving {
    /// Where it listens.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Takes no more connections, ends watching streams, and waits up to `grace` for the requests under way; what is left is then ended.
    /// `true` when nothing was left.
    ///
    /// # Cancel safety
    /// Dropping the future ends everything at once.
    pub async fn stop(mut self, grace: Duration) -> bool {
        drop(self.socket.take());
        self.following.shutdown().await;
        health::set(&self.health, false).await;
        self.stopping.cancel();
        let ended = self.tasks.ended(grace).await;
        if !ended {
            self.tasks.kill().await;
        }
        ended
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tasks.kill_now();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
