//! The program as a shell uses it.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli_support::{command, run};
use crate::support::alive;

/// The tools of the documentation.
const TOOLS: &str = "from snakepit_bridge import tool
@tool
def mean(xs: list[float]) -> float: return sum(xs) / len(xs)
";

/// Further tools behind those; their line numbers do not matter.
const MORE: &str = "
import os, time
@tool
def slow(file: str = 'pid') -> None:
    open(file, 'w').write(str(os.getpid()))
    time.sleep(3600)  # the tool sleeps
@tool
def shout(text: str) -> str:
    print('shouting')
    return text.upper()
@tool
def boom() -> None:
    raise ValueError('bang')
@tool
def numbers(limit: int = 3):
    n = 0
    while n < limit:
        yield n
        n += 1
@tool
def die() -> None:
    os._exit(9)
class Model:
    @tool
    def predict(self, x: int) -> int:
        return x + 1
";

fn dir(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), text).unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

#[test]
fn the_documented_transcript_works_literally() {
    let (_guard, dir) = dir(TOOLS);
    let good = run(&dir, ["call", "tools.py:mean", "xs=[1,2,3]"]);
    assert_eq!(
        (good.status, good.stdout.as_str(), good.stderr.as_str()),
        (Some(0), "2.0\n", "")
    );
    let bad = run(&dir, ["call", "tools.py:mean", "xs=oops"]);
    assert_eq!((bad.status, bad.stdout.as_str()), (Some(1), ""));
    let expected =
        "error[SP2003]: argument `xs` of tool `mean` must be list[float], got string \"oops\"
  --> tools.py:3  def mean(xs: list[float]) -> float
  help: pass JSON, for example xs='[1.0, 2.0]'
";
    assert_eq!(bad.stderr, expected);
}

#[test]
fn results_and_arguments() {
    let (_guard, dir) = dir(&format!("{TOOLS}{MORE}"));
    let text = run(&dir, ["call", "tools.py:shout", "text=hey"]);
    assert_eq!((text.status, text.stdout.as_str()), (Some(0), "HEY\n"));
    assert!(text.stderr.contains("] shouting"), "{}", text.stderr);
    let json = run(
        &dir,
        [
            "call",
            "tools.py",
            "shout",
            "--json",
            "--args",
            r#"{"text": "a b"}"#,
        ],
    );
    assert_eq!((json.status, json.stdout.as_str()), (Some(0), "\"A B\"\n"));
    for reference in [
        "tools.py:Model:predict",
        "tools.py:Model.predict",
        "tools.py:Model",
    ] {
        let class = run(&dir, ["call", reference, "x=41"]);
        assert_eq!(
            (class.status, class.stdout.as_str()),
            (Some(0), "42\n"),
            "{}",
            class.stderr
        );
    }
}

#[test]
fn failures_have_their_exit_status() {
    let (_guard, dir) = dir(&format!("{TOOLS}{MORE}"));
    let boom = run(&dir, ["call", "tools.py:boom"]);
    assert_eq!(boom.status, Some(1));
    assert!(
        boom.stderr.starts_with("error[SP3001]: ValueError: bang\n"),
        "{}",
        boom.stderr
    );
    assert!(boom.stderr.contains("traceback:"), "{}", boom.stderr);
    let boom = run(&dir, ["call", "tools.py:boom", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&boom.stderr).unwrap();
    assert_eq!(error["code"], "SP3001");
    let died = run(&dir, ["call", "tools.py:die"]);
    assert_eq!(died.status, Some(1));
    assert!(died.stderr.contains("error[SP5001]"), "{}", died.stderr);
    let unknown = run(&dir, ["call", "tools.py:maen"]);
    assert_eq!(unknown.status, Some(1));
    assert!(
        unknown.stderr.contains("did you mean `mean`?"),
        "{}",
        unknown.stderr
    );
    let missing = run(&dir, ["call", "toolz.py:mean"]);
    assert_eq!(missing.status, Some(1));
    assert!(
        missing.stderr.contains("error[SP5003]"),
        "{}",
        missing.stderr
    );
}

#[test]
fn wrong_usage_is_status_2() {
    let (_guard, dir) = dir(TOOLS);
    let cases: [&[&str]; 7] = [
        &["call"],
        &["nonsense"],
        &["call", "tools.py:mean", "--workers", "-1"],
        &["call", "tools.py:mean", "--workers", "0"],
        &["call", "tools.py:mean", "--workers", "1025"],
        &["call", "tools.py:mean", "--args", "{"],
        &["call", "tools.py:mean", "--timeout", "soon"],
    ];
    for arguments in cases {
        let wrong = run(&dir, arguments);
        assert_eq!(
            (wrong.status, wrong.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {wrong:?}"
        );
        assert!(
            wrong.stderr.starts_with("error"),
            "{arguments:?}: {}",
            wrong.stderr
        );
    }
    let word = OsString::from_vec(b"xs=\xff\xfe".to_vec());
    let wrong = run(&dir, [OsString::from("call"), "tools.py:mean".into(), word]);
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("error[SP2006]"), "{}", wrong.stderr);
}

#[test]
fn a_time_out_is_status_124_in_time_and_leaves_no_process() {
    let (_guard, dir) = dir(&format!("{TOOLS}{MORE}"));
    // On a busy machine the call may not have begun in that time; then the limit is doubled.
    let mut timeout = Duration::from_secs(1);
    let pid = loop {
        let limit = format!("{}s", timeout.as_secs());
        // The tool takes an hour.
        let late = run(&dir, ["call", "tools.py:slow", "--timeout", &limit]);
        assert_eq!(late.status, Some(124), "{late:?}");
        assert!(late.stderr.starts_with("error[SP400"), "{}", late.stderr);
        match fs::read_to_string(dir.join("pid"))
            .unwrap_or_default()
            .parse()
        {
            Ok(pid) => break pid,
            Err(_) => timeout *= 2,
        }
    };
    assert!(!alive(pid));
}

#[test]
fn streams_are_lines() {
    let (_guard, dir) = dir(&format!("{TOOLS}{MORE}"));
    let stream = run(&dir, ["stream", "tools.py:numbers"]);
    assert_eq!(
        (stream.status, stream.stdout.as_str()),
        (Some(0), "0\n1\n2\n"),
        "{stream:?}"
    );
}

#[test]
fn a_reader_that_leaves_ends_the_stream_without_complaint() {
    let (_guard, dir) = dir(&format!("{TOOLS}{MORE}"));
    let mut child = command(&dir)
        .args(["stream", "tools.py:numbers", "limit=1000000000"])
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "0\n");
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[tokio::test]
async fn an_interrupt_ends_everything_with_status_130() {
    let (_guard, dir) = dir(&format!("{TOOLS}{MORE}"));
    let child = command(&dir)
        .args(["call", "tools.py:slow"])
        .spawn()
        .unwrap();
    let worker: u32 = crate::support::file(&dir.join("pid"))
        .await
        .parse()
        .unwrap();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!alive(worker));
}

#[test]
fn tools_are_listed() {
    let (_guard, dir) = dir(TOOLS);
    let text = run(&dir, ["tools", "tools.py"]);
    assert_eq!(
        text.stdout, "mean(xs: list[float]) -> float  tools.py:3\n",
        "{text:?}"
    );
    let json = run(&dir, ["tools", "tools.py", "--json"]);
    let tools: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(tools[0]["name"], "mean");
    assert_eq!(tools[0]["parameters"]["properties"]["xs"]["type"], "array");
}

#[test]
fn completions_and_help() {
    let (_guard, dir) = dir(TOOLS);
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&dir, ["completions", shell]);
        assert_eq!(script.status, Some(0));
        assert!(script.stdout.contains("snakepit"), "{shell}");
    }
    assert_eq!(run(&dir, ["--help"]).status, Some(0));
    assert_eq!(run(&dir, ["--version"]).status, Some(0));
}

#[test]
fn the_demo_passes() {
    let (_guard, dir) = dir(TOOLS);
    let demo = run(&dir, ["demo", "--json", "--workers", "2"]);
    assert_eq!(demo.status, Some(0), "{demo:?}");
    let outcome: serde_json::Value = serde_json::from_str(&demo.stdout).unwrap();
    assert_eq!(outcome["failed"], 0);
    assert_eq!(outcome["passed"], 10);
}
