//! Workers in Node and on grpcio, with their packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use snakepit::PoolBuilder;

use super::venv::{interpreter, run};
use crate::support::{LONG, root};

/// Returns the directory of the packages that workers in Node use, after installing them. `None`
/// if Node is not there, which is an error in continuous integration (`CI=true`).
#[expect(clippy::print_stderr, reason = "a skipped test prints its reason")]
pub(crate) fn packages() -> Option<PathBuf> {
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

/// Returns a pool of the example in Node.
pub(crate) fn node_pool(packages: &Path) -> PoolBuilder {
    let example = root().join("examples/workers/node");
    PoolBuilder::command("node", ["node", "worker.js"])
        .workers(1)
        .call_timeout(LONG)
        .start_timeout(LONG)
        .working_dir(example)
        .env("NODE_PATH", packages.to_string_lossy())
}

/// Returns the interpreter, and the directory of the stubs that it has generated. `None` if grpcio
/// is not there, which is an error in continuous integration (`CI=true`).
#[expect(clippy::print_stderr, reason = "a skipped test prints its reason")]
pub(crate) fn grpcio() -> Option<(PathBuf, tempfile::TempDir)> {
    let requirements = root().join("python/tests/grpc/requirements.txt");
    // Tests in several processes create the environment at the same time.
    let lock = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("grpcio-worker-venv.lock");
    let _lock = Flock::lock(
        std::fs::File::create(lock).unwrap(),
        FlockArg::LockExclusive,
    )
    .map_err(|(_, error)| error)
    .unwrap();
    let python = match interpreter(&requirements, "grpcio-worker-venv") {
        Ok(python) => python,
        Err(reason) => {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "no grpcio: {reason}");
            eprintln!("SKIP: grpcio is not there: {reason}");
            return None;
        }
    };
    let stubs = tempfile::tempdir().unwrap();
    let proto = root().join("proto");
    let out = |kind: &str| format!("--{kind}_out={}", stubs.path().display());
    let mut generate = Command::new(&python);
    generate
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .args([out("python"), out("grpc_python")])
        .arg(proto.join("snakepit_bridge.proto"));
    run(&mut generate).unwrap();
    Some((python, stubs))
}

/// Returns a pool of workers on grpcio with these further arguments.
pub(crate) fn grpcio_pool(python: &Path, stubs: &Path, more: &[&str]) -> PoolBuilder {
    let script = root().join("python/tests/grpc/worker.py");
    let words = [
        &*python.to_string_lossy(),
        &*script.to_string_lossy(),
        "--elixir-address",
        "{host}",
    ]
    .map(str::to_owned);
    let words = words
        .into_iter()
        .chain(more.iter().map(|word| (*word).to_owned()));
    PoolBuilder::command("main", words)
        .workers(1)
        .slots(4)
        .call_timeout(LONG)
        .start_timeout(LONG)
        .env("PYTHONPATH", stubs.to_string_lossy())
}
