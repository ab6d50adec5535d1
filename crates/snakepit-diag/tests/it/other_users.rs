//! Hosts and clients of different users.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use snakepit_core::error::ErrorCode;
use snakepit_diag::{Client, Hosts};

use crate::support::Host;

/// A user without files or processes.
const NOBODY: u32 = 65_534;

/// Environment variable with the data directory for the other user's process.
const DATA: &str = "SNAKEPIT_TEST_DATA";

/// The part of the tests that runs as another user.
#[tokio::test]
async fn another_user_looks() {
    let Some(data) = std::env::var_os(DATA).map(PathBuf::from) else {
        return;
    };
    let error = match Hosts::find(&data).and_then(Hosts::only) {
        Ok(host) => Client::connect(&host).await.map(drop).unwrap_err(),
        Err(error) => error,
    };
    println!("@found {} {error}; {}", error.code(), error.help());
    let socket = sockets(&data).map(UnixStream::connect);
    let answer = socket.map(|stream| {
        let mut bytes = Vec::new();
        stream
            .and_then(|mut stream| stream.read_to_end(&mut bytes))
            .map(|_| bytes)
    });
    println!("@socket {answer:?}");
}

/// Returns the admin socket in a data directory. `None` if permissions are lacking.
fn sockets(data: &Path) -> Option<PathBuf> {
    let run = fs::read_dir(data.join("runs")).ok()?.next()?.ok()?;
    Some(run.path().join("s/admin"))
}

/// Runs this program as another user; returns the error and the socket that it finds. `None` if the
/// other user cannot run this program.
fn as_nobody(data: &Path) -> Option<(String, String)> {
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    let output = Command::new("setpriv")
        .args([&user, &group, "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "other_users::another_user_looks", "--nocapture"])
        .env(DATA, data)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| {
        let (_, rest) = said.split_once(name)?;
        Some(rest.lines().next()?.trim().to_owned())
    };
    Some((line("@found")?, line("@socket")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_of_another_user_is_refused_with_its_name_whoever_asks() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: it needs root to become another user");
        return;
    }
    // Root queries the host of another user.
    let host = Host::start(1).await;
    chown(&host.data, Some(NOBODY), None).unwrap();
    let error = Hosts::find(&host.data).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DataDir);
    assert!(
        error.to_string().contains("belongs to user 65534"),
        "{error}"
    );
    assert!(
        error.help().contains("run this as user ") && error.help().contains("65534"),
        "{}",
        error.help()
    );
    chown(&host.data, Some(0), None).unwrap();
    // Another user queries a host of root: the directory is closed.
    fs::set_permissions(host.data.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let data = host.data.clone();
    let Some((found, socket)) = as_nobody(&data) else {
        eprintln!("skipped: another user may not run this program");
        return;
    };
    assert!(found.starts_with("SP6001"), "{found}");
    assert!(found.contains("; run this as "), "{found}");
    assert_eq!(socket, "None");
    // With all permissions open the owner still differs, and the host closes connections of others.
    let mut path = host.registry.socket_dir().join("admin");
    while path != *data.parent().unwrap() {
        let mode = if path.is_dir() { 0o755 } else { 0o777 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.pop();
    }
    let (found, socket) = as_nobody(&data).unwrap();
    assert!(
        found.contains("belongs to user 0") && found.contains("run this as user root (0)"),
        "{found}"
    );
    assert!(
        socket.contains("Some(Ok([]))") || socket.contains("Reset"),
        "{socket}"
    );
    host.call("echo").await.unwrap();
    let report = host.client().await.report().await.unwrap();
    assert_eq!(report.pools[0].worker_count, 1);
}
