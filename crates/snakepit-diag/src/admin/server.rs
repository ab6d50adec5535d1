//! The admin service on its socket.

use std::fmt;
use std::fs;
use std::io;
use std::panic::catch_unwind;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;

use super::host::AdminHost;
use super::pb::admin_server::AdminServer as Generated;
use super::service::Service;
use super::{AdminError, SOCKET, incoming};

/// Requests under way on one connection.
const STREAMS: u32 = 64;

/// Time after which a connection that does not answer is closed.
const SILENT: Duration = Duration::from_secs(20);

/// Time for requests under way at the end.
const LAST: Duration = Duration::from_secs(1);

/// Serves a look into a host. A socket that somebody removes is made again. Dropping it ends the service and its connections; the socket
/// goes with the run.
#[must_use = "dropping it ends the service"]
pub struct AdminServer {
    host: AdminHost,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl AdminServer {
    /// Serves on the socket `admin` of the host's run. It needs a tokio runtime with I/O and timers, and blocks for a few system calls.
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
            .add_service(Generated::new(service))
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

    /// What it shows.
    pub const fn host(&self) -> &AdminHost {
        &self.host
    }

    /// Ends the service: no connection is taken any more, streams end, and requests under way have a second to be answered.
    ///
    /// # Cancel safety
    /// Once polled, the service ends without the caller.
    pub async fn stop(&self) {
        self.stop.cancel();
        // A client that does not read must not hold up the end of the host.
        let _ = tokio::time::timeout(LAST, self.tasks.wait()).await;
    }
}

/// Opens the socket of a host.
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
        code: snakepit_core::ErrorCode::AdminSocket,
        message: format!("the admin socket cannot be served: {error}"),
    })
}

/// Gives a socket to the runtime.
fn serve_on(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    // The only way to ask for it: this panics where there is no driver for it.
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
