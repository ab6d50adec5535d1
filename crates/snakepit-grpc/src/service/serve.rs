//! Serves the bridge on a socket.

mod accept;
mod account;
mod body;
mod clients;
mod error;
mod guard;
mod health;
mod places;
mod reading;
mod received;
mod scope;
mod shape;
mod socket;
#[cfg(feature = "tls")]
mod tls;
mod token;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use self::accept::{Listener, Security, Tasks};
use self::guard::Guard;
use self::socket::Socket;
use super::server::BridgeServer;
use crate::pb::bridge_service_server::BridgeServiceServer;
pub use error::ServeError;
pub use scope::Scope;
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsIdentity};
pub use token::{Token, TokenError};

/// Limits of a server. Start from [`ServeOptions::new`] and change fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Largest message in bytes, in both directions; 64 MiB by default.
    pub max_message: usize,
    /// Largest answer in bytes, for clients that accept less than `max_message`; `None` by default.
    /// A client can report its own limit in the header `x-snakepit-max-message`.
    pub max_answer: Option<usize>,
    /// Largest number of concurrent requests, open streams included; further ones are rejected with
    /// RESOURCE_EXHAUSTED. 1,024 by default. Beyond it, a connection may have its share, which is
    /// this number divided by `max_connections`, and at least one.
    pub max_requests: usize,
    /// Largest number of connections; 256 by default. A further one replaces the connection that
    /// has been idle for the longest time, else the oldest one that only has requests without an
    /// end of their own, such as `WatchVariables`. On a Unix socket, the process with the most
    /// connections makes room for another one. Else the further one waits.
    pub max_connections: usize,
    /// Largest number of concurrent requests on one connection; 256 by default.
    pub max_streams: u32,
    /// Largest total size in bytes of the answers that one client has not read yet; 64 MiB by
    /// default. Beyond half of it the client's next request waits until some are read, and fails
    /// with RESOURCE_EXHAUSTED after 10 s; an answer beyond all of it fails at once. A single
    /// answer always fits.
    pub max_unsent_connection: usize,
    /// Largest total size in bytes of the answers that all clients together have not read yet; 256
    /// MiB by default. Beyond it a client may have 1 MiB. Beyond half of it, a connection whose
    /// client reads nothing for 10 s is closed.
    pub max_unsent: usize,
    /// Largest total size in bytes of the messages of one client's requests, counted from the
    /// announcement of their length until they are answered; 128 MiB by default. A request beyond
    /// it fails with RESOURCE_EXHAUSTED. The bytes of a single message always fit. What the
    /// elements of its lists and maps take in memory counts as well, while they arrive.
    pub max_received_connection: usize,
    /// Largest total size in bytes of the messages of all requests; 256 MiB by default. Beyond it a
    /// client may have 1 MiB. Beyond half of it, a connection whose client sends nothing of a
    /// message for 10 s is closed.
    pub max_received: usize,
    /// Time in which a new TCP connection must make a request with a valid token; 10 s by default.
    /// If all connections are taken and a further one arrives, the oldest connection without such a
    /// request is closed earlier.
    pub patience: Duration,
    /// Time after which a request ends whose client makes no progress; 60 s by default. A request
    /// of which nothing arrives although it is incomplete fails with DEADLINE_EXCEEDED. An answer
    /// of which the client takes nothing although its next part is ready is cancelled, after up to
    /// twice the time.
    pub stall_timeout: Duration,
    /// Token that clients on Unix and abstract sockets must send as well, although only processes
    /// of this user can connect; `None` by default. [`BridgeServer::serve_tcp`] has its own.
    pub token: Option<Token>,
    /// Further tokens, each for clients that may use certain sessions only; none by default. They
    /// limit nobody on a Unix or abstract socket without [`token`](Self::token): its clients need
    /// no token, and all of them may use all sessions, whatever token they send.
    pub clients: Vec<(Token, Scope)>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_message: 64 << 20,
            max_answer: None,
            max_requests: 1024,
            max_connections: 256,
            max_streams: 256,
            max_unsent_connection: 64 << 20,
            max_unsent: 256 << 20,
            max_received_connection: 128 << 20,
            max_received: 256 << 20,
            patience: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            token: None,
            clients: Vec::new(),
        }
    }
}

impl ServeOptions {
    /// Creates the default limits.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A socket in the abstract namespace of Linux.
    Abstract(String),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    /// Formats the address as gRPC clients accept it: `unix:<path>`, `unix-abstract:<name>` or
    /// `<ip>:<port>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix-abstract:{name}"),
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
    /// The task that follows the readiness of the pools, if there are any.
    following: JoinSet<()>,
}

impl BridgeServer {
    /// Serves on a Unix socket of mode 0600. Its directory is created with mode 0700, or must
    /// belong to this user and be inaccessible to others. The socket of a server that has ended is
    /// replaced. Processes of other users are rejected.
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
            .serve(
                listener,
                address,
                Some(socket),
                options.token.clone(),
                options,
            )
            .await)
    }

    /// Serves on a socket in the abstract namespace of Linux, which has no file: for clients on
    /// `grpcio` that cannot set an authority, and for those with another root directory. Processes
    /// of other users are rejected.
    ///
    /// # Errors
    /// [`ServeError::Bind`] if the name is too long or taken, or there are no such sockets.
    pub async fn serve_abstract(
        &self,
        name: &str,
        options: &ServeOptions,
    ) -> Result<Serving, ServeError> {
        let address = Address::Abstract(name.to_owned());
        let bound = socket::bind_abstract(name).map_err(|source| ServeError::Bind {
            address: address.to_string(),
            source,
        })?;
        let listener = Listener::Unix {
            listener: bound.0,
            uid: bound.1,
        };
        Ok(self
            .serve(listener, address, None, options.token.clone(), options)
            .await)
    }

    /// Serves on a TCP port of a loopback address; port 0 chooses a free one. Every request must
    /// carry the token in its metadata, as `authorization: Bearer <token>`; other requests are
    /// rejected with UNAUTHENTICATED.
    ///
    /// # Errors
    /// See [`ServeError`], in particular for an address that is not loopback, because the token
    /// would be sent unencrypted.
    pub async fn serve_tcp(
        &self,
        address: SocketAddr,
        token: Token,
        options: &ServeOptions,
    ) -> Result<Serving, ServeError> {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        self.serve_port(address, None, token, options).await
    }

    /// Serves on a TCP port of any address, encrypted by TLS 1.3. Every request must carry the
    /// token; see [`serve_tcp`](Self::serve_tcp).
    ///
    /// # Errors
    /// [`ServeError::Bind`] if the operating system refuses the address.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(
        &self,
        address: SocketAddr,
        token: Token,
        identity: TlsIdentity,
        options: &ServeOptions,
    ) -> Result<Serving, ServeError> {
        self.serve_port(address, Some(identity), token, options)
            .await
    }

    async fn serve_port(
        &self,
        address: SocketAddr,
        security: Security,
        token: Token,
        options: &ServeOptions,
    ) -> Result<Serving, ServeError> {
        let bind = |source| ServeError::Bind {
            address: address.to_string(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = Address::Tcp(listener.local_addr().map_err(bind)?);
        Ok(self
            .serve(
                Listener::Tcp(listener, security),
                address,
                None,
                Some(token),
                options,
            )
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
        server.max_message = options.max_answer.unwrap_or(options.max_message);
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
            stall_timeout: options.stall_timeout,
            stopping: stopping.clone(),
        };
        let tasks = Tasks::new(options);
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
    /// Returns the address that the server listens on.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts no further connections, ends watch streams, and waits up to `grace` for the running
    /// requests. The remaining ones are then ended. Returns `true` if none remained.
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
