//! An up-to-date worker runtime, and pools of the tools for the tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use snakepit::{PoolBuilder, Snakepit};
use tokio::time::Instant;

/// Longer than any step takes in a healthy test.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Returns whether no more than `limit` has passed since `start`. A busy machine delays everything:
/// the limit is then extended by the current time of running ten programs one after the other.
pub(crate) fn in_time(start: Instant, limit: Duration) -> bool {
    let took = start.elapsed();
    took < limit || {
        let begin = Instant::now();
        for _ in 0..10 {
            assert!(Command::new("true").status().unwrap().success());
        }
        took < limit + begin.elapsed()
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Returns the path of the tools in this directory.
pub(crate) fn tools() -> String {
    format!("{}/tests/e2e/tools.py", env!("CARGO_MANIFEST_DIR"))
}

/// Returns the directory of `snakepit_bridge`, after building the extension if its sources are
/// newer.
pub(crate) fn bridge() -> &'static Path {
    static BRIDGE: OnceLock<PathBuf> = OnceLock::new();
    BRIDGE.get_or_init(|| {
        let root = root();
        let package = root.join("python/snakepit_bridge");
        let extension = package.join("_native.abi3.so");
        fs::create_dir_all(root.join("target")).unwrap();
        let lock = File::create(root.join("target/extension.lock")).unwrap();
        let _lock = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .unwrap();
        let sources = [
            "python/native/src",
            "python/walker/src",
            "crates/snakepit-grpc/src",
            "crates/snakepit-redact/src",
        ];
        let sources = sources.map(|dir| newest(&root.join(dir)));
        let built = fs::metadata(&extension)
            .and_then(|data| data.modified())
            .ok();
        if built.is_none_or(|built| sources.iter().any(|source| *source > built)) {
            let mut build = Command::new(env!("CARGO"));
            let status = build
                .args(["build", "-q", "-p", "snakepit-native"])
                .current_dir(&root)
                .status();
            assert!(status.unwrap().success(), "the extension does not build");
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
            let fresh = package.join(format!("_native.{}.tmp", std::process::id()));
            fs::copy(target.join("debug/libsnakepit_native.so"), &fresh).unwrap();
            fs::rename(fresh, extension).unwrap();
        }
        root.join("python")
    })
}

fn newest(dir: &Path) -> SystemTime {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let times = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().unwrap().modified().unwrap(),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns a pool of the tools for the tests.
pub(crate) fn pool(name: &str, workers: usize) -> PoolBuilder {
    pool_of(name, &tools()).workers(workers)
}

/// Returns a pool of any adapter.
pub(crate) fn pool_of(name: &str, adapter: &str) -> PoolBuilder {
    PoolBuilder::new(name, adapter)
        .workers(1)
        .call_timeout(LONG)
        .configure_python(|python| python.bridge_path = Some(bridge().to_owned()))
}

/// Starts a host with one pool.
pub(crate) async fn start(workers: usize) -> Snakepit {
    Snakepit::builder()
        .pool(pool("main", workers))
        .start()
        .await
        .unwrap()
}

/// Waits until a file exists and returns its text.
pub(crate) async fn file(path: &Path) -> String {
    let wait = async {
        let mut interval = tokio::time::interval(Duration::from_millis(2));
        loop {
            interval.tick().await;
            match fs::read_to_string(path) {
                Ok(text) if !text.is_empty() => return text,
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap()
}

/// Waits until a condition holds, for a bounded time.
#[track_caller]
pub(crate) fn holds(what: &str, mut condition: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + LONG;
    while !condition() {
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}

/// Returns whether a process still runs.
pub(crate) fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    !stat
        .rsplit(')')
        .next()
        .unwrap()
        .trim_start()
        .starts_with('Z')
}
