//! A place of its own for each test, and the look at what is left of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use snakepit::{PoolBuilder, Snakepit, SnakepitBuilder};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{LONG, alive, bridge};

/// Variable that every process of a scene carries.
pub(crate) const COOKIE: &str = "SNAKEPIT_FAULT_COOKIE";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A private directory and the mark of all processes that belong to it.
#[derive(Debug)]
pub(crate) struct Scene {
    dir: TempDir,
    pub(crate) cookie: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        let cookie = format!("{}-{number}-{}", std::process::id(), dir.path().display());
        Self { dir, cookie }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("pit")
    }

    /// A host with this pool.
    pub(crate) fn host(&self, pool: PoolBuilder) -> SnakepitBuilder {
        Snakepit::builder().data_dir(self.data()).pool(pool)
    }

    /// A pool of the tools for faults.
    pub(crate) fn pool(&self, workers: usize) -> PoolBuilder {
        self.pool_of(&tools(), workers)
    }

    pub(crate) fn pool_of(&self, adapter: &str, workers: usize) -> PoolBuilder {
        marked(adapter, workers, &self.cookie, self.data())
    }

    /// An adapter with this text.
    pub(crate) fn adapter(&self, text: &str) -> String {
        fs::write(self.path("adapter.py"), text).unwrap();
        self.text("adapter.py")
    }

    /// Processes that carry the mark, this one left out.
    pub(crate) fn left(&self) -> Vec<u32> {
        marked_processes(&self.cookie)
    }

    /// Waits until no process carries the mark; says how long that took.
    #[track_caller]
    pub(crate) fn none_left(&self, limit: Duration) -> Duration {
        let start = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return start.elapsed();
            }
            assert!(start.elapsed() < limit, "left after {limit:?}: {left:?}");
            // polls: the ends of processes that are not our children
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The end of every test: no process with the mark of its hosts lives, no run is left behind.
    #[track_caller]
    pub(crate) fn clean(self, limit: Duration) -> Duration {
        let took = self.none_left(limit);
        // A host that ends at once may leave a dead run to the next sweep, which this one is.
        if self.data().exists() {
            let _ = snakepit_registry::Registry::sweep_data_dir(&self.data(), LONG).unwrap();
        }
        let runs = || fs::read_dir(self.data().join("runs")).map_or(0, Iterator::count);
        eventually("the run directory is removed", || runs() == 0);
        took
    }
}

pub(crate) fn tools() -> String {
    format!("{}/tests/faults/tools.py", env!("CARGO_MANIFEST_DIR"))
}

/// A pool whose processes carry `cookie`.
pub(crate) fn marked(adapter: &str, workers: usize, cookie: &str, data: PathBuf) -> PoolBuilder {
    PoolBuilder::new("main", adapter)
        .workers(workers)
        .call_timeout(LONG)
        .env(COOKIE, cookie)
        .configure_python(|python| {
            python.bridge_path = Some(bridge().to_owned());
            python.data_dir = Some(data);
        })
}

fn marked_processes(cookie: &str) -> Vec<u32> {
    let entry = format!("{COOKIE}={cookie}");
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    pids.filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let carries = environ
                .split(|byte| *byte == 0)
                .any(|one| one == entry.as_bytes());
            carries && alive(*pid)
        })
        .collect()
}

/// Waits for a condition that no event tells.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        // polls: what the caller waits for
        std::thread::sleep(Duration::from_millis(1));
    }
}
