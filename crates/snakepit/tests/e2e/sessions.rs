//! Sessions, variables and host tools, from both sides, with real workers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use snakepit::{
    Affinity, CallOptions, Constraints, DType, Error, ErrorCode, HostTool, NewVariable, Snakepit,
    SnakepitBuilder, Tensor, ToolFailure, VariableType, args,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{LONG, pool_of};

#[derive(Deserialize, schemars::JsonSchema)]
struct Number {
    n: i64,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Nothing {}

fn adapter() -> String {
    format!("{}/tests/e2e/session_tools.py", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn builder(workers: usize) -> SnakepitBuilder {
    let double = |_, Number { n }: Number| Ok(2 * n);
    let countdown = |_, Number { n }: Number| stream::iter((0..n).rev().map(Ok));
    let hidden = |_, _: Nothing| Ok(());
    Snakepit::builder()
        .pool(pool_of("main", &adapter()).workers(workers))
        .host_tool(HostTool::sync("double", double).exposed())
        .host_tool(HostTool::stream("countdown", countdown).exposed())
        .host_tool(HostTool::sync("hidden", hidden))
}

async fn start(workers: usize) -> Snakepit {
    builder(workers).start().await.unwrap()
}

/// Creates a session with a counter from 0 to 10.
fn counter(snakepit: &Snakepit, id: &str) -> snakepit::Session {
    let state = snakepit.session(id).state().unwrap();
    let count = NewVariable::new("count", VariableType::Integer, 0);
    let count = count.constraints(Constraints::new().min(0).max(10));
    state.register(count).unwrap();
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_code_in_python() {
    // The tool ends with the test, also if the test fails.
    let (over, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let blocks = move |_, _: Nothing| {
        assert!(
            blocked.lock().unwrap().recv().is_err(),
            "nothing is ever sent"
        );
        Ok(())
    };
    let panics = |_, _: Nothing| -> snakepit::ToolResult<()> { panic!("the test asks for it") };
    let fails = |_, _: Nothing| -> snakepit::ToolResult<()> { Err(ToolFailure::new("no luck")) };
    let snakepit = builder(1)
        .host_tool(HostTool::sync("blocks", blocks).exposed())
        .host_tool(HostTool::sync("panics", panics).exposed())
        .host_tool(HostTool::sync("fails", fails).exposed())
        .start()
        .await
        .unwrap();
    let state = counter(&snakepit, "a");
    let session = snakepit.session("a");
    let table = [
        ("unknown variable", "SP7101", "nonesuch"),
        ("wrong type", "SP7103", "integer"),
        ("constraint", "SP7104", "max"),
        ("stale", "SP7106", "version"),
        ("exists", "SP7102", "count"),
        ("bad type", "SP7103", "colour"),
        ("unknown program", "SP7201", "nonesuch"),
        ("panics", "SP8006", "panic"),
        ("fails", "SP8005", "no luck"),
        ("blocks", "SP4003", "time"),
        ("bad arguments", "SP2003", "n"),
        ("missing argument", "SP2002", "n"),
    ];
    for (what, code, word) in table {
        let arguments = args! { "what" => what };
        let refusal: Vec<String> = session.execute("code_of", arguments).await.unwrap();
        assert_eq!(refusal[0], code, "{what}: {refusal:?}");
        assert!(refusal[1].contains(word), "{what}: {refusal:?}");
    }
    drop(over);
    // Without a session there are no variables; worker and host continue.
    let arguments = args! { "what" => "nothing" };
    let refusal: Vec<String> = snakepit
        .execute("code_of", arguments.clone())
        .await
        .unwrap();
    assert_eq!(refusal[0], "SP7001");
    assert!(
        session
            .execute::<Vec<String>>("code_of", arguments)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(state.variable("count").unwrap().version, 1);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_exposed_is_seen_and_sessions_see_their_own() {
    let snakepit = start(1).await;
    let one = snakepit.session("one");
    let own = |_, _: Nothing| Ok("own");
    let tools = vec![HostTool::sync("own", own).exposed()];
    let state = one.state().unwrap();
    snakepit.host_tools().register_for(&state, tools).unwrap();
    let seen: Vec<String> = one.execute("tools", ()).await.unwrap();
    assert_eq!(seen, ["countdown", "double", "own"]);
    let seen: Vec<String> = snakepit.session("two").execute("tools", ()).await.unwrap();
    assert_eq!(seen, ["countdown", "double"]);
    let call = |name: &str| args! { "name" => name, "arguments" => args! {} };
    assert_eq!(
        one.execute::<String>("call", call("own")).await.unwrap(),
        "own"
    );
    for (name, session) in [("own", "two"), ("hidden", "one")] {
        let refused = snakepit
            .session(session)
            .execute::<()>("call", call(name))
            .await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_from_coroutines_threads_and_streams() {
    let snakepit = start(1).await;
    let doubled: Vec<i64> = (0..200).map(|n| 2 * n).collect();
    for tool in ["call_many", "call_in_threads"] {
        let arguments = args! { "count" => 50 };
        let result: Vec<i64> = snakepit.execute(tool, arguments).await.unwrap();
        assert_eq!(result, doubled[..50], "{tool}");
    }
    for tool in ["countdown", "countdown_async"] {
        let arguments = args! { "n" => 2000 };
        let items = snakepit
            .execute_stream::<i64>(tool, arguments)
            .await
            .unwrap();
        let items: Vec<i64> = items.map(Result::unwrap).collect().await;
        assert!(items.iter().copied().eq((0..2000).rev()), "{tool}");
    }
    let two: Vec<i64> = snakepit.execute("first_two", ()).await.unwrap();
    assert_eq!(two, [(1 << 40) - 1, (1 << 40) - 2]);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_both_sides_lose_nothing() {
    let snakepit = start(2).await;
    let state = snakepit.session("s").state().unwrap();
    state
        .register(NewVariable::new("count", VariableType::Integer, 0))
        .unwrap();
    let mut writers = JoinSet::new();
    for _ in 0..2 {
        let session = snakepit.session("s");
        writers.spawn(async move {
            let arguments = args! { "count" => 50 };
            session
                .execute::<()>("increments", arguments)
                .await
                .unwrap();
        });
    }
    for _ in 0..50 {
        let increment = |value: &snakepit::Value| match value {
            snakepit::Value::Int(count) => (count + 1).into(),
            other => other.clone(),
        };
        state.update_variable("count", increment).unwrap();
        tokio::task::yield_now().await;
    }
    writers.join_all().await;
    let count = state.variable("count").unwrap();
    assert_eq!((&*count.value, count.version), (&150.into(), 151));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_travel_as_numbers_small_and_large() {
    let snakepit = start(1).await;
    for (id, elements) in [("small", 4_usize), ("large", 100_000)] {
        let state = snakepit.session(id).state().unwrap();
        let data: Vec<u8> = (0..elements)
            .flat_map(|n| (n as f64).to_le_bytes())
            .collect();
        let vector = Tensor::new(DType::Float64, [elements], data).unwrap();
        state
            .register(NewVariable::new("vector", VariableType::Embedding, vector))
            .unwrap();
        let sum: f64 = snakepit.session(id).execute("numbers", ()).await.unwrap();
        let elements = elements as f64;
        assert_eq!(sum, elements * (elements - 1.0) / 2.0);
        let vector = state.variable("vector").unwrap();
        let snakepit::Value::Array(vector) = &*vector.value else {
            panic!("{vector:?}")
        };
        assert_eq!(vector.to_f64()[3], 6.0);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_takes_its_host_tool_along() {
    let dropped = Arc::new(Notify::new());
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let begun = Arc::new(Notify::new());
    let (tell, begins) = (Arc::clone(&dropped), Arc::clone(&begun));
    let never = move |_, _: Nothing| {
        let tell = Tell(Arc::clone(&tell));
        begins.notify_one();
        async move {
            std::future::pending::<()>().await;
            drop(tell);
            Ok(())
        }
    };
    let tool = HostTool::asynchronous("never", never).exposed();
    let snakepit = builder(1).host_tool(tool).start().await.unwrap();
    {
        let mut call = std::pin::pin!(snakepit.execute::<()>("waits", ()));
        tokio::select! {
            ended = &mut call => panic!("{ended:?}"),
            () = begun.notified() => {}
        }
    }
    timeout(LONG, dropped.notified()).await.unwrap();
    // The worker was cancelled too: its slot is free and its process the same.
    let before = snakepit.workers()[0].pid.unwrap();
    let pid: u32 = timeout(LONG, snakepit.execute("pid", ()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(pid, before);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_session_stays_with_its_worker_and_hears_of_its_end() {
    let snakepit = start(3).await;
    let session = snakepit.session("sticky").affinity(Affinity::StrictQueue);
    let mut burst = JoinSet::new();
    for value in 0..20 {
        let session = session.clone();
        let arguments = args! { "key" => "k", "value" => value };
        burst.spawn(async move { session.execute::<i32>("remember", arguments).await.unwrap() });
    }
    let pids = burst.join_all().await;
    let first = pids[0];
    assert!(pids.iter().all(|pid| *pid == first), "{pids:?}");
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    let lost = loop {
        match session.execute::<i32>("pid", ()).await {
            Err(error) if error.code() == ErrorCode::AffinityLost => break error,
            // This call finds the worker dead.
            Err(Error::WorkerDied { .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(lost.to_string().contains("sticky"), "{lost}");
    let second: i32 = session.execute("pid", ()).await.unwrap();
    assert_ne!(second, first);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_found_by_name_and_checked_before_a_worker_is_occupied() {
    let snakepit = start(1).await;
    let doubled: i64 = snakepit
        .execute_tool("s", "double", args! { "n" => 21 })
        .await
        .unwrap();
    assert_eq!(doubled, 42);
    let pid: u32 = snakepit.execute_tool("s", "pid", ()).await.unwrap();
    assert_eq!(Some(pid), snakepit.workers()[0].pid);
    let before = snakepit.status()[0].clone();
    let wrong = snakepit
        .execute_tool::<()>("s", "increments", args! { "count" => "x" })
        .await;
    assert_eq!(wrong.unwrap_err().code(), ErrorCode::WrongArgument);
    let unknown = snakepit
        .execute_tool::<()>("s", "doubl", ())
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::UnknownTool);
    assert_eq!(snakepit.status()[0].requests, before.requests);
    let hidden = snakepit
        .execute_tool::<()>("s", "hidden", ())
        .await
        .unwrap_err();
    assert_eq!(hidden.code(), ErrorCode::UnknownTool);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_expired_is_gone_for_both_sides() {
    let snakepit = builder(1)
        .configure_state(|state| state.sessions.ttl = Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    // On a busy machine a session may expire before it has its variable.
    let state = loop {
        let state = snakepit.session("short").state().unwrap();
        let count = NewVariable::new("count", VariableType::Integer, 0);
        if state.register(count).is_ok() {
            break state;
        }
    };
    while snakepit.sessions().exists(&"short".into()) {
        // polls: the end of a session, which has no event
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(state.variable("count").is_err());
    let arguments = args! { "what" => "nothing" };
    let options = CallOptions::new().session("short");
    let refusal: Vec<String> = snakepit
        .call("code_of")
        .args(arguments)
        .options(&options)
        .await
        .unwrap();
    assert_eq!(
        refusal[0], "SP7101",
        "a new session has nothing of the old one"
    );
    snakepit.shutdown().await;
}
