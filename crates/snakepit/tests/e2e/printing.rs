//! Texts of workers on the terminal and in the log: visible escapes, levels, no secrets.

use std::fs;
use std::path::Path;

use crate::cli_support::{Run, command, run};

/// Every text of this worker holds control characters, and lines that imitate those of the program.
const TOOLS: &str = r#"
import logging, os, sys
from snakepit_bridge import tool

EVIL = "\x1b[2J\x9b31m\x7f\u202e\nerror[SP9999]: forged\r\nwarning: forged"

class Evil(Exception):
    pass
Evil.__qualname__ = "E\x1b[2J\nerror[SP9999]: forged"

@tool(name="fails", description=EVIL)
def fails() -> None:
    error = Evil(EVIL)
    if hasattr(error, "add_note"):
        error.add_note(EVIL)
    raise error from ValueError(EVIL)

@tool
def text() -> str:
    return EVIL

@tool
def listed() -> list[str]:
    return [EVIL]

@tool
def prints() -> None:
    print(EVIL)
    print("api_key='hush-hush-1'")
    sys.stderr.write("password=hunter2x\n")
    sys.stderr.flush()

@tool
def logs() -> None:
    logging.basicConfig(level=logging.DEBUG, format="%(message)s")
    logging.debug("at debug")
    logging.info("at info")
    logging.warning("at warning\nsecond line")
    logging.error("at error with token='hush-hush-2'")
    logging.error(EVIL)

KEY = ["-----BEGIN PRIVATE KEY-----", "MIIhush-hush".replace("-", "0") * 4, "hush0Q==", "-----END PRIVATE KEY-----"]

@tool
def leaks() -> None:
    for line in KEY:
        print(line)
    print("\x1b[1mpassword\x1b[0m=\x1b[31mhush-hush\x1b[0m")
    print("pass\u200bwd: hush-hush")
    print("x" * (16 * 1024 - 12) + " token='hush-hush-hush'")
    print("all is well")

@tool
def logs_a_key() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for line in KEY:
        logging.warning(line)
    logging.warning("all is well")

@tool
def raises() -> None:
    raise ValueError("\n".join(KEY) + "\nPGPASSWORD=hush-hush\nCookie: sid=hush-hush")

@tool
def quotes() -> None:
    print('{"password": "pa\\"hush-hush"}')
    print("password='''x hush-hush\nhush-hush''', and")
    print("export DB_PASSWORD=x hush-hush")
    print("\x1b]8;;https://u:hush-hush@host\x07here\x1b]8;;\x07")
    print({"password": "x hush-hush " * 2, "n": 1})
    password = "pa\"hush-hush"; raise ValueError('{"password": "pa\\"hush-hush"}, postgres://u:p@hush-hush@host')

@tool
def names_a_thread() -> None:
    import threading, time
    waits = lambda: time.sleep(3600)  # the tool sleeps
    threading.Thread(target=waits, name="with token='hush-hush'", daemon=True).start()
    waits()

@tool
def dies() -> None:
    sys.stderr.write("the secret='hush-hush-3' was here\n")
    sys.stderr.flush()
    os._exit(9)
"#;

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    dir
}

fn logged(dir: &Path, levels: &str, tool: &str) -> String {
    let mut command = command(dir);
    command
        .env("SNAKEPIT_LOG", levels)
        .args(["call", &format!("tools.py:{tool}")]);
    String::from_utf8(command.output().unwrap().stderr).unwrap()
}

/// Checks that a text has no control characters and no line that imitates one of the program.
#[track_caller]
fn is_safe(text: &str) {
    let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
    assert!(!text.contains(bad), "{text:?}");
    let forged =
        |line: &str| line.starts_with("error[SP9999]") || line.starts_with("warning: forged");
    assert!(!text.lines().any(forged), "{text:?}");
    assert!(
        !text.contains("hush-hush") && !text.contains("hunter2x"),
        "{text:?}"
    );
}

#[test]
fn errors_are_safe_and_lose_nothing() {
    let dir = dir();
    let Run { stderr, .. } = run(dir.path(), ["call", "tools.py:fails"]);
    is_safe(&stderr);
    for shown in ["\\u{1b}[2J", "\\u{9b}31m", "\\u{7f}", "\\u{202e}", "forged"] {
        assert!(stderr.contains(shown), "{shown}: {stderr}");
    }
    let Run { stderr, .. } = run(dir.path(), ["call", "tools.py:fails", "--json"]);
    is_safe(&stderr);
    let error: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("\u{1b}[2J\u{9b}31m\u{7f}"),
        "{error}"
    );
}

#[test]
fn listings_and_json_are_safe() {
    let dir = dir();
    for arguments in [&["tools", "tools.py"][..], &["tools", "tools.py", "--json"]] {
        let listed = run(dir.path(), arguments);
        is_safe(&listed.stdout);
        assert!(listed.stdout.contains("fails"), "{listed:?}");
    }
    let listed = run(dir.path(), ["tools", "tools.py", "--json"]).stdout;
    let tools: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let described = tools
        .to_string()
        .contains("\\u001b[2J\u{9b}31m\u{7f}\u{202e}");
    assert!(described, "{tools}");
    for arguments in [
        &["call", "tools.py:listed"][..],
        &["call", "tools.py:text", "--json"],
    ] {
        let called = run(dir.path(), arguments);
        is_safe(&called.stdout);
        let value: serde_json::Value = serde_json::from_str(&called.stdout).unwrap();
        assert!(value.to_string().contains("forged"), "{value}");
    }
    // Text for another program is unchanged.
    let raw = run(dir.path(), ["call", "tools.py:text"]).stdout;
    assert!(raw.starts_with("\u{1b}[2J\u{9b}31m"), "{raw:?}");
}

#[test]
fn lines_of_workers_are_safe_and_have_no_secrets() {
    let dir = dir();
    let said = logged(dir.path(), "trace", "prints");
    is_safe(&said);
    for shown in ["\\u{1b}[2J", "api_key='<redacted>'", "password=<redacted>"] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
}

#[test]
fn no_shape_of_a_secret_comes_through() {
    let dir = dir();
    for (tool, shown) in [
        (
            "leaks",
            &[
                "] <redacted>\n",
                "passwd: <redacted>",
                "token='<redac",
                "all is well",
            ][..],
        ),
        ("logs_a_key", &["warning root: <redacted>", "all is well"]),
        (
            "raises",
            &[
                "PRIVATE KEY-----<redacted>",
                "PGPASSWORD=<redacted>",
                "Cookie: <redacted>",
            ],
        ),
        (
            "quotes",
            &[
                r#"{"password": "<redacted>"}"#,
                "password='''<redacted>\n",
                "<redacted>''', and",
                "DB_PASSWORD=<redacted>\n",
                "{'password': '<redacted>', 'n': 1}",
                r#"ValueError: {"password": "<redacted>"}, postgres://u:<redacted>@host"#,
                r#"password = "<redacted>"; raise ValueError('{"password": "<redacted>"}, postgres://u:<redacted>@host')"#,
            ],
        ),
    ] {
        let said = logged(dir.path(), "trace", tool);
        is_safe(&said);
        assert!(
            !said.contains("hush") && !said.contains('\u{200b}'),
            "{said}"
        );
        for text in shown {
            let seen = said.replace("\\u{200b}", "");
            assert!(seen.contains(text), "{text}: {said}");
        }
    }
}

#[test]
fn the_name_of_a_thread_has_no_secret() {
    let dir = dir();
    for seconds in ["3s", "6s", "12s", "30s"] {
        let arguments = ["call", "tools.py:names_a_thread", "--timeout", seconds];
        let Run { stderr, .. } = run(dir.path(), arguments);
        assert!(!stderr.contains("hush"), "{stderr}");
        if stderr.contains("thread `with token='<redacted>'`") {
            return;
        }
    }
    panic!("it was never seen");
}

#[test]
fn log_records_of_workers_have_the_level_that_python_gave_them() {
    let dir = dir();
    let said = logged(dir.path(), "snakepit::python=warn", "logs");
    is_safe(&said);
    for (text, shown) in [
        ("at debug", false),
        ("at info", false),
        ("at warning", true),
        ("second line", true),
        ("at error with token='<redacted>'", true),
        ("\\u{1b}[2J\\u{9b}31m", true),
    ] {
        assert_eq!(said.contains(text), shown, "{text}: {said}");
    }
    assert!(said.contains("] warning root: at warning\n"), "{said}");
    let said = logged(dir.path(), "snakepit::python=debug", "logs");
    assert!(said.contains("] debug root: at debug"), "{said}");
    // Log records are not output of the worker.
    assert_eq!(logged(dir.path(), "snakepit::worker=trace", "logs"), "");
}

#[test]
fn a_worker_that_dies_is_a_warning_and_its_last_words_have_no_secrets() {
    let dir = dir();
    let said = logged(dir.path(), "warn", "dies");
    is_safe(&said);
    let warned = |line: &str| line.starts_with("warning:") && line.contains("worker.crashed");
    assert!(said.lines().any(warned), "{said}");
    assert!(said.contains("secret='<redacted>'"), "{said}");
    // A requested end is not logged as a crash.
    let said = logged(dir.path(), "warn", "text");
    assert!(!said.contains("worker.crashed"), "{said}");
}
