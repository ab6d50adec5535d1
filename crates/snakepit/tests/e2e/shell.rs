//! Mistakes on the command line and in its files: each has a code, a status and one thing to do.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::cli_support::{Run, command, run};

const TOOLS: &str = "from snakepit_bridge import tool
@tool
def mean(xs: list[float]) -> float: return sum(xs) / len(xs)
@tool
def count():
    yield from range(3)
";

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    dir
}

/// Checks the code, the exit status and the help of an error.
#[track_caller]
fn is_told(said: &Run, status: i32, code: &str, texts: &[&str]) {
    assert_eq!(said.status, Some(status), "{said:?}");
    assert!(
        said.stderr.starts_with(&format!("error[{code}]: ")),
        "{said:?}"
    );
    assert_eq!(said.stderr.matches("\n  help: ").count(), 1, "{said:?}");
    for text in texts {
        assert!(said.stderr.contains(text), "{text}: {said:?}");
    }
}

#[test]
fn a_wrong_command_line_has_a_code_and_one_thing_to_do() {
    let dir = dir();
    let call = |more: &[&'static str]| [&["call", "tools.py:mean"], more].concat();
    let cases: [(Vec<&str>, &[&str]); 12] = [
        (
            vec!["cal", "tools.py:mean"],
            &["'cal'", "`snakepit --help`"],
        ),
        (vec!["call"], &["<REF>", "`snakepit call --help`"]),
        (
            call(&["--workrs", "2"]),
            &["--workrs", "`snakepit call --help`"],
        ),
        (
            call(&["--timeout", "soon"]),
            &["`soon`", "`snakepit call --help`"],
        ),
        (
            call(&["--timeout", "1s", "--timeout", "2s"]),
            &["--timeout"],
        ),
        (call(&["--metrics", "here"]), &["`here`", "127.0.0.1:9464"]),
        (
            call(&["xs=[1]", "xs=[2]"]),
            &["argument `xs` is given twice"],
        ),
        (vec!["call", ""], &["names no adapter", "tools.py:mean"]),
        (vec!["call", ":mean"], &["names no adapter"]),
        (
            vec![
                "call",
                "--otlp",
                "http://localhost:4317",
                "tools.py:mean",
                "xs=[1]",
            ],
            &["is an address", "--otlp=http://localhost:4317"],
        ),
        (vec!["tools", " "], &["names no adapter"]),
        (vec!["profile", "--duration", "0"], &["`--duration`"]),
    ];
    for (arguments, texts) in cases {
        let said = run(dir.path(), &arguments);
        is_told(&said, 2, "SP1006", texts);
        assert_eq!(said.stdout, "");
        let said = run(dir.path(), [&arguments[..], &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
        assert_eq!(
            (&error["code"], said.status),
            (&"SP1006".into(), Some(2)),
            "{error}"
        );
        assert!(error["help"].is_string(), "{error}");
    }
    let said = run(dir.path(), call(&["--workers", "0"]));
    is_told(
        &said,
        2,
        "SP1001",
        &["`--workers` must be between 1 and 1024"],
    );
    let said = run(dir.path(), ["explain", "SP0000"]);
    is_told(&said, 2, "SP1006", &["`SP0000`", "snakepit explain"]);
    for unnamed in [
        &["profile", "--worker", ""][..],
        &["stack", ""],
        &["recycle", ""],
    ] {
        is_told(&run(dir.path(), unnamed), 2, "SP1006", &["snakepit"]);
    }
    let help = run(dir.path(), ["--help"]).stdout;
    assert!(help.contains("124 timed out"), "{help}");
}

#[test]
fn a_port_alone_is_one_of_this_machine() {
    let dir = dir();
    let said = run(
        dir.path(),
        ["call", "tools.py:mean", "xs=[1]", "--metrics", "0"],
    );
    assert_eq!((said.status, &*said.stdout), (Some(0), "1.0\n"), "{said:?}");
    assert!(
        said.stderr.contains("metrics: http://127.0.0.1:"),
        "{said:?}"
    );
}

fn onto_full_device(dir: &Path, arguments: &[&str]) -> Run {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(dir);
    let output = command.args(arguments).stdout(Stdio::from(full)).output();
    let output = output.unwrap();
    Run {
        status: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn output_that_cannot_be_written_is_told_with_a_code() {
    let dir = dir();
    let cases: [&[&str]; 8] = [
        &["call", "tools.py:mean", "xs=[1]"],
        &["stream", "tools.py:count"],
        &["tools", "tools.py"],
        &["explain"],
        &["explain", "SP2003"],
        &["completions", "bash"],
        &["--help"],
        &["ps", "--data-dir", "."],
    ];
    for arguments in cases {
        let said = onto_full_device(dir.path(), arguments);
        is_told(&said, 1, "SP9011", &["No space left on device"]);
    }
}

#[test]
fn an_adapter_that_is_no_regular_file_is_refused_at_once() {
    let dir = dir();
    mkfifo(&dir.path().join("pipe.py"), Mode::S_IRWXU).unwrap();
    fs::create_dir(dir.path().join("folder.py")).unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join("device.py")).unwrap();
    for (adapter, text) in [
        ("pipe.py:f", "adapter `pipe.py` is not a regular file"),
        ("device.py:f", "adapter `device.py` is not a regular file"),
        ("folder.py:f", "is a directory"),
    ] {
        let said = run(dir.path(), ["call", adapter]);
        is_told(&said, 1, "SP5003", &[text]);
    }
}
