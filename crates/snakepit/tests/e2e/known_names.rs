//! Values that are known to be secret, in names and descriptions, in forked processes, and in
//! workers that did not name them.

use std::fs;
use std::path::Path;
use std::process::Output;

use snakepit::{Error, PoolBuilder, Snakepit};

use crate::cli_support::command;
use crate::support::{LONG, pool_of};
use crate::worker_life::threads;

const TOOLS: &str = r##"
import logging, os, sys, threading
from snakepit_bridge import SessionContext, mask_secret, telemetry, tool

__thread_safe__ = True
NAME = "zq7Hidden8Value"
GIVEN = os.environ["DB_PASSWORD_PROD"]
mask_secret("from-the-start")
space = {}
code = f"def of_{NAME}(wait):\n    wait()\n"
exec(compile(code, f"/tmp/in_{NAME}.py", "exec"), space)
Named = type(f"Error{NAME}", (Exception,), {"__module__": f"module_{NAME}"})

@tool
def hangs() -> None:
    mask_secret(NAME)
    threading.current_thread().name = f"form {NAME}"
    space[f"of_{NAME}"](threading.Event().wait)

@tool
def raises() -> None:
    mask_secret(NAME)
    raise Named("form")

@tool
def wants(number: int = 1, **more: int) -> object:
    mask_secret(NAME)
    return {NAME: object()}

@tool
def reports() -> None:
    mask_secret(NAME)
    logging.getLogger(f"form.{NAME}").warning("form", extra={f"key_{NAME}": f"form {NAME}"})
    telemetry.emit(f"tool.{NAME}", {f"count_{NAME}": 1}, {f"key_{NAME}": f"form {NAME}"})
    with telemetry.span(f"form {NAME}"):
        pass

@tool(description=f"form {GIVEN}")
def described(value: str = GIVEN) -> str:
    return value

@tool
def forks() -> None:
    child = os.fork()
    if child == 0:
        try:
            hidden = mask_secret("named-in-a-copy")
            print("form named-in-a-copy", hidden, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    print("form named-in-a-copy", flush=True)

@tool
def gives(count: int) -> None:
    for n in range(count):
        assert mask_secret(f"given-value-{n}".encode())
    print(f"form given-value-{count - 1}")

@tool
def tells(text: str) -> None:
    print("form", text, "by another", flush=True)
    os._exit(7)

# With characters that are replaced in names, and longer than names in messages are.
ODD = "odd\x01Value!" + "-of-many-parts" * 6

@tool
def hangs_with_controls() -> None:
    mask_secret(ODD)
    threading.current_thread().name = f"form {ODD}"
    threading.Event().wait()

@tool
def names_what_changes() -> None:
    mask_secret(ODD)
    mask_secret(ODD[4:])
    with telemetry.span("x" * 200 + ODD):
        telemetry.counter(ODD).add(1)
    print("form", ODD, flush=True)

@tool
def asks(context: SessionContext) -> None:
    mask_secret(ODD[4:])
    context.call_host_tool(ODD[4:])

@tool
def looks_up() -> None:
    mask_secret(ODD[4:])
    os.environ["x" * 150 + ODD[4:]]

@tool
def imports() -> None:
    mask_secret("zq7Package.of9Module")
    raise ModuleNotFoundError("form", name="zq7Package.of9Module")
"##;

const NAME: &str = "zq7Hidden8Value";
const GIVEN: &str = "v8Yr+2m/p=s\"5";

fn snakepit(dir: &Path, settings: &[(&str, &str)], args: &[&str]) -> Output {
    fs::write(dir.join("tools.py"), TOOLS).unwrap();
    command(dir)
        .env("DB_PASSWORD_PROD", GIVEN)
        .env("SNAKEPIT_LOG", "trace")
        .envs(settings.iter().copied())
        .args(args)
        .output()
        .unwrap()
}

#[track_caller]
fn is_safe(output: &Output, least: usize) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    for value in [
        NAME,
        GIVEN,
        "v8Yr",
        "from-the-start",
        "named-in-a-copy",
        "given-value",
        "Value!",
        "-of-many",
        "zq7Package",
    ] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    let masked = text.matches("<redacted>").count() + text.matches("_redacted").count();
    assert!(masked >= least, "{masked} of {least}: {text}");
}

/// Checks what the program shows of workers with these settings.
fn no_name_is_shown(settings: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| snakepit(dir.path(), settings, args);
    // The name of the thread, of the function and of its file.
    is_safe(&run(&["call", "--timeout", "3s", "tools.py:hangs"]), 3);
    is_safe(&run(&["call", "tools.py:raises"]), 2);
    is_safe(&run(&["call", "tools.py:wants"]), 1);
    is_safe(
        &run(&["call", "tools.py:wants", "number=from-the-start"]),
        1,
    );
    // The logger, and the attributes of records; the name of the event is one of a limited
    // alphabet.
    is_safe(&run(&["call", "tools.py:reports"]), 3);
    is_safe(&run(&["tools", "--json", "tools.py"]), 2);
    is_safe(&run(&["call", "tools.py:forks"]), 2);
    // With the value that is named while the tools are loaded, as many as there can be.
    is_safe(&run(&["call", "tools.py:gives", "count=63"]), 1);
    is_safe(
        &run(&["call", "--timeout", "3s", "tools.py:hangs_with_controls"]),
        1,
    );
    is_safe(&run(&["call", "tools.py:names_what_changes"]), 2);
    is_safe(&run(&["call", "tools.py:looks_up"]), 2);
    // The host's own events name the tool that is asked for.
    let settings = [settings, &[("SNAKEPIT_LOG", "info")]].concat();
    let asks = snakepit(dir.path(), &settings, &["call", "tools.py:asks"]);
    is_safe(&asks, 2);
    is_safe(&run(&["call", "tools.py:imports"]), 1);
}

#[test]
fn the_process_profile_shows_no_known_name() {
    no_name_is_shown(&[]);
}

#[test]
fn the_thread_profile_shows_no_known_name() {
    no_name_is_shown(&[
        ("SNAKEPIT_DEFAULTS__PROFILE", "thread"),
        ("SNAKEPIT_DEFAULTS__THREADS_PER_WORKER", "2"),
    ]);
}

#[test]
fn the_event_loop_shows_no_known_name() {
    no_name_is_shown(&[("SNAKEPIT_DEFAULTS__CONCURRENCY", "4")]);
}

#[test]
fn a_module_that_is_missing_is_shown_without_a_known_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("broken.py"), format!("import {NAME}\n")).unwrap();
    let output = command(dir.path())
        .env("DB_PASSWORD_PROD", NAME)
        .args(["call", "broken.py:any"])
        .output()
        .unwrap();
    is_safe(&output, 2);
}

async fn others_mask_it(pool: PoolBuilder) {
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let snakepit = &snakepit;
    let () = snakepit
        .execute("gives", snakepit::args! { "count" => 1 })
        .await
        .unwrap();
    // Two workers end, so that the replacement of the one that knows it has its turn.
    for _ in 0..3 {
        let tell = snakepit.execute::<()>("tells", snakepit::args! { "text" => "given-value-0" });
        let error = tokio::time::timeout(LONG, tell).await.unwrap().unwrap_err();
        let Error::WorkerDied { output, .. } = &error else {
            panic!("{error:?}");
        };
        let text = output.join("\n");
        assert!(text.contains("form <redacted> by another"), "{text}");
        assert!(!text.contains("given-value"), "{text}");
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_one_worker_names_is_masked_in_all() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tools.py");
    fs::write(&file, TOOLS).unwrap();
    let pool = pool_of("main", file.to_str().unwrap())
        .workers(2)
        .configure_python(|python| {
            let name = "DB_PASSWORD_PROD".to_owned();
            python.env.insert(name, GIVEN.to_owned());
        });
    for pool in [pool.clone(), threads(pool.clone()), pool.concurrency(4)] {
        others_mask_it(pool).await;
    }
}
