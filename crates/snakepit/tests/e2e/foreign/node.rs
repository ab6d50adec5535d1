//! The example in Node: every kind of call, and what its capabilities promise.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use snakepit::{CallOptions, Error, ErrorCode, HostTool, Snakepit, Value, args};
use tokio::time::timeout;

use super::{packages, pool, start};
use crate::cli_support::command;
use crate::support::{LONG, root};

#[tokio::test(flavor = "multi_thread")]
async fn values_streams_batches_and_errors_of_tools_in_node() {
    let Some(packages) = packages() else { return };
    let snakepit = start(pool(&packages)).await;
    let sum: i64 = snakepit
        .execute("add", args! { "a" => 1, "b" => 2 })
        .await
        .unwrap();
    assert_eq!(sum, 3);
    let mean: f64 = snakepit
        .execute("mean", args! { "xs" => [1.5, 2.5] })
        .await
        .unwrap();
    assert_eq!(mean, 2.0);
    for value in [
        Value::Null,
        true.into(),
        "ä \u{1f40d} \"\\".into(),
        Value::Bytes(vec![0, 255, 1].into()),
        Value::List(vec![
            1_i64.into(),
            Value::Map(vec![("a".into(), 0.5.into())]),
        ]),
    ] {
        let same: Value = snakepit
            .execute("echo", args! { "value" => &value })
            .await
            .unwrap();
        assert_eq!(same, value);
    }
    let large = "x".repeat(20 << 20);
    let same: String = snakepit
        .execute("echo", args! { "value" => &large })
        .await
        .unwrap();
    assert!(same == large, "20 MiB come back as they were");
    let chunks = snakepit
        .execute_stream::<i64>("count", args! { "n" => 1000 })
        .await
        .unwrap();
    let chunks: Vec<i64> = chunks.try_collect().await.unwrap();
    assert_eq!(chunks, (0..1000).collect::<Vec<_>>());
    let items = (0..50).map(|n| args! { "a" => n, "b" => 1 });
    let sums = snakepit.execute_many::<i64, _>("add", items);
    let sums: Vec<i64> = sums.try_collect().await.unwrap();
    assert_eq!(sums, (1..51).collect::<Vec<_>>());

    let failed = |error: Error| match error {
        Error::Tool(error) => error,
        other => panic!("{other:?}"),
    };
    let error = snakepit
        .execute::<Value>("fail", args! { "message" => "no luck" })
        .await;
    let error = failed(error.unwrap_err());
    assert_eq!(error.code, ErrorCode::ToolRaised);
    assert_eq!(
        (error.type_name.as_str(), error.message.as_str()),
        ("RangeError", "no luck")
    );
    assert!(
        error.traceback.contains("worker.js:"),
        "{}",
        error.traceback
    );
    for (tool, args, code) in [
        ("nothing", args! {}, ErrorCode::UnknownTool),
        ("count", args! { "n" => 1 }, ErrorCode::WrongCallKind),
    ] {
        let error = snakepit.execute::<Value>(tool, args).await.unwrap_err();
        assert_eq!(failed(error).code, code, "{tool}");
    }
    let error = snakepit.execute::<Value>("add", (1, 2)).await.unwrap_err();
    assert_eq!(failed(error).code, ErrorCode::InvalidArguments);

    let info = snakepit.tools();
    let names: Vec<_> = info.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(&names[..4], ["add", "mean", "echo", "count"]);
    assert!(info[3].streaming && !info[0].streaming);
    assert_eq!(
        info[0].parameters["required"],
        serde_json::json!(["a", "b"])
    );
    let workers = snakepit.workers();
    assert_eq!(workers.len(), 1);
    let report = snakepit.shutdown().await;
    assert!(report.leftover.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_the_slots_of_one_worker_run_at_the_same_time_and_are_cancelled() {
    let Some(packages) = packages() else { return };
    let snakepit = start(pool(&packages).slots(4)).await;
    let pid = snakepit.workers()[0].pid;
    let sleep = |seconds: f64| snakepit.execute::<Value>("sleep", args! { "seconds" => seconds });
    // Three calls that would last for an hour; the fourth slot answers meanwhile.
    let options = CallOptions::new().timeout(Duration::from_millis(300));
    let late = || async {
        let call = snakepit
            .call("sleep")
            .args(args! { "seconds" => 3600 })
            .options(&options);
        call.await.map(|_: Value| ()).unwrap_err()
    };
    let (one, two, three, short) = tokio::join!(late(), late(), late(), sleep(0.0));
    assert_eq!(short.unwrap(), 0_i64.into());
    for error in [one, two, three] {
        assert_eq!(error.code(), ErrorCode::CallTimeout, "{error:?}");
    }
    // The tools have ended, not only the calls: all four slots are free, in the same process.
    let all = futures_util::future::join_all((0..4).map(|_| sleep(0.0)));
    for answer in timeout(LONG, all).await.unwrap() {
        answer.unwrap();
    }
    assert_eq!(snakepit.workers()[0].pid, pid);
    let mut chunks = snakepit
        .execute_stream::<i64>("count", args! { "n" => u32::MAX })
        .await
        .unwrap();
    assert_eq!(chunks.next().await.unwrap().unwrap(), 0);
    drop(chunks);
    sleep(0.0).await.unwrap();
    assert_eq!(snakepit.workers()[0].pid, pid);
    snakepit.shutdown().await;
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Visits {
    visits: u32,
    sessions: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_host_tools_and_events_reach_a_worker_in_node() {
    let Some(packages) = packages() else { return };
    let greet = |_, Name { name }: Name| Ok(format!("hello {name}"));
    let snakepit = Snakepit::builder()
        .pool(pool(&packages))
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
    let ann = snakepit.session("ann");
    let greeting: String = ann
        .execute("shout", args! { "name" => "Ann" })
        .await
        .unwrap();
    assert_eq!(greeting, "HELLO ANN");
    let event = timeout(LONG, events.recv()).await.unwrap();
    assert_eq!(event.as_deref(), Some("tool.shout"));

    let visit = |id: &'static str| {
        let session = snakepit.session(id);
        async move { session.execute::<Visits>("visits", ()).await.unwrap() }
    };
    assert_eq!(
        visit("ann").await,
        Visits {
            visits: 1,
            sessions: 1
        }
    );
    assert_eq!(
        visit("bob").await,
        Visits {
            visits: 1,
            sessions: 2
        }
    );
    assert_eq!(
        visit("ann").await,
        Visits {
            visits: 2,
            sessions: 2
        }
    );
    snakepit.sessions().delete(&"ann".into()).unwrap();
    // The worker learns of it in the background.
    let forgotten = async {
        while visit("bob").await.sessions > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, forgotten).await.unwrap();
    snakepit.shutdown().await;
}

#[test]
fn a_pool_in_node_from_a_file_and_on_the_command_line() {
    let Some(packages) = packages() else { return };
    let example = root().join("examples/workers/node");
    let worker = format!("node '{}'", example.join("worker.js").display());
    let dir = tempfile::tempdir().unwrap();
    let program = |arguments: &[&str]| {
        let output = command(dir.path())
            .env("NODE_PATH", &packages)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (status, stdout, stderr) = program(&["call", "--command", &worker, "add", "a=1", "b=2"]);
    assert_eq!((status, stdout.as_str()), (Some(0), "3\n"), "{stderr}");
    let (status, stdout, stderr) = program(&["stream", "--command", &worker, "count", "n=2"]);
    assert_eq!((status, stdout.as_str()), (Some(0), "0\n1\n"), "{stderr}");
    let (status, stdout, stderr) = program(&["tools", "--command", &worker]);
    assert!(
        status == Some(0) && stdout.contains("Adds two numbers."),
        "{stdout} {stderr}"
    );
    let (status, _, stderr) = program(&["call", "--command", "no-such-program", "add"]);
    assert!(
        status == Some(2) && stderr.contains("`no-such-program` is not on the PATH"),
        "{status:?} {stderr}"
    );

    let file = dir.path().join("snakepit.toml");
    let text = format!(
        "[defaults]\nthreads = 2\n[pools.node]\ncommand = [\"node\", \"worker.js\"]\nslots = 2\n\
         workers = 1\nworking_dir = {:?}\nenv = {{ NODE_PATH = {:?} }}\n",
        example.display().to_string(),
        packages.display().to_string()
    );
    std::fs::write(&file, text).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let snakepit = Snakepit::builder()
            .config_file(&file)
            .start()
            .await
            .unwrap();
        let sum: i64 = snakepit
            .execute("add", args! { "a" => 1, "b" => 2 })
            .await
            .unwrap();
        assert_eq!(sum, 3);
        snakepit.shutdown().await;
    });
}
