//! After a time-out the program reports the stacks of its worker.

use std::fs;
use std::path::Path;

use crate::cli_support::{command, run};

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

/// Runs the program with growing time-outs until it reports the worker's stacks: on a busy machine
/// a worker may be too slow for the short ones.
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
    let mut last = None;
    // On a busy machine a worker may be too slow for the short ones.
    for seconds in ["3s", "6s", "12s", "30s"] {
        let arguments = ["call", "tools.py:slow", "--json", "--timeout", seconds];
        let late = run(dir.path(), arguments);
        let error: serde_json::Value = serde_json::from_str(&late.stderr).unwrap();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("within {seconds}")), "{error}");
        let stacks = error["stacks"].as_str().unwrap_or_default();
        if error["code"] == "SP4003" && stacks.contains("tools.py:5 in slow") {
            return;
        }
        last = Some(error);
    }
    panic!("{last:?}");
}

/// Whatever used up the time, the message states the whole of it and names the option.
#[test]
fn a_time_that_the_start_uses_up_is_told_as_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    for given in [
        "1ms", "20ms", "80ms", "160ms", "240ms", "320ms", "400ms", "640ms",
    ] {
        let arguments = ["call", "tools.py:slow", "--timeout", given];
        let late = run(dir.path(), arguments);
        assert_eq!(late.status, Some(124), "{late:?}");
        let message = format!("no answer within {given} in phase ");
        assert!(late.stderr.contains(&message), "{given}: {late:?}");
        assert!(late.stderr.contains("`--timeout`"), "{given}: {late:?}");
        assert!(!late.stderr.contains("_timeout`"), "{given}: {late:?}");
    }
}

#[test]
fn a_stream_that_nobody_reads_ends_in_time_with_its_stacks() {
    let dir = tempfile::tempdir().unwrap();
    let tools = "from snakepit_bridge import tool
@tool
def floods():
    while True:
        yield 'x' * 10_000
";
    fs::write(dir.path().join("tools.py"), tools).unwrap();
    let mut last = None;
    for seconds in ["2s", "4s", "8s", "16s", "30s"] {
        let mut command = command(dir.path());
        let arguments = ["stream", "tools.py:floods", "--timeout", seconds];
        let mut child = command.args(arguments).spawn().unwrap();
        // The pipe is kept open, but not read.
        let unread = child.stdout.take().unwrap();
        let late = child.wait_with_output().unwrap();
        drop(unread);
        assert_eq!(late.status.code(), Some(124), "{late:?}");
        let said = String::from_utf8(late.stderr).unwrap();
        assert!(said.contains(&format!("within {seconds}")), "{said}");
        let told = ["error[SP4003]", "stacks:", "the output was not read"];
        if told.iter().all(|text| said.contains(text)) {
            return;
        }
        last = Some(said);
    }
    panic!("{last:?}");
}
