//! The server: on a loopback address, for a few browsers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::answer::Site;
use super::feed::{State, feed};
use super::guard::Guard;
use crate::{AdminError, Client, RunningHost};

/// Connections that are served at the same time. For a further one the oldest is closed: a browser opens its own again.
const CONNECTIONS: usize = 32;

/// The longest time for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 * 1024;

/// The pause after a connection that could not be accepted, most often since there is no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// Time in which browsers learn that the host is gone.
const LAST: Duration = Duration::from_secs(1);

/// A server that is bound to its address.
#[derive(Debug)]
pub struct WebServer {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// Others could reach it.
    #[error("{0} is no loopback address")]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error("{address} cannot be used: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("there is no token: {0}")]
    Random(getrandom::Error),
}

impl WebServer {
    /// Binds a loopback address; port 0 is any free one.
    ///
    /// # Errors
    /// [`WebError`].
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

    /// The address that a browser opens. Who knows it may look into the host.
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.guard.token())
    }

    /// Shows a host, looked at `every` so often, until it is gone; returns why it is.
    ///
    /// # Cancel safety
    /// Dropping it ends the server and its connections.
    pub async fn serve(self, host: &RunningHost, client: Client, every: Duration) -> AdminError {
        let (state, _) = watch::channel(State::default());
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
        // A browser that does not read is not waited for.
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

/// The connections that are served, oldest first.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<()>,
    oldest: VecDeque<AbortHandle>,
}

impl Connections {
    fn serve(&mut self, stream: TcpStream, site: Arc<Site>) {
        while self.tasks.try_join_next().is_some() {}
        self.oldest.retain(|one| !one.is_finished());
        if self.oldest.len() >= CONNECTIONS
            && let Some(oldest) = self.oldest.pop_front()
        {
            oldest.abort();
        }
        let answer = service_fn(move |request| {
            let site = Arc::clone(&site);
            async move { Ok::<_, Infallible>(site.answer(request).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES);
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        // A peer that breaks the protocol, is slow or goes away ends its own connection, nothing else.
        let task = self.tasks.spawn(async move {
            let _ = connection.await;
        });
        self.oldest.push_back(task);
    }

    async fn end(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
