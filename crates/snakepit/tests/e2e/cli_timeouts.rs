//! The program says where its worker was when the time is up.

use std::fs;
use std::path::Path;

use crate::cli_support::run;

const TOOLS: &str = "import time
from snakepit_bridge import tool
@tool
def slow() -> None:
    time.sleep(3600)  # the tool sleeps
@tool
def trickles():
    yield 1
    time.sleep(3600)  # the tool sleeps
";

const LOADS: &str = "import time
def load():
    time.sleep(3600)  # the tool sleeps
load()
";

/// Runs the program with a time-out until it could say where the worker was: on a busy machine a worker may be too slow for that.
fn shows(dir: &Path, arguments: &[&str], place: &str) {
    let mut last = None;
    for seconds in ["2s", "4s", "8s", "16s", "30s"] {
        let late = run(dir, arguments.iter().copied().chain(["--timeout", seconds]));
        assert_eq!(late.status, Some(124), "{late:?}");
        if late.stderr.contains("stacks:") && late.stderr.contains(place) {
            return;
        }
        last = Some(late);
    }
    panic!("{arguments:?}: {last:?}");
}

#[test]
fn a_time_out_shows_the_stacks() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    fs::write(dir.path().join("loads.py"), LOADS).unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["call", "tools.py:slow"], "tools.py:5 in slow"),
        (
            &["call", "tools.py:slow", "--session", "s"],
            "tools.py:5 in slow",
        ),
        (&["stream", "tools.py:trickles"], "tools.py:9 in trickles"),
        (&["call", "loads.py:slow"], "loads.py:3 in load"),
        (&["tools", "loads.py"], "loads.py:3 in load"),
    ];
    for (arguments, place) in cases {
        shows(dir.path(), arguments, place);
    }
}

#[test]
fn a_time_out_as_json_has_the_stacks() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    let arguments = ["call", "tools.py:slow", "--json", "--timeout", "3s"];
    let late = run(dir.path(), arguments);
    let error: serde_json::Value = serde_json::from_str(&late.stderr).unwrap();
    let code = error["code"].as_str().unwrap();
    assert!(["SP4002", "SP4003", "SP4005"].contains(&code), "{error}");
    assert!(error["message"].as_str().unwrap().contains("within 3s"));
}
