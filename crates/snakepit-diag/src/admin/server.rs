//! The server of the admin service on its socket.

use std::panic::catch_unwind;
use std::time::Duration;
use std::{fmt, fs, io};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;

use super::host::AdminHost;
use super::pb::admin_server::AdminServer as Generated;
use super::service::Service;
use super::unread::Counted;
use super::{AdminError, SOCKET, incoming};

/// Largest request in bytes. Requests have a few names and no lists.
const REQUEST: usize = 64 << 10;

/// Maximum number of concurrent requests on one connection.
const STREAMS: u32 = 64;

/// Interval of keep-alive pings, and time for the answer before the connection is closed.
const SILENT: Duration = Duration::from_secs(20);

/// Time that requests in progress have to finish when the service stops.
const LAST: Duration = Duration::from_secs(1);

/// Serves the state of a host. A socket that is removed is created again. Dropping the server ends
/// the service and its connections; the socket is removed with the run.
#[must_use = "dropping it ends the service"]
pub struct AdminServer {
    host: AdminHost,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl AdminServer {
    /// Serves on the socket `admin` of the host's run. Requires a tokio runtime with I/O and
    /// timers. Blocks for a few system calls.
    ///
    /// # Errors
    /// [`AdminError::Socket`] if the socket cannot be opened.
    pub fn start(host: AdminHost) -> Result<Self, AdminError> {
        let listener = listen(&host)?;
        let (looked, path) = (host.clone(), host.registry().socket_dir().join(SOCKET));
        let again = move || {
            let there = fs::symlink_metadata(&path);
            let removed = there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            // Cleaners of temporary files remove whole directories; the registry puts them back.
            removed.then(|| listen(&looked).ok()).flatten()
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let service = Service::new(host.clone(), stop.clone());
        let serving = Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_keepalive_interval(Some(SILENT))
            .http2_keepalive_timeout(Some(SILENT))
            .add_service(Counted(
                Generated::new(service).max_decoding_message_size(REQUEST),
            ))
            .serve_with_incoming_shutdown(
                incoming::of(listener, again),
                stop.clone().cancelled_owned(),
            );
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "the admin service has ended");
            }
        });
        tasks.close();
        Ok(Self { host, stop, tasks })
    }

    /// Returns the host that is served.
    pub const fn host(&self) -> &AdminHost {
        &self.host
    }

    /// Stops the service: it accepts no further connections, streams end, and requests in progress
    /// have a second to finish.
    ///
    /// # Cancel safety
    /// Once polled, the service ends without the caller.
    pub async fn stop(&self) {
        self.stop.cancel();
        // A client that does not read must not hold up the end of the host.
        let _ = tokio::time::timeout(LAST, self.tasks.wait()).await;
    }
}

/// Opens the admin socket of a host.
fn listen(host: &AdminHost) -> Result<UnixListener, AdminError> {
    let socket = |source| AdminError::Socket {
        run: host.run(),
        source,
    };
    let listener = host.registry().listen(SOCKET).map_err(socket)?;
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| serve_on(listener));
    listener.map_err(|error: io::Error| AdminError::Refused {
        code: snakepit_core::error::ErrorCode::AdminSocket,
        message: format!("the admin socket cannot be served: {error}"),
    })
}

/// Registers a socket with the runtime.
fn serve_on(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    // `from_std` panics if the runtime has no I/O driver, and tokio has no other check.
    let taken = catch_unwind(|| UnixListener::from_std(listener));
    taken.unwrap_or_else(|_| Err(io::Error::other("the tokio runtime has no I/O")))
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
