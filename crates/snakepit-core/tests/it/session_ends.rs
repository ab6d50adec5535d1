//! The remains of sessions, variables and programs: nothing is done twice, nothing stays half made.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolCall};
use snakepit_core::state::{
    NewVariable, SessionConfig, SessionOptions, Sessions, SetVariable, StateError, VariableError,
    VariableType,
};
use snakepit_core::value::Value;

use crate::support::payload;

fn sessions(change: impl FnOnce(&mut SessionConfig)) -> Sessions {
    let mut config = SessionConfig::new();
    change(&mut config);
    Sessions::new(config).unwrap()
}

#[tokio::test]
async fn a_session_is_seen_whole_or_not_at_all() {
    let sessions = sessions(|config| config.max_session_bytes = 1024);
    let ends = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ends);
    sessions.on_end(move |_, _, _| {
        seen.fetch_add(1, Ordering::SeqCst);
    });
    let big = SessionOptions::new().metadata("k", "x".repeat(2000));
    let error = sessions.create("a", big).unwrap_err();
    assert!(matches!(error, StateError::Quota { .. }), "{error}");
    let stats = sessions.stats();
    assert_eq!((stats.live, stats.bytes, stats.refused), (0, 0, 1));
    // The session was never visible, and no hook receives its end.
    let ends = ends.load(Ordering::SeqCst);
    assert_eq!((stats.created, stats.deleted, ends), (0, 0, 0));
    let small = SessionOptions::new().metadata("k", "v");
    let session = sessions.create("a", small).unwrap();
    assert!(session.info().unwrap().bytes > 0);
    assert_eq!(sessions.stats().created, 1);
}

#[tokio::test]
async fn deleting_what_is_not_there_succeeds() {
    let sessions = sessions(|_| ());
    let session = sessions.create("a", SessionOptions::new()).unwrap();
    let variable = NewVariable::new("v", VariableType::Integer, 1);
    session.register(variable).unwrap();
    session.put_program("p", 1.into()).unwrap();
    sessions.put_program("p", 1.into()).unwrap();
    for there in [true, false] {
        assert_eq!(session.delete_variable("v", None), Ok(there));
        assert_eq!(session.delete_program("p"), Ok(there));
        assert_eq!(sessions.delete_program("p"), Ok(there));
    }
    for there in [true, false] {
        assert_eq!(sessions.delete(&"a".into()), Ok(there));
    }
    assert_eq!(session.delete(), Ok(false));
    let left = sessions.stats();
    assert_eq!((left.bytes, left.deleted), (0, 1));
}

#[tokio::test]
async fn nothing_answers_after_the_end() {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let sessions = state.sessions();
    sessions.put_program("p", "x".into()).unwrap();
    let tool = HostTool::dynamic("t", |_, _: Value| Ok(Value::Null)).exposed();
    state.tools().register(tool).unwrap();
    state.close().await;
    let closed = Err(StateError::Closed);
    assert_eq!(sessions.program("p").map(drop), closed);
    assert_eq!(sessions.programs().map(drop), closed);
    assert_eq!(sessions.put_program("p", 1.into()), closed);
    assert_eq!(sessions.delete_program("p").map(drop), closed);
    assert_eq!(sessions.delete(&"a".into()).map(drop), closed);
    let stats = sessions.stats();
    assert_eq!((stats.global_programs, stats.bytes), (0, 0));
    let call = state.tools().call(ToolCall::new(), "t", payload(1)).await;
    assert_eq!(call.unwrap_err().code, StateError::Closed.code());
    let stream = state
        .tools()
        .open_stream(ToolCall::new(), "t", payload(1))
        .map(drop);
    assert_eq!(stream.unwrap_err().code, StateError::Closed.code());
}

#[tokio::test]
async fn one_request_gets_suggestions_once() {
    let sessions = sessions(|_| ());
    let session = sessions.create("a", SessionOptions::new()).unwrap();
    for name in ["epoch", "epochs"] {
        let variable = NewVariable::new(name, VariableType::Integer, 1);
        session.register(variable).unwrap();
    }
    let near = |error: &StateError| match error {
        StateError::Variable(error) => match &**error {
            VariableError::Unknown { near, .. } => near.len(),
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    };
    let found = session.variables(&["epocs", "epoch", "epocs"]).unwrap();
    let counts = [&found[0], &found[2]].map(|one| near(one.as_ref().unwrap_err()));
    assert_eq!(counts, [2, 0]);
    let items = || vec![SetVariable::new("epocs", 1), SetVariable::new("epocsh", 1)];
    let set = session.set_each(items()).unwrap();
    let counts: Vec<_> = set
        .iter()
        .map(|one| near(one.as_ref().unwrap_err()))
        .collect();
    assert_eq!(counts, [2, 0]);
    assert_eq!(near(&session.set_all(items()).unwrap_err()), 2);
    assert_eq!(near(&session.set("epocs", 1, None).unwrap_err()), 2);
    assert_eq!(near(&session.variable("epocs").unwrap_err()), 2);
    let long = "e".repeat(200);
    let error = session.variable(&long).unwrap_err().to_string();
    assert!(error.len() < 100, "a long name is shortened: {error}");
}
