//! Workers in other languages: the example in Node, and workers that misbehave.

mod conform;
mod grpcio;
mod hostile;
mod node;
mod page;
#[path = "../../../snakepit-grpc/tests/it/venv.rs"]
mod venv;

use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use snakepit::{PoolBuilder, Snakepit};

use crate::support::{LONG, root};

/// Returns the directory of the packages that workers in Node use, after installing them. `None`
/// if Node is not there, which is an error in continuous integration (`CI=true`).
#[expect(clippy::print_stderr, reason = "a skipped test prints its reason")]
fn packages() -> Option<PathBuf> {
    let example = root().join("examples/workers/node");
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("node");
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .unwrap();
    let installed = dir.join("node_modules/.package-lock.json");
    let mut current = installed.exists();
    for file in ["package.json", "package-lock.json"] {
        let wanted = std::fs::read(example.join(file)).unwrap();
        current &= std::fs::read(dir.join(file)).is_ok_and(|have| have == wanted);
        std::fs::write(dir.join(file), wanted).unwrap();
    }
    let reason = if current {
        match Command::new("node").arg("--version").output() {
            Ok(output) if output.status.success() => return Some(dir.join("node_modules")),
            other => format!("node: {other:?}"),
        }
    } else {
        let _ = std::fs::remove_file(&installed);
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        match Command::new("npm").args(install).current_dir(&dir).output() {
            Ok(output) if output.status.success() => return Some(dir.join("node_modules")),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => format!("npm: {error}"),
        }
    };
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci, "no workers in Node: {reason}");
    eprintln!("SKIP: no workers in Node: {reason}");
    None
}

/// Returns a pool of the example.
fn pool(packages: &std::path::Path) -> PoolBuilder {
    let example = root().join("examples/workers/node");
    PoolBuilder::command("node", ["node", "worker.js"])
        .workers(1)
        .call_timeout(LONG)
        .start_timeout(LONG)
        .working_dir(example)
        .env("NODE_PATH", packages.to_string_lossy())
}

async fn start(pool: PoolBuilder) -> Snakepit {
    Snakepit::builder().pool(pool).start().await.unwrap()
}
