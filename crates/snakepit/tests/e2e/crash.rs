//! The host dies in different ways: no worker survives, and the next run cleans up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::cli_support::{command, run};
use crate::support::{alive, file, in_time};

/// Each tool writes its process ids to a file, then does something that no message can end.
const TOOLS: &str = "
import ctypes, os, signal, subprocess, time
from snakepit_bridge import tool

def tell(*pids):
    with open('pids.tmp', 'w') as file:
        file.write(' '.join(map(str, pids)))
    os.rename('pids.tmp', 'pids')

@tool
def holds_the_gil() -> None:
    tell(os.getpid())
    ctypes.PyDLL(None).sleep(3600)

@tool
def is_stopped() -> None:
    tell(os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)

@tool
def has_a_child() -> None:
    child = subprocess.Popen(['sleep', '3600'])
    tell(os.getpid(), child.pid)
    child.wait()

@tool
def ignores_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    tell(os.getpid())
    while True:
        try:
            time.sleep(3600)  # the tool sleeps
        except BaseException:
            pass

@tool
def reads_its_input() -> str:
    import sys
    os.close(0)
    tell(os.getpid())
    return sys.stdin.read()
";

/// Time in which the workers of a dead host must be gone; the kernel needs some milliseconds.
const GONE: Duration = Duration::from_millis(500);

fn dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

fn orphans(dir: &Path, more: &[&str]) -> crate::cli_support::Run {
    let data = dir.join("data");
    let mut args = vec!["orphans", "--data-dir", data.to_str().unwrap()];
    args.extend(more);
    run(dir, args)
}

/// Starts a host with a running tool, ends the host with `signal`, and checks that all processes of
/// the tool end.
async fn host_dies(tool: &str, signal: Signal) {
    let (_guard, dir) = dir();
    let mut host = command(&dir)
        .env("SNAKEPIT_DATA_DIR", dir.join("data"))
        .args(["call", &format!("tools.py:{tool}")])
        .spawn()
        .unwrap();
    let pids: Vec<u32> = file(&dir.join("pids"))
        .await
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    let listed = orphans(&dir, &["--json"]);
    assert_eq!(listed.status, Some(0), "{listed:?}");
    let runs: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(runs[0]["state"], "alive", "{runs}");
    assert_eq!(runs[0]["workers"][0]["pid"], pids[0], "{runs}");

    kill(Pid::from_raw(host.id().cast_signed()), signal).unwrap();
    let killed = Instant::now();
    host.wait().unwrap();
    while pids.iter().any(|pid| alive(*pid)) {
        assert!(in_time(killed, GONE), "{tool}: {pids:?} live on");
        tokio::task::yield_now().await;
    }

    let swept = orphans(&dir, &["--kill"]);
    assert_eq!(swept.status, Some(0), "{swept:?}");
    assert_eq!(orphans(&dir, &[]).stdout, "no runs\n");
}

#[tokio::test]
async fn a_worker_that_holds_the_gil_dies_with_its_host() {
    host_dies("holds_the_gil", Signal::SIGKILL).await;
}

#[tokio::test]
async fn a_stopped_worker_dies_with_its_host() {
    host_dies("is_stopped", Signal::SIGKILL).await;
}

#[tokio::test]
async fn what_a_tool_started_dies_with_the_host() {
    host_dies("has_a_child", Signal::SIGKILL).await;
}

#[tokio::test]
async fn a_worker_that_ignores_signals_dies_with_its_host() {
    host_dies("ignores_signals", Signal::SIGKILL).await;
}

#[tokio::test]
async fn an_aborted_host_leaves_nothing() {
    host_dies("has_a_child", Signal::SIGABRT).await;
}

#[tokio::test]
async fn a_host_that_crashed_leaves_nothing() {
    host_dies("holds_the_gil", Signal::SIGILL).await;
}

#[test]
fn a_tool_that_closes_its_standard_input_does_not_harm_its_worker() {
    let (_guard, dir) = dir();
    let text = run(&dir, ["call", "tools.py:reads_its_input"]);
    assert_eq!(text.status, Some(1), "{text:?}");
    assert!(text.stderr.contains("OSError"), "{text:?}");
}

#[test]
fn there_are_no_runs_where_nothing_ran() {
    let (_guard, dir) = dir();
    let text = orphans(&dir, &[]);
    assert_eq!((text.status, text.stdout.as_str()), (Some(0), "no runs\n"));
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let (_guard, dir) = dir();
    fs::write(dir.join("data"), "a file").unwrap();
    let text = orphans(&dir, &[]);
    assert_eq!(text.status, Some(2), "{text:?}");
    assert!(text.stderr.contains("error[SP6001]"), "{text:?}");
    let mut call = command(&dir);
    call.env("SNAKEPIT_DATA_DIR", dir.join("data"));
    let output = call.args(["call", "tools.py:is_stopped"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("error[SP6001]"), "{stderr}");
}
