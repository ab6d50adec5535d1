//! User code as it is written: files of packages, variables, progress bars, virtual environments.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use snakepit::{PoolBuilder, Snakepit, args};

use crate::cli_support::{Run, command, run};
use crate::support::pool_of;

const TOOLS: &str = r#"
import os, sys, time
from pathlib import Path
from snakepit_bridge import tool

@tool
def needs() -> str:
    return os.environ["SOME_SETTING"]

@tool
def shows_a_bar(go: str) -> None:
    sys.stderr.write("\r 10% of it, token='hush-hush-1'")
    sys.stderr.flush()
    while not Path(go).exists():
        time.sleep(0.01)  # the tool sleeps
    sys.stderr.write("\r100% of it\n")
    print("x" * 20000)
    print("done")
"#;

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    let inner = dir.path().join("pkg/sub");
    fs::create_dir_all(&inner).unwrap();
    for (file, text) in [
        ("pkg/__init__.py", ""),
        ("pkg/top.py", "ZERO = 0\n"),
        ("pkg/sub/__init__.py", ""),
        ("pkg/sub/helpers.py", "def add(a, b): return a + b\n"),
        (
            "pkg/sub/tools.py",
            "from . import helpers\nfrom ..top import ZERO\nfrom snakepit_bridge import tool\n\
             @tool\ndef add(a: int, b: int) -> int: return helpers.add(a, b) + ZERO\n",
        ),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

async fn adds(dir: &Path, profile: impl FnOnce(PoolBuilder) -> PoolBuilder) {
    let adapter = dir.join("pkg/sub/tools.py");
    let pool = pool_of("main", adapter.to_str().unwrap());
    let start = Snakepit::builder().pool(profile(pool)).start();
    let snakepit = start.await.unwrap();
    let sum: i64 = snakepit
        .execute("add", args! { "a" => 1, "b" => 2 })
        .await
        .unwrap();
    assert_eq!(sum, 3);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_file_of_a_package_imports_its_neighbours() {
    let dir = dir();
    adds(dir.path(), |pool| pool).await;
    adds(dir.path(), |pool| pool.concurrency(2)).await;
    let threads = snakepit::PythonProfile::Thread {
        threads_per_worker: 2,
    };
    adds(dir.path(), |pool| pool.profile(threads)).await;
    let called = run(dir.path(), ["call", "pkg/sub/tools.py:add", "a=1", "b=2"]);
    assert_eq!(called.stdout, "3\n", "{called:?}");
}

#[test]
fn the_program_passes_its_environment_on() {
    let dir = dir();
    let call = |arguments: &[&str]| {
        let mut command = command(dir.path());
        command.env("SOME_SETTING", "given");
        let output = command.args(["call", "tools.py:needs"]).args(arguments);
        let output = output.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    assert_eq!(call(&[]).0, "given\n");
    let (_, stderr) = call(&["--clean-env"]);
    assert!(
        stderr.contains("inherit_env = [\"SOME_SETTING\"]"),
        "{stderr}"
    );
}

#[test]
fn settings_of_pools_in_the_environment_are_honoured_or_refused() {
    let dir = dir();
    let with = |name: &str, value: &str, arguments: &[&str]| {
        let output = command(dir.path())
            .env(name, value)
            .args(arguments)
            .output()
            .unwrap();
        Run {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    };
    let needs = ["call", "tools.py:needs"];
    let name = "SNAKEPIT_POOLS__MAIN__PROFILE";
    for arguments in [&needs[..], &["tools", "tools.py"]] {
        let refused = with(name, "bogus", arguments);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains(name) || refused.stderr.contains("pools.main.profile"),
            "{refused:?}"
        );
    }
    let name = "SNAKEPIT_POOLS__MAIN__ENV";
    let honoured = with(name, "{SOME_SETTING=\"set\"}", &needs);
    assert_eq!(honoured.stdout, "set\n", "{honoured:?}");
    let honoured = with(
        "SNAKEPIT_DEFAULTS__CALL_TIMEOUT",
        "0.3s",
        &["call", "tools.py:shows_a_bar", "go=nowhere"],
    );
    assert_eq!(honoured.status, Some(124), "{honoured:?}");
    for arguments in [&needs[..], &["demo"], &["doctor"], &["diagnose"]] {
        let refused = with("SNAKEPIT_POOLS__OTHER__WORKERS", "2", arguments);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains("SNAKEPIT_POOLS__OTHER__WORKERS"),
            "{refused:?}"
        );
    }
}

#[test]
fn a_progress_bar_is_shown_while_it_moves() {
    let dir = dir();
    let mut child = command(dir.path())
        .args(["call", "tools.py:shows_a_bar", "go=go"])
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    // The tool continues after its progress bar was seen.
    while !String::from_utf8_lossy(&said).contains("10% of it, token='<redacted>'") {
        let read = stderr.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..read]);
    }
    fs::write(dir.path().join("go"), "").unwrap();
    stderr.read_to_end(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("\r[main-1]  10% of it"), "{said:?}");
    assert!(said.contains("\n[main-1] 100% of it\n"), "{said:?}");
    assert!(said.contains("x… 3616 bytes more\n"), "{said:?}");
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_run() {
    let dir = dir();
    let data = dir.path().join("data");
    let pool = pool_of("main", dir.path().join("missing.py").to_str().unwrap());
    let builder = Snakepit::builder().data_dir(&data).pool(pool);
    assert!(builder.start().await.is_err());
    let data = data.to_str().unwrap();
    let left = run(dir.path(), ["orphans", "--data-dir", data]);
    assert_eq!(left.stdout, "no runs\n", "{left:?}");
}
