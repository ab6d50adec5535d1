//! A worker on grpcio that speaks as the original library's workers do.

use std::net::{SocketAddr, TcpListener};

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use snakepit::grpc::ServeOptions;
use snakepit::{
    CommandConfig, Error, HostTool, Payload, PoolBuilder, Readiness, Snakepit, Value, args,
};
use tokio::time::timeout;

use super::installed::{grpcio, grpcio_pool as pool};
use crate::bridge::{client, execute};
use crate::support::{LONG, root};
use crate::thread_profile::until;

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

/// The preset for servers of the original library: its socket, its arguments, and the tools that it
/// registers in its first call.
#[tokio::test(flavor = "multi_thread")]
async fn a_preset_runs_a_server_of_the_original_library_with_the_tools_that_it_registers() {
    let Some((python, stubs)) = grpcio() else {
        return;
    };
    let script = root().join("python/tests/grpc/worker.py");
    let script = script.to_string_lossy().into_owned();
    let four = std::num::NonZeroU16::new(4).unwrap();
    for mut command in [
        CommandConfig::original(&script, "tools.Adapter"),
        CommandConfig::original_threaded(&script, "tools.Adapter", four),
    ] {
        command.program.clone_from(&python);
        // As grpcio of the original library does, without an authority of its own.
        command.args.push("--plain".to_owned());
        let path = stubs.path().to_string_lossy().into_owned();
        command.env.insert("PYTHONPATH".to_owned(), path);
        let slots = command.slots.get();
        let greet = |_, Name { name }: Name| Ok(format!("hello {name}"));
        let long = |_, Name { name }: Name| Ok(name.repeat(5 << 20));
        let snakepit = Snakepit::builder()
            .pool(
                PoolBuilder::with_command("main", command)
                    .workers(2)
                    .start_timeout(LONG),
            )
            .host_tool(HostTool::sync("greet", greet).exposed())
            .host_tool(HostTool::sync("long", long).exposed())
            // The name of a tool of the workers, too: it refuses none of the others.
            .host_tool(HostTool::sync("echo", |_, Name { name }: Name| Ok(name)).exposed())
            .start()
            .await
            .unwrap();
        let mut names: Vec<_> = snakepit.tools().into_iter().map(|tool| tool.name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "add",
                "count",
                "fail",
                "long_answer",
                "session",
                "shout",
                "sleep",
                "threads"
            ]
        );
        let threads: u16 = snakepit.execute("threads", ()).await.unwrap();
        assert_eq!(threads, if slots == 1 { 8 } else { slots + 2 });
        let ann = snakepit.session("ann");
        let shouted: String = ann
            .execute("shout", args! { "name" => "Ann" })
            .await
            .unwrap();
        assert_eq!(shouted, "HELLO ANN");
        // A client of the gateway calls a tool that a worker has registered for a session.
        let same: String = snakepit.session("s").execute("session", ()).await.unwrap();
        assert_eq!(same, "s");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s/gateway");
        let bridge = snakepit.bridge_with_gateway();
        let _serving = bridge
            .serve_unix(&path, &ServeOptions::new())
            .await
            .unwrap();
        let mut client = client(&path).await;
        let answer = execute(&mut client, "add", args! { "a" => 3, "b" => 4 }).await;
        let answer = answer.unwrap();
        assert!(answer.success, "{answer:?}");
        let sum: f64 = Payload::from_msgpack(answer.payload).decode().unwrap();
        assert!((sum - 7.0).abs() < 1e-9);
        // The worker that has registered it is gone.
        let pool = snakepit.pool("main").unwrap();
        let old = snakepit.workers();
        for worker in &old {
            pool.recycle(&worker.id).await.unwrap();
        }
        let gone = || {
            let workers = snakepit.workers();
            workers
                .iter()
                .all(|it| old.iter().all(|old| old.id != it.id))
        };
        until("the workers are replaced", gone).await;
        let answer = execute(&mut client, "add", args! { "a" => 3, "b" => 4 }).await;
        let answer = answer.unwrap();
        assert!(answer.success, "{answer:?}");
        // The answer of a host tool above the limit of grpcio is an error of ours.
        let error = ann.execute::<Value>("long_answer", ()).await.unwrap_err();
        assert!(error.to_string().contains("SP2005"), "{error}");
        let calls = (0..8).map(|n| ann.execute::<i64>("add", args! { "a" => n, "b" => 1 }));
        let sums = futures_util::future::join_all(calls).await;
        let sums: Vec<i64> = sums.into_iter().map(Result::unwrap).collect();
        assert_eq!(sums, (1..9).collect::<Vec<_>>());
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_when_it_listens_at_the_address_of_the_settings() {
    let Some((python, stubs)) = grpcio() else {
        return;
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let port = address.port().to_string();
    let pool = pool(&python, stubs.path(), &["--ready", "none", "--port", &port]);
    let pool = pool.ready(Readiness::Address(address));
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let sum: i64 = snakepit
        .execute("add", args! { "a" => 1, "b" => 2 })
        .await
        .unwrap();
    assert_eq!(sum, 3);
    snakepit.shutdown().await;
}
