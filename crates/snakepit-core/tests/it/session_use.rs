//! Calls use their session: it does not expire while they wait or run.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolCall};
use snakepit_core::pool::Pool;
use snakepit_core::state::{
    NewVariable, Session, SessionConfig, SessionOptions, Sessions, StateError, VariableType,
};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::{Payload, Value};
use tokio::time::advance;

use crate::support::{begin_with, config, payload, ready, until};

const SECOND: Duration = Duration::from_secs(1);

fn state() -> HostState {
    HostState::new(HostStateConfig::new()).unwrap()
}

/// Returns a pool, and a session that lives for one second and has a variable.
async fn pool_and_session(slots: u16) -> (Pool, ScriptedProfile, HostState, Session) {
    let state = state();
    let profile = ScriptedProfile::new(slots).with_state(state.clone());
    let pool = ready(config(1), &profile).await;
    let options = SessionOptions::new().ttl(SECOND);
    let session = state.sessions().create("u", options).unwrap();
    let variable = NewVariable::new("n", VariableType::Integer, 7);
    session.register(variable).unwrap();
    (pool, profile, state, session)
}

fn nothing() -> Payload {
    Payload::encode(&()).unwrap()
}

fn expired(session: &Session) -> StateError {
    StateError::SessionExpired {
        id: session.id().clone(),
        generation: session.generation(),
    }
}

#[tokio::test(start_paused = true)]
async fn calls_count_as_use() {
    let (pool, _, state, session) = pool_and_session(1).await;
    let options = CallOptions::new().session("u");
    for _ in 0..30 {
        advance(SECOND / 10).await;
        pool.execute("echo", payload(1), &options).await.unwrap();
    }
    assert_eq!(*session.variable("n").unwrap().value, Value::Int(7));
    advance(SECOND).await;
    assert_eq!(session.variable("n"), Err(expired(&session)));
    // A call with the id gets a new session; the handle of the old one reports its end.
    pool.execute("echo", payload(1), &options).await.unwrap();
    let new = state.sessions().get(&"u".into()).unwrap();
    assert!(new.generation() > session.generation());
    assert_eq!(session.touch(), Err(expired(&session)));
    assert_eq!(session.delete(), Ok(false));
    assert_eq!(expired(&session).code(), ErrorCode::SessionExpired);
}

#[tokio::test(start_paused = true)]
async fn a_call_holds_its_session_while_it_waits_and_while_it_runs() {
    let (pool, profile, state, session) = pool_and_session(1).await;
    let other = begin_with(&pool, "gate", CallOptions::new()).await;
    let call = begin_with(&pool, "gate", CallOptions::new().session("u")).await;
    for _ in 0..2 {
        advance(5 * SECOND).await;
        assert_eq!(state.sessions().sweep(), 0);
        let listed = &state.sessions().list(None, 10).sessions;
        assert_eq!((listed.len(), listed[0].calls), (1, 1));
        assert_eq!((listed[0].variables, listed[0].idle), (1, Duration::ZERO));
        profile.allow(1);
        until(|| pool.status().succeeded > 0).await;
    }
    other.await.unwrap().unwrap();
    call.await.unwrap().unwrap();
    // Its time to live starts at the end of the call.
    advance(SECOND - Duration::from_millis(1)).await;
    assert_eq!(session.info().unwrap().calls, 0);
    advance(Duration::from_millis(1)).await;
    assert_eq!(session.info(), Err(expired(&session)));
    assert_eq!(state.sessions().stats().expired, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_and_a_batch_hold_their_session() {
    let (pool, profile, _, session) = pool_and_session(2).await;
    let options = CallOptions::new().session("u");
    let stream = pool.execute_stream("count", payload(0), &options).await;
    let mut many = pool.execute_many("gate", [payload(1), payload(2)], &options);
    assert!(futures_util::poll!(many.next()).is_pending());
    until(|| pool.status().in_flight == 2).await;
    advance(3 * SECOND).await;
    drop(stream);
    profile.allow(1);
    many.next().await.unwrap().unwrap();
    advance(3 * SECOND).await;
    assert!(session.info().unwrap().calls > 0, "the batch goes on");
    profile.allow(1);
    many.next().await.unwrap().unwrap();
    assert!(many.next().await.is_none());
    drop(many);
    until(|| session.info().unwrap().calls == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_outlives_its_call_holds_the_session() {
    let (pool, _, _, session) = pool_and_session(1).await;
    let options = CallOptions::new().session("u").timeout(SECOND / 2);
    let call = pool.execute("stuck", payload(1), &options).await;
    assert!(matches!(call, Err(Error::Timeout { .. })));
    assert_eq!(session.info().unwrap().calls, 1, "the tool still runs");
    advance(pool.config().cancel_grace + SECOND / 2).await;
    until(|| !matches!(session.info(), Ok(info) if info.calls > 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_generation_fails_once_that_is_over() {
    let (pool, _, state, session) = pool_and_session(1).await;
    let options = CallOptions::new().in_session(&session);
    pool.execute("echo", payload(1), &options).await.unwrap();
    advance(SECOND).await;
    let error = pool.execute("echo", payload(1), &options).await;
    assert!(matches!(error, Err(Error::State(error)) if *error == expired(&session)));
    let stream = pool.execute_stream("count", payload(1), &options).await;
    assert_eq!(stream.unwrap_err().code(), ErrorCode::SessionExpired);
    let many = pool.execute_many("echo", [payload(1), payload(2)], &options);
    let codes: Vec<_> = many.map(|item| item.unwrap_err().code()).collect().await;
    assert_eq!(codes, [ErrorCode::SessionExpired; 2]);
    assert_eq!(state.sessions().count(), 0, "none was created instead");
}

#[tokio::test(start_paused = true)]
async fn ids_are_checked_at_the_call() {
    let plain = ready(config(1), &ScriptedProfile::new(1)).await;
    let (pool, _, state, _) = pool_and_session(1).await;
    let long = "x".repeat(1000);
    for id in ["", &long, "a\nb", "\u{7f}"] {
        let options = CallOptions::new().session(id);
        for pool in [&plain, &pool] {
            let codes = [
                pool.execute("echo", payload(1), &options).await.err(),
                pool.execute_stream("count", payload(1), &options)
                    .await
                    .err(),
                pool.execute_many("echo", [payload(1)], &options)
                    .next()
                    .await
                    .unwrap()
                    .err(),
            ]
            .map(|error| error.map(|error| error.code()));
            assert_eq!(codes, [Some(ErrorCode::InvalidState); 3], "{id:?}");
        }
        let mut call = ToolCall::new();
        call.session = Some(id.into());
        let error = state.tools().call(call, "any", payload(1)).await;
        assert_eq!(error.unwrap_err().code, ErrorCode::InvalidState);
    }
    let longest = CallOptions::new().session("x".repeat(256));
    plain.execute("echo", payload(1), &longest).await.unwrap();
    pool.execute("echo", payload(1), &longest).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_sessions_does_not_fail_calls() {
    let mut limits = HostStateConfig::new();
    limits.sessions.max_sessions = 1;
    let state = HostState::new(limits).unwrap();
    let profile = ScriptedProfile::new(1).with_state(state.clone());
    let pool = ready(config(1), &profile).await;
    for id in ["a", "b"] {
        let options = CallOptions::new().session(id);
        pool.execute("echo", payload(1), &options).await.unwrap();
    }
    assert_eq!(state.sessions().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_tool_holds_the_session_of_its_caller() {
    let state = state();
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let tool = HostTool::dynamic_asynchronous("slow", move |_, _: Value| {
        let wait = wait.lock().unwrap().take();
        async move {
            wait.unwrap().await.ok();
            Ok(Value::Null)
        }
    });
    state.tools().register(tool.exposed()).unwrap();
    let options = SessionOptions::new().ttl(SECOND);
    let session = state.sessions().create("u", options).unwrap();
    let mut call = ToolCall::new();
    call.session = Some("u".into());
    let mut running = Box::pin(state.tools().call(call, "slow", nothing()));
    assert!(futures_util::poll!(&mut running).is_pending());
    advance(10 * SECOND).await;
    assert_eq!(session.info().unwrap().calls, 1);
    ended.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(session.info().unwrap().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn watchers_see_the_end_of_a_session_that_was_held() {
    let sessions = Sessions::new(SessionConfig::new()).unwrap();
    let options = SessionOptions::new().ttl(SECOND);
    let session = sessions.create("u", options).unwrap();
    let hold = session.hold().unwrap();
    let mut changes = session
        .watch(
            snakepit_core::state::WatchFilter::all(),
            snakepit_core::state::WatchFrom::Now,
        )
        .unwrap();
    assert!(futures_util::poll!(changes.next()).is_pending());
    advance(10 * SECOND).await;
    assert!(futures_util::poll!(changes.next()).is_pending());
    drop(hold);
    assert_eq!(changes.next().await, Some(Err(expired(&session))));
}
