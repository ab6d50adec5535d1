//! The socket on which workers reach the state of their host.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_grpc::service::{Address, BridgeServer, ServeOptions, Serving};
use tokio::sync::Mutex;

use crate::run::Run;

/// Number of the next socket of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The server for the workers of one profile, which is opened for the first worker.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<Option<Open>>);

#[derive(Debug)]
struct Open {
    state: HostState,
    serving: Serving,
}

impl Door {
    /// Returns the address for workers that use this state, for gRPC clients. Opens the socket
    /// again if its file was removed.
    pub(super) async fn address(&self, state: &HostState, run: &Run) -> Result<String, StartError> {
        let mut open = self.0.lock().await;
        if let Some(Open {
            state: known,
            serving,
        }) = &*open
            && known.is_same(state)
            && let Address::Unix(path) = serving.address()
            && path.exists()
        {
            return Ok(serving.address().to_string());
        }
        let path = path(run);
        let server = BridgeServer::new(state.clone());
        let serving = server.serve_unix(&path, &ServeOptions::new()).await;
        let serving = serving.map_err(|error| {
            let message = format!("workers cannot reach this program: {error}");
            let mut error = StartError::new(ErrorCode::StartFailed, message);
            error.help = Some("set TMPDIR to a short, writable path".to_owned());
            error
        })?;
        let address = serving.address().to_string();
        *open = Some(Open {
            state: state.clone(),
            serving,
        });
        Ok(address)
    }
}

fn path(run: &Run) -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    run.registry().socket_dir().join(format!("h{number}"))
}
