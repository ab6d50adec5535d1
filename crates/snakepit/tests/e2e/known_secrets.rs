//! Values that are known to be secret: they are masked wherever a worker of any profile shows
//! them.

use std::fs;

use snakepit::{HostTool, PoolBuilder, Snakepit, ToolFailure};

use crate::cli_support::command;
use crate::support::pool_of;
use crate::worker_life::threads;

const TOOLS: &str = r#"
import base64, json, logging, os, subprocess, sys, urllib.parse
from snakepit_bridge import SessionContext, mask_secret, tool

__thread_safe__ = True
NAMED = "q7Zt~'9k\\x& w/\u00e9"
GIVEN = os.environ["DB_PASSWORD_PROD"]
print("form", GIVEN, "while it is loaded")

def forms():
    for value in (NAMED, GIVEN):
        data = value.encode()
        yield value
        yield repr(value)
        yield repr(data)
        yield json.dumps(value)
        yield json.dumps(value, ensure_ascii=False)
        yield json.dumps(json.dumps(value, ensure_ascii=False))
        yield urllib.parse.quote(value, safe="")
        yield urllib.parse.quote_plus(value)
        yield base64.b64encode(data).decode()
        yield base64.b64encode(b"u:" + data).decode()
        yield base64.urlsafe_b64encode(b"us:" + data).decode()

@tool
def prints() -> None:
    assert mask_secret(NAMED)
    for form in forms():
        print("form", form)
        sys.stderr.write(f"form {form}\n")
        os.write(1, f"form {form}\n".encode())
        print("form ", end="", flush=True)
        print(form[:4], end="", flush=True)
        print(form[4:], flush=True)
    subprocess.run([sys.executable, "-c", "import sys; print('form', sys.argv[1])", NAMED], check=True)

@tool
def logs() -> None:
    mask_secret(NAMED)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for form in forms():
        logging.warning("form %s", form)
    try:
        raise ValueError("form " + GIVEN)
    except ValueError:
        logging.exception("form %s", NAMED)

@tool
def raises() -> None:
    mask_secret(NAMED)
    error = ValueError("\n".join("form " + form for form in forms()))
    raise error from KeyError("form " + NAMED)

@tool
async def raises_in_a_task() -> None:
    mask_secret(NAMED)
    raise ValueError("\n".join("form " + form for form in forms()))

@tool
def streams():
    mask_secret(NAMED)
    yield 1
    raise ValueError("\n".join("form " + form for form in forms()))

@tool
def asks(context: SessionContext) -> None:
    mask_secret(NAMED)
    context.call_host_tool("fails")
"#;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

const NAMED: &str = "q7Zt~'9k\\x& w/é";
const GIVEN: &str = "v8Yr+2m/p=s\"5";

/// Parts of the values, and of their base64.
const PARTS: [&str; 8] = [
    "q7Zt", "9k\\x", "v8Yr", "2m/p", "cTda", "E3WnR", "djhZ", "Y4WXI",
];

#[track_caller]
fn is_safe(text: &str, forms: usize) {
    for part in PARTS {
        assert!(!text.contains(part), "{part}: {text}");
    }
    let shown = text.lines().filter(|line| line.contains("form "));
    let masked = shown.filter(|line| line.contains("<redacted>")).count();
    assert!(masked >= forms, "{masked} of {forms}: {text}");
}

/// Checks what the program shows of workers with these settings.
fn nothing_is_shown(settings: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    for (way, tool, forms) in [
        ("call", "prints", 90),
        ("call", "logs", 23),
        ("call", "raises", 22),
        ("call", "raises_in_a_task", 22),
        ("stream", "streams", 22),
    ] {
        let output = command(dir.path())
            .envs(settings.iter().copied())
            .env("DB_PASSWORD_PROD", GIVEN)
            .env("SNAKEPIT_LOG", "trace")
            .args([way, &format!("tools.py:{tool}")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        is_safe(&said, forms);
        assert!(said.contains("while it is loaded"), "{said}");
        let fails = tool.starts_with("raises") || tool == "streams";
        assert_eq!(output.status.success(), !fails, "{tool}: {said}");
    }
}

async fn no_error_shows_one(pool: PoolBuilder) {
    let fails = |_, _: Nothing| -> snakepit::ToolResult<()> {
        Err(ToolFailure::new(format!("form {NAMED}\nform {GIVEN}")))
    };
    let snakepit = Snakepit::builder()
        .pool(pool)
        .host_tool(HostTool::sync("fails", fails).exposed())
        .start()
        .await
        .unwrap();
    let error = snakepit.execute::<()>("asks", ()).await.unwrap_err();
    is_safe(&format!("{error}\n{error:#?}"), 1);
    snakepit.shutdown().await;
}

#[test]
fn the_process_profile_shows_no_known_value() {
    nothing_is_shown(&[]);
}

#[test]
fn the_thread_profile_shows_no_known_value() {
    nothing_is_shown(&[
        ("SNAKEPIT_DEFAULTS__PROFILE", "thread"),
        ("SNAKEPIT_DEFAULTS__THREADS_PER_WORKER", "2"),
    ]);
}

#[test]
fn the_event_loop_shows_no_known_value() {
    nothing_is_shown(&[("SNAKEPIT_DEFAULTS__CONCURRENCY", "4")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_host_tool_shows_no_known_value() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tools.py");
    fs::write(&file, TOOLS).unwrap();
    let pool = pool_of("main", file.to_str().unwrap()).configure_python(|python| {
        let name = "DB_PASSWORD_PROD".to_owned();
        python.env.insert(name, GIVEN.to_owned());
    });
    for pool in [pool.clone(), threads(pool.clone()), pool.concurrency(4)] {
        no_error_shows_one(pool).await;
    }
}
