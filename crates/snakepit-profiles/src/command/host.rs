//! The socket on which workers reach the state of their host.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_core::id::WorkerId;
use snakepit_grpc::service::{Address, BridgeServer, ServeOptions, Serving};
use tokio::sync::Mutex;

use super::{CommandRuntime, Shared};
use crate::run::Run;
use crate::tree;

/// Number of the next socket of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Largest answer for clients on gRPC that set no limit, as workers of the original library, in
/// bytes: they accept messages of 4 MiB.
const USUAL_LIMIT: usize = (4 << 20) - (4 << 10);

/// The workers of one profile by their processes.
type Workers = Arc<StdMutex<HashMap<u32, WorkerId>>>;

/// The server for the workers of one profile, which is opened for the first worker.
#[derive(Debug, Default)]
pub(super) struct Door {
    open: Mutex<Option<Open>>,
    workers: Workers,
}

#[derive(Debug)]
struct Open {
    state: HostState,
    server: BridgeServer,
    serving: Serving,
}

/// The way of a worker to its host.
#[derive(Debug)]
pub(super) struct Host {
    /// The address, for gRPC clients.
    pub(super) address: String,
    pub(super) server: BridgeServer,
}

/// A worker that may use the server. Dropping it removes the worker.
#[derive(Debug)]
pub(super) struct Entry {
    workers: Workers,
    process: u32,
    worker: WorkerId,
}

fn lock(workers: &Workers) -> MutexGuard<'_, HashMap<u32, WorkerId>> {
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Door {
    /// Returns the way for workers that use this state. Opens the socket again if its file was
    /// removed.
    pub(super) async fn host(
        &self,
        state: &HostState,
        shared: &Shared,
    ) -> Result<Host, StartError> {
        let mut open = self.open.lock().await;
        if let Some(known) = open.as_ref().filter(|open| open.is_usable(state)) {
            return Ok(known.host());
        }
        let workers = Arc::clone(&self.workers);
        let server = BridgeServer::new(state.clone())
            .for_workers(Arc::new(move |process| worker_of(&workers, process)));
        let mut options = ServeOptions::new();
        let serving = match shared.config.runtime {
            CommandRuntime::Described => server.serve_unix(path(&shared.run), &options).await,
            CommandRuntime::Original => {
                options.max_answer = Some(USUAL_LIMIT);
                server.serve_abstract(&name(&shared.run), &options).await
            }
        };
        let serving = serving.map_err(|error| {
            let message = format!("workers cannot reach this program: {error}");
            let mut error = StartError::new(ErrorCode::StartFailed, message);
            error.help = Some("set TMPDIR to a short, writable path".to_owned());
            error
        })?;
        let state = state.clone();
        let opened = open.insert(Open {
            state,
            server,
            serving,
        });
        Ok(opened.host())
    }

    /// Lets a process use the server as this worker.
    pub(super) fn enter(&self, process: u32, worker: &WorkerId) -> Entry {
        lock(&self.workers).insert(process, worker.clone());
        Entry {
            workers: Arc::clone(&self.workers),
            process,
            worker: worker.clone(),
        }
    }
}

impl Open {
    fn is_usable(&self, state: &HostState) -> bool {
        let there = match self.serving.address() {
            Address::Unix(path) => path.exists(),
            _ => true,
        };
        there && self.state.is_same(state)
    }

    fn host(&self) -> Host {
        Host {
            address: self.serving.address().to_string(),
            server: self.server.clone(),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut workers = lock(&self.workers);
        // A newer worker may have the same process id.
        if workers.get(&self.process) == Some(&self.worker) {
            workers.remove(&self.process);
        }
    }
}

/// Returns the worker to whose processes this one belongs.
fn worker_of(workers: &Workers, process: u32) -> Option<WorkerId> {
    let leaders: Vec<u32> = tree::leaders(process).collect();
    let workers = lock(workers);
    leaders
        .iter()
        .find_map(|leader| workers.get(leader).cloned())
}

fn path(run: &Run) -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    run.registry().socket_dir().join(format!("h{number}"))
}

/// Returns a name for a socket without a file. The run makes it unique on this machine.
fn name(run: &Run) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("snakepit-{}-h{number}", run.registry().run_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_worker_removes_no_newer_one_with_its_process_id() {
        let door = Door::default();
        let process = std::process::id();
        let (first, second) = (WorkerId::from("first"), WorkerId::from("second"));
        let ended = door.enter(process, &first);
        assert_eq!(worker_of(&door.workers, process), Some(first));
        let entry = door.enter(process, &second);
        drop(ended);
        assert_eq!(worker_of(&door.workers, process), Some(second));
        drop(entry);
        assert_eq!(worker_of(&door.workers, process), None);
    }
}
