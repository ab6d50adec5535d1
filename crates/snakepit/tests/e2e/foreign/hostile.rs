//! Workers that misbehave: errors name the cause, the pool serves on, and no process is left.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use snakepit::{
    BuildError, CallOptions, Death, Direction, Error, ErrorCode, PoolBuilder, Readiness, Snakepit,
    StartError, Value, args,
};
use tokio::time::timeout;

use super::{packages, start};
use crate::cli_support::command;
use crate::support::{LONG, root};
use crate::worker_life::Log;

/// Returns a pool of one worker that behaves like this.
fn pool(packages: &Path, mode: &[&str]) -> PoolBuilder {
    let script = format!(
        "{}/tests/e2e/foreign/hostile.js",
        env!("CARGO_MANIFEST_DIR")
    );
    let command = ["node", &script].into_iter().chain(mode.iter().copied());
    PoolBuilder::command("main", command)
        .workers(1)
        .call_timeout(LONG)
        .start_timeout(LONG)
        .env("NODE_PATH", packages.to_string_lossy())
        .env(
            "PROTO",
            root().join("proto/snakepit_bridge.proto").to_string_lossy(),
        )
        .configure(|config| config.restart.max_restarts = 0)
}

/// Returns the reason for which a pool does not start.
async fn refusal(pool: PoolBuilder) -> StartError {
    match Snakepit::builder().pool(pool).start().await {
        Err(BuildError::Start { error, .. }) => match *error {
            Error::Start { source, .. } => *source,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Returns true once a process is gone.
async fn gone(pid: u32) {
    let wait = async {
        while Path::new(&format!("/proc/{pid}")).exists() {
            // polls: the end of a process that another process reaps
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, wait).await.expect("the process is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_fail_say_why() {
    let Some(packages) = packages() else { return };
    // Long enough for the start of Node, where the stage matters.
    let limits = [Duration::from_millis(700), Duration::from_secs(15)];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let own = format!("port {port} belongs to process {}", std::process::id());
    for (mode, limit, code, texts) in [
        (
            &["never"][..],
            Some(limits[0]),
            ErrorCode::StartFailed,
            &["was not ready within 700ms", "GRPC_READY:<port>"][..],
        ),
        (
            &["exits"],
            None,
            ErrorCode::StartFailed,
            &["exited with status 3 before it was ready"],
        ),
        (
            &["broken"],
            None,
            ErrorCode::StartFailed,
            &["exited with status 1", "Cannot find module"],
        ),
        (
            &["twice"],
            None,
            ErrorCode::Protocol,
            &["was ready twice: at 127.0.0.1:"],
        ),
        (
            &["claims", &port],
            None,
            ErrorCode::StartFailed,
            &[&own, "not to the worker"],
        ),
        (
            &["claims", "10.1.2.3:4"],
            None,
            ErrorCode::Protocol,
            &["`10.1.2.3:4` is neither"],
        ),
        (
            &["taken", &port],
            None,
            ErrorCode::StartFailed,
            &["EADDRINUSE"],
        ),
        (
            &["refuses"],
            None,
            ErrorCode::Protocol,
            &["`Describe` failed: INTERNAL: not today"],
        ),
        (
            &["silent"],
            Some(limits[1]),
            ErrorCode::StartFailed,
            &["did not answer `Ping` and `Describe` within"],
        ),
        (
            &["nameless"],
            None,
            ErrorCode::Protocol,
            &["two tools are named `a`"],
        ),
    ] {
        let pool = pool(&packages, mode).start_timeout(limit.unwrap_or(LONG));
        let error = refusal(pool).await;
        assert_eq!(error.code, code, "{mode:?}: {error}");
        let whole = error.to_string();
        for text in texts {
            assert!(whole.contains(text), "{mode:?}: {whole}");
        }
        assert!(error.help.is_some(), "{mode:?}");
    }
    let error = refusal(pool(&packages, &["good"]).slots(4).env("SLOTS", "2")).await;
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert!(
        error.message.contains("serves 2 calls at a time"),
        "{error}"
    );
    let address = listener.local_addr().unwrap();
    let error = refusal(pool(&packages, &["never"]).ready(Readiness::Address(address))).await;
    assert!(
        error
            .message
            .contains("another process accepts connections there"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_not_pass_for_another_one() {
    let Some(packages) = packages() else { return };
    let snakepit = start(pool(&packages, &["good"])).await;
    let socket: String = snakepit.execute("socket", ()).await.unwrap();
    let error = refusal(pool(&packages, &["claims", &format!("unix:{socket}")])).await;
    assert!(error.message.contains("belongs to process"), "{error}");
    let _: u32 = snakepit.execute("pid", ()).await.unwrap();
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_by_its_socket_a_file_or_a_line() {
    let Some(packages) = packages() else { return };
    for (mode, ready) in [
        ("good", Readiness::Any),
        ("line", Readiness::Any),
        ("file", Readiness::Any),
        ("flood", Readiness::Any),
        ("good", Readiness::Socket),
        ("line", Readiness::Line("ready GRPC_READY:".to_owned())),
        ("file", Readiness::File),
    ] {
        let snakepit = start(pool(&packages, &[mode]).ready(ready.clone())).await;
        let pid: u32 = snakepit.execute("pid", ()).await.unwrap();
        assert_eq!(snakepit.workers()[0].pid, Some(pid), "{mode} {ready}");
        snakepit.shutdown().await;
        gone(pid).await;
    }
}

/// Calls `act` in a worker that behaves like this, and then another tool of the same pool.
async fn acted(packages: &Path, mode: &str, options: CallOptions) -> Error {
    let pool = pool(packages, &[mode])
        .max_payload(2 << 20)
        .configure(|config| {
            config.restart.max_restarts = 3;
            config.cancel_grace = Duration::from_millis(100);
        });
    let snakepit = start(pool).await;
    let call = snakepit.call::<Value>("act").options(&options);
    let error = call.await.unwrap_err();
    let _: u32 = snakepit.execute("pid", ()).await.unwrap();
    let report = snakepit.shutdown().await;
    assert!(report.leftover.is_empty(), "{report:?}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_used_fail_their_call_alone() {
    let Some(packages) = packages() else { return };
    let tool = |error: Error| match error {
        Error::Tool(error) => error,
        other => panic!("{other:?}"),
    };
    let error = tool(acted(&packages, "bare", CallOptions::new()).await);
    assert_eq!(error.code, ErrorCode::InvalidPayload);
    assert!(
        error.message.contains("`NaN` at byte 4 is not JSON"),
        "{error}"
    );
    assert!(error.help.contains("MessagePack"), "{}", error.help);
    let error = tool(acted(&packages, "unkind", CallOptions::new()).await);
    assert_eq!(error.code, ErrorCode::WrongCallKind);
    assert!(
        error.message.contains("does not implement `ExecuteTool`"),
        "{error}"
    );
    match acted(&packages, "large", CallOptions::new()).await {
        Error::TooLarge {
            direction: Direction::Reply,
            size,
            limit,
        } => {
            assert!(size > 3 << 20 && limit == 2 << 20, "{size} {limit}");
        }
        other => panic!("{other:?}"),
    }
    for mode in ["bare", "large"] {
        let pool = pool(&packages, &[mode]).max_payload(2 << 20);
        let snakepit = start(pool.configure(|config| config.restart.max_restarts = 3)).await;
        let mut chunks = snakepit.execute_stream::<Value>("act", ()).await.unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), 1_i64.into());
        let error = chunks.next().await.unwrap().unwrap_err();
        match (mode, &error) {
            ("bare", Error::Tool(error)) => assert!(error.message.contains("`NaN`"), "{error}"),
            ("large", Error::TooLarge { .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(chunks.next().await.is_none());
        let _: u32 = snakepit.execute("pid", ()).await.unwrap();
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_end_or_hang_are_replaced() {
    let Some(packages) = packages() else { return };
    match acted(&packages, "dies", CallOptions::new()).await {
        Error::WorkerDied {
            cause: Death::Signal(9),
            ambiguous: true,
            ..
        } => {}
        other => panic!("{other:?}"),
    }
    match acted(&packages, "closes", CallOptions::new()).await {
        Error::WorkerDied {
            reason,
            ambiguous: true,
            ..
        } => {
            assert!(reason.contains("lost its connection"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let options = CallOptions::new().timeout(Duration::from_millis(200));
    let error = acted(&packages, "hangs", options).await;
    assert_eq!(error.code(), ErrorCode::CallTimeout, "{error:?}");
}

#[tokio::test]
async fn nothing_is_left_of_a_worker_that_ignores_sigterm_or_starts_a_daemon() {
    let Some(packages) = packages() else { return };
    let log = Log::default();
    let _guard = log.listen();
    let pool_of = |mode| {
        pool(&packages, &[mode]).configure(|config| config.stop_grace = Duration::from_millis(200))
    };
    let snakepit = start(pool_of("stubborn")).await;
    let pid: u32 = snakepit.execute("pid", ()).await.unwrap();
    let id = snakepit.workers()[0].id.to_string();
    let report = timeout(LONG, snakepit.shutdown()).await.unwrap();
    assert!(report.leftover.is_empty(), "{report:?}");
    gone(pid).await;
    let killed = log.lines("did not end after SIGTERM");
    assert!(
        killed.len() == 1 && killed[0].contains(&format!("worker={id} ")),
        "{killed:?}"
    );
    let snakepit = start(pool_of("daemon")).await;
    let daemon: u32 = snakepit.execute("act", ()).await.unwrap();
    assert!(Path::new(&format!("/proc/{daemon}")).exists());
    let report = snakepit.shutdown().await;
    assert!(report.leftover.is_empty(), "{report:?}");
    gone(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_the_host_is_killed() {
    let Some(packages) = packages() else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "{}/tests/e2e/foreign/hostile.js",
        env!("CARGO_MANIFEST_DIR")
    );
    let (node, shell) = (dir.path().join("node"), dir.path().join("shell"));
    let lines = "echo '{\"tools\": [{\"name\": \"act\"}]}'\nwhile read -r line; do :; done\n";
    let own = format!("echo $$ > '{}'\n{lines}", shell.display());
    std::fs::write(dir.path().join("worker.sh"), own).unwrap();
    let of_lines = format!("{} lines sh worker.sh", env!("CARGO_BIN_EXE_snakepit"));
    for (worker, file) in [
        (format!("node '{script}' hangs '{}'", node.display()), node),
        (of_lines, shell),
    ] {
        let mut host = command(dir.path())
            .args(["call", "--command", &worker, "act"])
            .env("NODE_PATH", &packages)
            .env("PROTO", root().join("proto/snakepit_bridge.proto"))
            .env("SNAKEPIT_DATA_DIR", dir.path().join("state"))
            .spawn()
            .unwrap();
        let pid: u32 = crate::support::file(&file).await.trim().parse().unwrap();
        host.kill().unwrap();
        host.wait().unwrap();
        gone(pid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_describe_itself_is_spoken_to_as_the_original_does() {
    let Some(packages) = packages() else { return };
    let snakepit = start(pool(&packages, &["original"])).await;
    let call = |args| snakepit.execute::<Value>("act", args);
    let given = call(args! { "text" => "{\"a\": 5.0}" }).await.unwrap();
    assert_eq!(given, Value::Map(vec![("a".into(), 5.0.into())]));
    let data = Value::Bytes(vec![0, 1, 255].into());
    assert_eq!(call(args! { "data" => &data }).await.unwrap(), data);
    match call(args! {}).await.unwrap_err() {
        Error::Tool(error) => {
            assert_eq!(
                (error.type_name.as_str(), error.message.as_str()),
                ("ValueError", "bad")
            );
        }
        other => panic!("{other:?}"),
    }
    match snakepit.execute::<Value>("act", (1, 2)).await.unwrap_err() {
        Error::Tool(error) => assert_eq!(error.code, ErrorCode::InvalidArguments),
        other => panic!("{other:?}"),
    }
    snakepit.shutdown().await;
}
