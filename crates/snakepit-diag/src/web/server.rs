//! The server, on a loopback address and for a few browsers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::answer::Site;
use super::feed::{FeedState, feed};
use super::guard::Guard;
use crate::{AdminError, Client, RunningHost};

/// Maximum number of concurrent connections. A further one replaces the oldest one without an
/// accepted request, or else the oldest; its browser reconnects.
const CONNECTIONS: usize = 32;

/// Longest time for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// Largest head of a request in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// Pause after a connection could not be accepted, usually for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Time in which browsers receive the news that the host is gone.
const LAST: Duration = Duration::from_secs(1);

/// A server bound to its address.
#[derive(Debug)]
pub struct WebServer {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
}

/// The error of starting the server or of rendering a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// The address is not a loopback address, so that others could reach the server.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error("{address} cannot be used: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The system provides no random numbers for the token.
    #[error("no random token can be created: {0}")]
    Random(getrandom::Error),
}

impl WebServer {
    /// Binds a loopback address; port 0 selects a free one.
    ///
    /// # Errors
    /// [`WebError::NotLoopback`], [`WebError::Bind`], [`WebError::Random`].
    pub async fn bind(address: SocketAddr) -> Result<Self, WebError> {
        if !address.ip().is_loopback() {
            return Err(WebError::NotLoopback(address));
        }
        let failed = |source| WebError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            guard: Guard::new(address).map_err(WebError::Random)?,
        })
    }

    /// Returns the address to open in a browser. Anyone who knows it has access to the host's
    /// state.
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.guard.token())
    }

    /// Serves a host, queried at the interval `every`, until it is gone. Returns the reason.
    ///
    /// # Cancel safety
    /// Dropping the future ends the server and its connections.
    pub async fn serve(self, host: &RunningHost, client: Client, every: Duration) -> AdminError {
        let (state, _) = watch::channel(FeedState::default());
        let site = Arc::new(Site {
            guard: self.guard,
            client: client.clone(),
            state,
        });
        let mut connections = Connections::default();
        let gone = {
            let feed = feed(host, client, every, &site.state);
            let accept = accept(&self.listener, &site, &mut connections);
            tokio::select! {
                gone = feed => gone,
                never = accept => match never {},
            }
        };
        drop(self.listener);
        // Does not wait for a browser that does not read.
        let _ = tokio::time::timeout(LAST, connections.end()).await;
        gone
    }
}

async fn accept(
    listener: &TcpListener,
    site: &Arc<Site>,
    connections: &mut Connections,
) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.serve(stream, Arc::clone(site)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The open connections, oldest first.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<()>,
    oldest: VecDeque<Connection>,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    /// `true` once one of its requests was accepted.
    known: Arc<AtomicBool>,
}

impl Connections {
    fn serve(&mut self, stream: TcpStream, site: Arc<Site>) {
        while self.tasks.try_join_next().is_some() {}
        self.oldest.retain(|one| !one.task.is_finished());
        if self.oldest.len() >= CONNECTIONS {
            let stranger = |one: &Connection| !one.known.load(Ordering::Relaxed);
            let least = self.oldest.iter().position(stranger).unwrap_or(0);
            if let Some(least) = self.oldest.remove(least) {
                least.task.abort();
            }
        }
        let known = Arc::<AtomicBool>::default();
        let accepted = Arc::clone(&known);
        let answer = service_fn(move |request| {
            let (site, known) = (Arc::clone(&site), Arc::clone(&accepted));
            async move {
                let response = site.answer(request).await;
                if response.status() != StatusCode::FORBIDDEN {
                    known.store(true, Ordering::Relaxed);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES);
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        // A peer that breaks the protocol, is slow or disconnects affects only its own connection.
        let task = self.tasks.spawn(async move {
            let _ = connection.await;
        });
        self.oldest.push_back(Connection { task, known });
    }

    async fn end(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
