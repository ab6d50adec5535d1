//! A worker on grpcio that speaks as the original library's workers do.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use snakepit::{Error, HostTool, PoolBuilder, Readiness, Snakepit, Value, args};
use tokio::time::timeout;

use super::venv::{interpreter, run};
use crate::support::{LONG, root};

/// Returns the interpreter, and the directory of the stubs that it has generated. `None` if grpcio
/// is not there, which is an error in continuous integration (`CI=true`).
#[expect(clippy::print_stderr, reason = "a skipped test prints its reason")]
fn grpcio() -> Option<(PathBuf, tempfile::TempDir)> {
    let requirements = root().join("python/tests/grpc/requirements.txt");
    let python = match interpreter(&requirements, "grpcio-worker-venv") {
        Ok(python) => python,
        Err(reason) => {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "no grpcio: {reason}");
            eprintln!("SKIP: grpcio is not there: {reason}");
            return None;
        }
    };
    let stubs = tempfile::tempdir().unwrap();
    let proto = root().join("proto");
    let out = |kind: &str| format!("--{kind}_out={}", stubs.path().display());
    let mut generate = Command::new(&python);
    generate
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .args([out("python"), out("grpc_python")])
        .arg(proto.join("snakepit_bridge.proto"));
    run(&mut generate).unwrap();
    Some((python, stubs))
}

fn pool(python: &Path, stubs: &Path, more: &[&str]) -> PoolBuilder {
    let script = root().join("python/tests/grpc/worker.py");
    let words = [
        &*python.to_string_lossy(),
        &*script.to_string_lossy(),
        "--elixir-address",
        "{host}",
    ]
    .map(str::to_owned);
    let words = words
        .into_iter()
        .chain(more.iter().map(|word| (*word).to_owned()));
    PoolBuilder::command("main", words)
        .workers(1)
        .slots(4)
        .call_timeout(LONG)
        .start_timeout(LONG)
        .env("PYTHONPATH", stubs.to_string_lossy())
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_original_kind_has_values_streams_sessions_host_tools_and_events() {
    let Some((python, stubs)) = grpcio() else {
        return;
    };
    for (ready, more) in [
        (Readiness::File, &[][..]),
        (
            Readiness::Line(Readiness::PREFIX.to_owned()),
            &["--ready", "line"],
        ),
    ] {
        let greet = |_, Name { name }: Name| Ok(format!("hello {name}"));
        let snakepit = Snakepit::builder()
            .pool(pool(&python, stubs.path(), more).ready(ready))
            .host_tool(HostTool::sync("greet", greet).exposed())
            .start()
            .await
            .unwrap();
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let _subscription = snakepit
            .on_event("snakepit.tool.*", move |emitted| {
                let _ = sender.send(emitted.event.name().to_owned());
            })
            .unwrap();
        let sum: i64 = snakepit
            .execute("add", args! { "a" => 1, "b" => 2 })
            .await
            .unwrap();
        assert_eq!(sum, 3);
        let data = Value::Bytes(vec![0, 255, 1].into());
        for value in [Value::Null, "ä".into(), data, Value::List(vec![0.5.into()])] {
            let same: Value = snakepit
                .execute("echo", args! { "value" => &value })
                .await
                .unwrap();
            assert_eq!(same, value);
        }
        let chunks = snakepit
            .execute_stream::<i64>("count", args! { "n" => 100 })
            .await
            .unwrap();
        let chunks: Vec<i64> = chunks.try_collect().await.unwrap();
        assert_eq!(chunks, (0..100).collect::<Vec<_>>());
        match snakepit
            .execute::<Value>("fail", args! { "message" => "no" })
            .await
            .unwrap_err()
        {
            Error::Tool(error) => {
                assert_eq!(
                    (error.type_name.as_str(), error.message.as_str()),
                    ("ValueError", "no")
                );
                assert!(error.traceback.contains("worker.py"), "{error:?}");
            }
            other => panic!("{other:?}"),
        }
        let own: String = snakepit.execute("session", ()).await.unwrap();
        assert!(own.starts_with("worker-main"), "{own}");
        let ann = snakepit.session("ann");
        let session: String = ann.execute("session", ()).await.unwrap();
        assert_eq!(session, "ann");
        let greeting: String = ann
            .execute("shout", args! { "name" => "Ann" })
            .await
            .unwrap();
        assert_eq!(greeting, "HELLO ANN");
        let event = timeout(LONG, events.recv()).await.unwrap();
        assert_eq!(event.as_deref(), Some("tool.shout"));
        let report = snakepit.shutdown().await;
        assert!(
            report.leftover.is_empty() && report.killed.is_empty(),
            "{report:?}"
        );
    }
}
