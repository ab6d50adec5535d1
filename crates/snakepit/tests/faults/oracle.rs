//! A private place for each test, and the search for anything left of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use snakepit::{PoolBuilder, Snakepit, SnakepitBuilder};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use crate::held::Held;
use crate::support::{LONG, alive, bridge, in_time};

/// Variable that marks every process of a scene.
pub(crate) const COOKIE: &str = "SNAKEPIT_FAULT_COOKIE";

/// Time in which the resources of ended processes are released.
const SETTLE: Duration = Duration::from_secs(5);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Variable with the containment of the workers.
pub(crate) const CONTAINMENT: &str = "SNAKEPIT_FAULT_CONTAINMENT";

/// A private directory and the mark of all processes that belong to it.
#[derive(Debug)]
pub(crate) struct Scene {
    dir: TempDir,
    pub(crate) cookie: String,
    before: Held,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        let cookie = format!("{}-{number}-{}", std::process::id(), dir.path().display());
        let before = Held::now();
        Self {
            dir,
            cookie,
            before,
        }
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

    /// Returns the builder of a host with this pool.
    pub(crate) fn host(&self, pool: PoolBuilder) -> SnakepitBuilder {
        Snakepit::builder().data_dir(self.data()).pool(pool)
    }

    /// Returns a pool of the tools for faults.
    pub(crate) fn pool(&self, workers: usize) -> PoolBuilder {
        self.pool_of(&tools(), workers)
    }

    pub(crate) fn pool_of(&self, adapter: &str, workers: usize) -> PoolBuilder {
        marked(adapter, workers, &self.cookie)
    }

    /// Writes an adapter and returns its path.
    pub(crate) fn adapter(&self, text: &str) -> String {
        fs::write(self.path("adapter.py"), text).unwrap();
        self.text("adapter.py")
    }

    /// Returns the processes with the mark, except this one.
    pub(crate) fn left(&self) -> Vec<u32> {
        marked_processes(&self.cookie)
    }

    /// Waits until no process has the mark; returns the time that took.
    #[track_caller]
    pub(crate) fn none_left(&self, limit: Duration) -> Duration {
        self.none_left_but(0, limit)
    }

    /// Waits until no process has the mark, except one; returns the time that took.
    #[track_caller]
    pub(crate) fn none_left_but(&self, one: u32, limit: Duration) -> Duration {
        let start = Instant::now();
        loop {
            let mut left = self.left();
            left.retain(|pid| *pid != one);
            if left.is_empty() {
                return start.elapsed();
            }
            assert!(in_time(start, limit), "left after {limit:?}: {left:?}");
            // polls: the ends of processes that are not our children
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends a test that has its host in its own process. Checks that no call is counted any more,
    /// neither before the shutdown nor after it; then continues as [`Scene::clean`].
    pub(crate) async fn close(self, snakepit: Snakepit) {
        eventually_async("all gauges are 0", || gauges(&snakepit).is_empty()).await;
        let report = timeout(LONG, snakepit.shutdown()).await.unwrap();
        assert_eq!(report.leftover, [0; 0], "{report:?}");
        assert_eq!(gauges(&snakepit), [""; 0]);
        drop(snakepit);
        tokio::task::spawn_blocking(|| self.clean(SETTLE))
            .await
            .unwrap();
    }

    /// Ends every test. Checks that no process with the mark of its hosts lives, that no run is
    /// left behind, and that this process holds the same resources as when the scene was created.
    #[track_caller]
    pub(crate) fn clean(self, limit: Duration) -> Duration {
        let took = self.none_left(limit);
        // A host that ends at once may leave a dead run to the next sweep, which is this one. A
        // host in this process may still hold its run for a moment.
        let start = Instant::now();
        let mut swept = None;
        while self.runs() > 0 && in_time(start, SETTLE) {
            let sweep = snakepit_registry::Registry::sweep_data_dir(&self.data(), LONG);
            swept = Some(sweep.unwrap());
            // polls: the lock of the run is released in the background
            std::thread::sleep(Duration::from_millis(1));
        }
        let leaks = self.leaks(SETTLE);
        assert!(leaks.is_empty(), "{}\n{swept:?}", leaks.join("\n"));
        took
    }

    /// Returns what is still left after `limit`, one line for each kind.
    pub(crate) fn leaks(&self, limit: Duration) -> Vec<String> {
        let start = Instant::now();
        loop {
            let leaks = self.look();
            if leaks.is_empty() || !in_time(start, limit) {
                return leaks;
            }
            // polls: what is given back in the background
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn look(&self) -> Vec<String> {
        let mut leaks = self.before.leaks();
        let left = self.left();
        if !left.is_empty() {
            leaks.push(format!("processes: {left:?}"));
        }
        if self.runs() > 0 {
            leaks.push(format!("runs: {}", self.runs()));
        }
        leaks
    }

    /// Counts the runs with a directory. A run whose host was killed while creating it has a
    /// temporary name, and a sweep removes it an hour later.
    fn runs(&self) -> usize {
        let Ok(entries) = fs::read_dir(self.data().join("runs")) else {
            return 0;
        };
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| !name.as_encoded_bytes().starts_with(b".tmp-"))
            .count()
    }
}

/// Returns the gauges that are not 0.
pub(crate) fn gauges(snakepit: &Snakepit) -> Vec<String> {
    let mut busy = Vec::new();
    for pool in snakepit.status() {
        if pool.queue_depth + pool.in_flight > 0 {
            let (queued, running) = (pool.queue_depth, pool.in_flight);
            busy.push(format!("{}: {queued} queued, {running} running", pool.pool));
        }
    }
    busy
}

pub(crate) fn tools() -> String {
    format!("{}/tests/faults/tools.py", env!("CARGO_MANIFEST_DIR"))
}

/// Returns a pool whose processes carry `cookie`.
pub(crate) fn marked(adapter: &str, workers: usize, cookie: &str) -> PoolBuilder {
    PoolBuilder::new("main", adapter)
        .workers(workers)
        .call_timeout(LONG)
        .env(COOKIE, cookie)
        .configure_python(|python| {
            python.bridge_path = Some(bridge().to_owned());
            if let Ok(mode) = std::env::var(CONTAINMENT) {
                python.containment = mode.parse().unwrap();
            }
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

/// Waits for a condition for which there is no event.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        // polls: what the caller waits for
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Like [`eventually`], without blocking a thread of the runtime.
pub(crate) async fn eventually_async(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        // polls: what the caller waits for
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
