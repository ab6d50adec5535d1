//! Trials without workers: records, processes, connections.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock};
use std::thread;

use snakepit::diag::{Contention, Rate};
use snakepit::profiles::Run;
use snakepit::profiles::registry::Registry;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::failure::Failure;

/// Number of concurrent reservations.
const RESERVATIONS: usize = 110;

/// Number of processes to start.
const PROCESSES: usize = 64;

/// Descriptors left free for everything else.
const SPARE_FILES: u64 = 64;

/// Connections per worker.
const PER_WORKER: usize = 2;

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| Failure::Io(io::Error::other(error)))
}

/// Makes many reservations at the same time, then releases them.
pub(super) async fn registry(run: &Run) -> Result<Contention, Failure> {
    let registry = run.registry().clone();
    blocking(move || contention(&registry)).await
}

fn contention(registry: &Registry) -> Contention {
    // The threads wait for it, so that they all start at once.
    let gate = RwLock::new(());
    let reserve = |n: usize| {
        drop(gate.read().unwrap_or_else(PoisonError::into_inner));
        let began = Instant::now();
        let reserved = registry.reserve(format!("diagnose-{n}"));
        (reserved, began.elapsed().as_secs_f64())
    };
    let (mut errors, mut made, mut seconds) = (Vec::new(), Vec::new(), 0.0);
    thread::scope(|scope| {
        let reserve = &reserve;
        let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut threads = Vec::new();
        for n in 0..RESERVATIONS {
            match thread::Builder::new().spawn_scoped(scope, move || reserve(n)) {
                Ok(thread) => threads.push(thread),
                Err(error) => errors.push(format!("no thread: {error}")),
            }
        }
        let began = Instant::now();
        drop(closed);
        // A thread that panicked made no reservation.
        made.extend(threads.into_iter().filter_map(|it| it.join().ok()));
        seconds = began.elapsed().as_secs_f64();
    });
    let failed = made
        .iter()
        .filter_map(|(reserved, _)| reserved.as_ref().err());
    errors.extend(failed.map(ToString::to_string));
    Contention {
        reservations: RESERVATIONS,
        failed: errors.len(),
        error: errors.into_iter().next(),
        seconds,
        slowest_seconds: made.iter().map(|(_, took)| *took).fold(0.0, f64::max),
    }
}

/// Starts short-lived processes one after the other.
pub(super) async fn processes() -> Result<Rate, Failure> {
    blocking(|| {
        rate(PROCESSES, |_| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", ":"]).stdin(Stdio::null());
            command.status().map(drop)
        })
    })
    .await
}

/// Opens as many connections to one socket as this number of workers has, or fewer if descriptors
/// are scarce.
pub(super) async fn connections(workers: usize, files: Option<u64>) -> Result<Rate, Failure> {
    let room = files.map_or(usize::MAX, |files| {
        usize::try_from(files.saturating_sub(SPARE_FILES) / 2).unwrap_or(usize::MAX)
    });
    let wanted = (workers * PER_WORKER).min(room);
    let home = tempfile::tempdir()?;
    blocking(move || {
        let path = home.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let mut open = Vec::new();
        Ok(rate(wanted, |_| {
            let ours = UnixStream::connect(&path)?;
            let (theirs, _) = listener.accept()?;
            open.push((ours, theirs));
            Ok(())
        }))
    })
    .await?
    .map_err(Failure::Io)
}

/// Calls `make` up to `wanted` times, until it fails.
fn rate(wanted: usize, mut make: impl FnMut(usize) -> io::Result<()>) -> Rate {
    let began = Instant::now();
    let (mut made, mut error) = (0, None);
    while made < wanted && error.is_none() {
        match make(made) {
            Ok(()) => made += 1,
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    Rate {
        made,
        seconds: began.elapsed().as_secs_f64(),
        error,
    }
}
