//! An HTTP endpoint for Prometheus: `/metrics`, `/healthz` and `/readyz`.

mod connections;
mod page;
mod respond;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{ListenAddress, Metrics, TelemetryError};
use connections::Connections;
use respond::Pages;

/// Largest head of a request in bytes.
const HEAD_BYTES: usize = 16 << 10;

/// Time limit for the head of a request.
const HEAD: Duration = Duration::from_secs(5);

/// Time limit of a connection, from its start until its answer is read.
const CONNECTION: Duration = Duration::from_secs(15);

/// Pause after a connection could not be accepted, usually because there is no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that answers scrapes until `stop` is cancelled.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
}

/// The state that the accepting loops share.
#[derive(Clone, Debug)]
struct Shared {
    pages: Arc<Pages>,
    connections: Connections,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// Opens the endpoint on all addresses of the host, and serves it on a runtime.
    pub(crate) fn start(
        address: &ListenAddress,
        metrics: Metrics,
        (handle, tasks, stop): (&Handle, &TaskTracker, &CancellationToken),
    ) -> Result<Self, TelemetryError> {
        let failed = |source| TelemetryError::Listen {
            address: address.clone(),
            source,
        };
        let listeners = open(&address.resolve().map_err(failed)?).map_err(failed)?;
        let address = listeners[0].local_addr().map_err(failed)?;
        let shared = Shared {
            pages: Arc::new(Pages::new(metrics)),
            connections: Connections::default(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        for listener in listeners {
            listener.set_nonblocking(true).map_err(failed)?;
            let _entered = handle.enter();
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            let accept = accept(listener, shared.clone());
            tasks.spawn_on(stop.clone().run_until_cancelled_owned(accept), handle);
        }
        Ok(Self { address })
    }

    /// Returns the first address that the server listens on, with the chosen port.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Opens at least one of the addresses. Fails if the port is taken at one of them. An address that
/// this machine does not have, such as an IPv6 address, is skipped.
fn open(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let (mut open, mut missing) = (Vec::new(), None);
    for address in addresses {
        let mut address = *address;
        // A free port of the first address may be taken at the next one.
        let fixed = address.port() != 0 || open.is_empty();
        if address.port() == 0
            && let Some(first) = open.first().map(TcpListener::local_addr)
        {
            address.set_port(first?.port());
        }
        match TcpListener::bind(address) {
            Ok(listener) => open.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && fixed => return Err(error),
            Err(error) => missing = Some(error),
        }
    }
    match missing {
        Some(error) if open.is_empty() => Err(error),
        None if open.is_empty() => Err(io::Error::other("the name has no address")),
        _ => Ok(open),
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Shared) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(target: crate::TARGET, %error, "the metrics endpoint cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (pages, connections) = (Arc::clone(&shared.pages), shared.connections.clone());
        let number = connections.number();
        let serve = async move {
            let answer = service_fn(move |request| {
                connections.asks(number);
                let answer = pages.answer(&request);
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            // One answer per connection, so that a scraper that keeps many connections open does
            // not exclude others.
            http.keep_alive(false)
                .timer(TokioTimer::new())
                .max_buf_size(HEAD_BYTES)
                .header_read_timeout(HEAD);
            // A peer that breaks the protocol, is slow or disconnects ends its own connection only.
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            let _ = tokio::time::timeout(CONNECTION, connection).await;
        };
        let serve = shared.stop.clone().run_until_cancelled_owned(serve);
        let serve = shared.tasks.spawn(serve);
        shared.connections.add(number, serve.abort_handle());
        // Lets the new connection run before the next one is accepted, because its request has
        // usually arrived already.
        tokio::task::yield_now().await;
    }
}
