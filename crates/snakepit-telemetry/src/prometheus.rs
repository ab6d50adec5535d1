//! An HTTP endpoint for Prometheus: `/metrics`, `/healthz` and `/readyz`.

mod page;
mod respond;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Metrics, TelemetryError};
use respond::Pages;

/// The largest number of connections that are served at the same time. For a further one the oldest is closed: whoever asks and reads at
/// once has its answer before that many others have come, and whoever holds connections keeps nobody out. Each may hold a page.
const CONNECTIONS: usize = 16;

/// The longest time for the head of a request.
const HEAD: Duration = Duration::from_secs(5);

/// The longest time for a connection, from its start until its answer is read.
const CONNECTION: Duration = Duration::from_secs(15);

/// The pause after a connection that could not be accepted, most often since there is no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that answers scrapes until `stop` is cancelled.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    /// Opens the endpoint and serves it on a runtime.
    pub(crate) fn start(
        address: SocketAddr,
        metrics: Metrics,
        (handle, tasks, stop): (&Handle, &TaskTracker, &CancellationToken),
    ) -> Result<Self, TelemetryError> {
        let failed = |source| TelemetryError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let listener = {
            let _entered = handle.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let pages = Arc::new(Pages::new(metrics));
        let accept = accept(listener, pages, tasks.clone(), stop.clone());
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(accept), handle);
        Ok(Self { address })
    }

    /// Address that it listens on, with the port that was chosen.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    pages: Arc<Pages>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut served = Served::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(target: crate::TARGET, %error, "the metrics endpoint cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let pages = Arc::clone(&pages);
        let serve = async move {
            let answer = service_fn(move |request| {
                let answer = pages.answer(&request);
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            // One answer a connection: a scraper that keeps many of them open takes no place of others.
            http.keep_alive(false)
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD);
            // A peer that breaks the protocol, is slow or goes away ends its own connection, nothing else.
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            let _ = tokio::time::timeout(CONNECTION, connection).await;
        };
        let serve = tasks.spawn(stop.clone().run_until_cancelled_owned(serve));
        served.add(serve.abort_handle());
    }
}

/// The connections that are served, oldest first.
#[derive(Debug, Default)]
struct Served(VecDeque<AbortHandle>);

impl Served {
    /// Adds one, and closes the oldest if there are too many.
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|it| !it.is_finished());
        if self.0.len() >= CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}
