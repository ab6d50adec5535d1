//! The events of sessions, variables, programs and host tools.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use snakepit_core::call::{CallObserver, EndedCall, SentCall};
use snakepit_core::events::{Event, EventStream};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolCall, ToolFailure};
use snakepit_core::id::{CallId, WorkerId};
use snakepit_core::state::{NewVariable, SessionConfig, SessionOptions, VariableType};
use snakepit_core::value::{Payload, Value};

fn host(change: impl FnOnce(&mut SessionConfig)) -> (HostState, EventStream) {
    let mut config = HostStateConfig::new();
    change(&mut config.sessions);
    let host = HostState::new(config).unwrap();
    let events = host.events().subscribe(1000);
    (host, events)
}

/// Returns the events so far, each as its name and one field.
fn told(events: &mut EventStream, field: &str) -> Vec<String> {
    let each = std::iter::from_fn(|| events.try_next());
    each.map(|emitted| {
        let mut told = emitted.event.name().to_owned();
        emitted.event.visit(&mut |name, value| {
            if name == field {
                told += &format!(" {value}");
            }
        });
        told
    })
    .filter(|told| !told.starts_with("session.accessed"))
    .collect()
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_session_is_told() {
    let (host, mut events) = host(|config| config.sweep_interval = Duration::from_secs(1));
    let sessions = host.sessions();
    let one = sessions.create("one", SessionOptions::default()).unwrap();
    one.touch().unwrap();
    let accessed = std::iter::from_fn(|| events.try_next());
    let accessed: Vec<_> = accessed
        .map(|emitted| emitted.event.name().to_owned())
        .collect();
    assert_eq!(accessed, ["session.created", "session.accessed"]);
    one.delete().unwrap();
    assert_eq!(told(&mut events, "reason"), ["session.deleted deleted"]);
    let mut options = SessionOptions::default();
    options.ttl = Some(Duration::from_secs(2));
    sessions.create("two", options).unwrap();
    sessions.create("three", SessionOptions::default()).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let expected = [
        "session.created two",
        "session.created three",
        "session.expired two",
        "session.pruned",
    ];
    assert_eq!(told(&mut events, "session"), expected);
    host.close().await;
    assert_eq!(told(&mut events, "reason"), ["session.deleted closed"]);
}

#[tokio::test]
async fn many_sessions_are_told_of_once_until_they_are_fewer() {
    let (host, mut events) = host(|config| config.max_sessions = 10);
    let warnings = |events: &mut EventStream| {
        let all = told(events, "ratio");
        all.into_iter()
            .filter(|told| told.starts_with("session.accumulation_warning"))
            .collect::<Vec<_>>()
    };
    let create = |n: u32| {
        let id = format!("s{n}");
        host.sessions()
            .create(id, SessionOptions::default())
            .unwrap()
    };
    let held: Vec<_> = (0..7).map(create).collect();
    assert!(warnings(&mut events).is_empty());
    create(7);
    assert_eq!(warnings(&mut events), ["session.accumulation_warning 0.8"]);
    create(8);
    create(9);
    assert!(warnings(&mut events).is_empty());
    for session in &held[..3] {
        session.delete().unwrap();
    }
    create(10);
    assert_eq!(warnings(&mut events), ["session.accumulation_warning 0.8"]);
}

#[tokio::test]
async fn variables_and_programs_are_told_after_their_lock_is_free() {
    let (host, mut events) = host(|_| {});
    let session = host
        .sessions()
        .create("s", SessionOptions::default())
        .unwrap();
    // A handler that needs the same lock.
    let same = session.clone();
    let asks = host.events().on_event("variable.*", move |_| {
        same.variable("x").ok();
        same.info().unwrap();
    });
    told(&mut events, "");
    let new = NewVariable::new("x", VariableType::Integer, 1);
    session.register(new).unwrap();
    session.set("x", 2, None).unwrap();
    session.set("x", "no number", None).unwrap_err();
    session.delete_variable("x", None).unwrap();
    let expected = [
        "variable.changed registered",
        "variable.changed set",
        "variable.changed deleted",
    ];
    assert_eq!(told(&mut events, "change"), expected);
    asks.unwrap().detach();
    session.put_program("p", Value::from(1)).unwrap();
    session.program("p").unwrap();
    session.program("q").unwrap_err();
    session.delete_program("p").unwrap();
    session.delete_program("p").unwrap();
    let sessions = host.sessions();
    sessions.put_program("g", Value::from(1)).unwrap();
    sessions.program("g").unwrap();
    sessions.delete_program("g").unwrap();
    let expected = ["stored", "retrieved", "deleted"];
    let expected = ["p s", "g -"].map(|about| {
        let (program, session) = about.split_once(' ').unwrap();
        expected.map(|what| (format!("program.{what}"), program, session))
    });
    let mut told = Vec::new();
    while let Some(emitted) = events.try_next() {
        let (mut program, mut session) = (String::new(), String::new());
        emitted.event.visit(&mut |name, value| match name {
            "program" => program = value.to_string(),
            "session" => session = value.to_string(),
            _ => {}
        });
        if !program.is_empty() {
            told.push((emitted.event.name().to_owned(), program, session));
        }
    }
    let expected: Vec<_> = expected
        .iter()
        .flatten()
        .map(|(name, program, session)| (name.clone(), (*program).into(), (*session).into()))
        .collect();
    assert_eq!(told, expected);
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[tokio::test(start_paused = true)]
async fn each_call_of_a_host_tool_ends_once() {
    let (host, mut events) = host(|_| {});
    let tools = [
        HostTool::sync("works", |_, _: Nothing| Ok(1)),
        HostTool::sync("fails", |_, _: Nothing| -> Result<(), _> {
            Err(ToolFailure::new("no"))
        }),
        HostTool::asynchronous("waits", |_, _: Nothing| async {
            std::future::pending::<()>().await;
            Ok(())
        }),
        HostTool::stream("counts", |_, _: Nothing| {
            futures_util::stream::iter([Ok(1), Ok(2)])
        }),
    ];
    let exposed = tools.into_iter().map(HostTool::exposed).collect();
    host.tools().register_all(exposed).unwrap();
    let args = Payload::encode(&BTreeMap::<String, u64>::new()).unwrap();
    let brief = || {
        let mut call = ToolCall::new();
        call.deadline = Some(tokio::time::Instant::now() + Duration::from_millis(20));
        call
    };
    let tools = host.tools();
    for (name, code) in [
        ("works", "ok -"),
        ("fails", "error SP8005"),
        ("waits", "call_timeout SP8007"),
        ("unknown", "error SP8001"),
        ("counts", "error SP2009"),
    ] {
        tools.call(brief(), name, args.clone()).await.ok();
        check(&mut events, name, code);
    }
    let call = tools.call(ToolCall::new(), "waits", args.clone());
    tokio::time::timeout(Duration::from_millis(1), call)
        .await
        .unwrap_err();
    check(&mut events, "waits", "cancelled SP3002");
    let stream = tools.open_stream(brief(), "counts", args.clone()).unwrap();
    assert_eq!(stream.count().await, 2);
    check(&mut events, "counts", "ok -");
    drop(tools.open_stream(brief(), "counts", args.clone()).unwrap());
    check(&mut events, "counts", "cancelled SP3002");
    assert!(tools.open_stream(brief(), "works", args).is_err());
    check(&mut events, "works", "error SP2009");
}

/// Records the calls that it observes.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl CallObserver for Notes {
    fn sent(&self, call: &SentCall<'_>) -> u32 {
        let caller = call.caller.map(|it| it.0);
        let worker = call.worker.map(WorkerId::as_str);
        let note = format!("{} of {caller:?} {worker:?}", call.tool);
        self.0.lock().unwrap().push(note);
        7
    }

    fn ended(&self, call: &EndedCall<'_>) {
        let note = format!("{} {:?} {:?}", call.outcome, call.code, call.mark);
        self.0.lock().unwrap().push(note);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_each_call_of_a_host_tool_twice() {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let works = HostTool::sync("works", |_, _: Nothing| Ok(1)).exposed();
    state.tools().register(works).unwrap();
    let notes = Arc::new(Notes::default());
    assert!(state.tools().observe(notes.clone()));
    assert!(!state.tools().observe(notes.clone()), "one is enough");
    let args = Payload::encode(&BTreeMap::<String, u64>::new()).unwrap();
    let mut call = ToolCall::new();
    (call.call, call.worker) = (Some(CallId(3)), Some(WorkerId::new("main-1")));
    state
        .tools()
        .call(call, "works", args.clone())
        .await
        .unwrap();
    let unknown = state.tools().call(ToolCall::new(), "unknown", args);
    unknown.await.unwrap_err();
    let expected = [
        "works of Some(3) Some(\"main-1\")",
        "ok None Some(7)",
        "unknown of None None",
        "error Some(\"SP8001\") Some(7)",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}

fn check(events: &mut EventStream, name: &str, expected: &str) {
    let started = events.try_next().unwrap();
    assert!(matches!(&started.event, Event::HostToolStarted { tool, .. } if **tool == *name));
    let completed = events.try_next().unwrap();
    let Event::HostToolCompleted { outcome, code, .. } = &completed.event else {
        panic!("{completed:?}");
    };
    let told = format!("{outcome} {}", code.unwrap_or("-"));
    assert_eq!(told, expected, "{name}");
    assert!(events.try_next().is_none());
}
