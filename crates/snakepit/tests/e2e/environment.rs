//! The environment: programs that use snakepit inside a tool, and settings that workers read.

use std::fs;
use std::path::{Path, PathBuf};

use snakepit::{Config, PoolBuilder, PythonProfile, Snakepit, args};

use crate::support::{bridge, pool_of};

/// Variable with the directory of the program inside a tool. Without it, the test that is that
/// program does nothing.
const INNER: &str = "INNER_PROGRAM_DIR";

const TOOLS: &str = "
import subprocess
from snakepit_bridge import tool

@tool
def run(program: list[str]) -> str:
    done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout

@tool
def opaque() -> object:
    return object()
";

fn dir(outer: &Path) -> PathBuf {
    fs::write(outer.join("tools.py"), TOOLS).unwrap();
    let inner = outer.join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(
        inner.join("answer.py"),
        "from snakepit_bridge import tool\n@tool\ndef answer() -> int: return 42\n",
    )
    .unwrap();
    let settings = format!(
        "data_dir = 'data'\n[pools.main]\nadapter = 'answer.py'\nworkers = 1\n\
         inherit_env = ['SNAKEPIT_*']\nenv = {{ PYTHONPATH = '{}' }}\n",
        bridge().display()
    );
    fs::write(inner.join("snakepit.toml"), settings).unwrap();
    inner
}

async fn runs_inside_a_tool(profile: impl FnOnce(PoolBuilder) -> PoolBuilder) {
    let outer = tempfile::tempdir().unwrap();
    let inner = dir(outer.path());
    let adapter = outer.path().join("tools.py");
    let pool = pool_of("outer", adapter.to_str().unwrap())
        .env(INNER, inner.to_str().unwrap())
        .env("SNAKEPIT_BRIDGE", bridge().to_str().unwrap());
    let snakepit = Snakepit::builder()
        .pool(profile(pool))
        .start()
        .await
        .unwrap();
    let exe = std::env::current_exe().unwrap();
    let program = [
        exe.to_str().unwrap(),
        "--exact",
        "environment::inner_program",
        "--nocapture",
    ];
    let said: String = snakepit
        .execute("run", args! { "program" => program })
        .await
        .unwrap();
    assert!(said.contains("@answer 42"), "{said}");
    snakepit.shutdown().await;
}

#[tokio::test]
async fn inner_program() {
    let Some(dir) = std::env::var_os(INNER) else {
        return;
    };
    let config = Config::load(Path::new(&dir).join("snakepit.toml")).unwrap();
    let snakepit = Snakepit::builder().config(config).start().await.unwrap();
    let answer: i64 = snakepit.execute("answer", ()).await.unwrap();
    println!("@answer {answer}");
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_program_runs_inside_a_tool() {
    runs_inside_a_tool(|pool| pool).await;
}

#[tokio::test]
async fn a_program_runs_inside_a_tool_of_a_worker_with_threads() {
    let profile = PythonProfile::Thread {
        threads_per_worker: 2,
    };
    runs_inside_a_tool(|pool| pool.profile(profile)).await;
}

#[tokio::test]
async fn a_program_runs_inside_a_tool_of_a_worker_with_an_event_loop() {
    let calls = std::num::NonZeroU16::new(2);
    runs_inside_a_tool(|pool| pool.configure_python(|python| python.concurrency = calls)).await;
}

#[cfg(feature = "cli")]
#[test]
fn settings_that_workers_read_come_from_the_environment_of_the_host() {
    let outer = tempfile::tempdir().unwrap();
    dir(outer.path());
    let call = |value: &str| {
        let mut command = crate::cli_support::command(outer.path());
        command
            .env("SNAKEPIT_UNSERIALIZABLE", value)
            .env("SNAKEPIT_LOG", "warn");
        let output = command
            .args(["call", "tools.py:opaque", "--json"])
            .output()
            .unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (result, _) = call("marker");
    assert!(result.contains("__ffi_unserializable__"), "{result}");
    let (_, said) = call("error");
    assert!(
        said.contains("SP2007") && !said.contains("ignored"),
        "{said}"
    );
    let (_, said) = call("markers");
    assert!(
        said.contains("SP2007") && said.contains("markers"),
        "{said}"
    );
}
