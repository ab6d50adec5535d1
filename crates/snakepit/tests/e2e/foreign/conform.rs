//! `snakepit conform`: what it says of workers that conform, and of those that do not.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::installed::grpcio;
use super::packages;
use crate::cli_support::command;
use crate::support::root;

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    status: String,
    detail: String,
    help: Option<String>,
}

/// Checks a worker. Returns the exit status and the checks by name.
fn conform(packages: &Path, worker: &str, more: &[&str]) -> (Option<i32>, BTreeMap<String, Check>) {
    let proto = root().join("proto/snakepit_bridge.proto");
    let env = [("NODE_PATH", packages), ("PROTO", &proto)];
    conform_with(worker, more, &env)
}

fn conform_with(
    worker: &str,
    more: &[&str],
    env: &[(&str, &Path)],
) -> (Option<i32>, BTreeMap<String, Check>) {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path())
        .args(["conform", "--json", "--timeout", "60s", "--command", worker])
        .args(more)
        .envs(env.iter().copied())
        .env("SNAKEPIT_DATA_DIR", dir.path().join("state"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let checks: Vec<Check> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    let checks = checks.into_iter().map(|check| (check.name.clone(), check));
    (output.status.code(), checks.collect())
}

#[test]
fn the_worker_in_node_conforms() {
    let Some(packages) = packages() else { return };
    let worker = root().join("examples/workers/node/worker.js");
    let worker = format!("node '{}'", worker.display());
    let (status, checks) = conform(&packages, &worker, &["--slots", "4"]);
    assert_eq!(status, Some(0), "{checks:#?}");
    for (name, check) in &checks {
        // JavaScript has no whole numbers beyond 2^53.
        let expected = if name == "values" { "warning" } else { "ok" };
        assert_eq!(check.status, expected, "{check:?}");
    }
    assert!(checks["values"].detail.contains("2^53 + 1"), "{checks:?}");
    assert!(
        checks["slots"]
            .detail
            .contains("4 calls run at the same time"),
        "{checks:?}"
    );
    assert!(
        checks["cancellation"].detail.contains("continues"),
        "{checks:?}"
    );
}

#[test]
fn the_worker_in_the_shell_conforms() {
    let Some(packages) = packages() else { return };
    let worker = root().join("examples/workers/shell/worker.sh");
    let program = env!("CARGO_BIN_EXE_snakepit");
    let (status, checks) = conform(
        &packages,
        &format!("{program} lines '{}'", worker.display()),
        &[],
    );
    assert_eq!(status, Some(0), "{checks:#?}");
    for name in [
        "start",
        "description",
        "streams",
        "batches",
        "errors",
        "values",
        "large values",
        "end",
    ] {
        assert_eq!(checks[name].status, "ok", "{checks:#?}");
    }
    // Its tools cannot be cancelled.
    assert_eq!(checks["cancellation"].status, "warning", "{checks:#?}");
}

#[test]
fn the_worker_on_grpcio_conforms_with_a_ready_file_and_with_a_log_line() {
    let Some((python, stubs)) = grpcio() else {
        return;
    };
    let script = root().join("python/tests/grpc/worker.py");
    let (python, script) = (python.display(), script.display());
    for ready in ["file", "line"] {
        // `PYTHONPATH` is not passed on.
        let path = stubs.path().display();
        let worker =
            format!("env 'PYTHONPATH={path}' '{python}' '{script}' --plain --ready {ready}");
        let more = ["--runtime", "original", "--ready", ready, "--slots", "4"];
        let (status, checks) = conform_with(&worker, &more, &[]);
        assert_eq!(status, Some(0), "{ready}: {checks:#?}");
        for name in [
            "start",
            "errors",
            "values",
            "large values",
            "slots",
            "streams",
            "end",
        ] {
            assert_eq!(checks[name].status, "ok", "{ready}: {checks:#?}");
        }
    }
}

#[test]
fn what_a_worker_lacks_is_told() {
    let Some(packages) = packages() else { return };
    let script = format!(
        "{}/tests/e2e/foreign/hostile.js",
        env!("CARGO_MANIFEST_DIR")
    );
    for (mode, name, expected, text) in [
        ("exits", "start", "failed", "exited with status 3"),
        ("stubborn", "end", "failed", "after SIGTERM, and was killed"),
        ("good", "unknown tool", "failed", "returned null"),
        ("dies", "unknown tool", "failed", "SIGKILL"),
        ("bare", "unknown tool", "warning", "SP2006"),
        ("good", "schemas", "warning", "pid, act"),
        ("good", "values", "warning", "not checked"),
    ] {
        let (status, checks) = conform(&packages, &format!("node {script} {mode}"), &[]);
        let check = &checks[name];
        assert_eq!(check.status, expected, "{mode}: {checks:#?}");
        assert!(
            check.detail.contains(text) && check.help.is_some(),
            "{mode}: {check:?}"
        );
        let failed = checks.values().any(|check| check.status == "failed");
        assert_eq!(status, Some(i32::from(failed)), "{mode}: {checks:#?}");
    }
}
