//! Sessions and their programs.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use snakepit_core::error::ErrorCode;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::state::{
    MetadataUpdate, Quota, SessionConfig, SessionEnd, SessionOptions, Sessions, StateError,
};
use snakepit_core::value::{Metadata, Value};

use crate::support::until;

const HOUR: Duration = Duration::from_secs(3600);

fn sessions(change: impl FnOnce(&mut SessionConfig)) -> Sessions {
    let mut config = SessionConfig::new();
    change(&mut config);
    Sessions::new(config).unwrap()
}

fn options() -> SessionOptions {
    SessionOptions::new()
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_time_to_live_after_the_last_access() {
    let sessions = sessions(|_| ());
    let session = sessions.create("a", options()).unwrap();
    tokio::time::advance(HOUR - Duration::from_nanos(1)).await;
    assert!(sessions.exists(&"a".into()), "looking does not prolong it");
    session.touch().unwrap();
    tokio::time::advance(HOUR - Duration::from_nanos(1)).await;
    assert_eq!(session.info().unwrap().idle, HOUR - Duration::from_nanos(1));
    tokio::time::advance(Duration::from_nanos(1)).await;
    // Gone for every reader, even without a sweep.
    assert!(!sessions.exists(&"a".into()));
    let expired = StateError::SessionExpired {
        id: "a".into(),
        generation: session.generation(),
    };
    assert_eq!(session.touch(), Err(expired.clone()));
    assert_eq!(session.info(), Err(expired));
    assert!(sessions.list(None, 10).sessions.is_empty());
    assert_eq!((sessions.count(), sessions.stats().expired), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handle_does_not_outlive_its_generation() {
    let sessions = sessions(|_| ());
    let old = sessions.create("a", options()).unwrap();
    assert_eq!(
        sessions.create("a", options()).unwrap_err(),
        StateError::SessionExists("a".into())
    );
    assert_eq!(old.delete(), Ok(true));
    assert_eq!(old.touch(), Err(StateError::UnknownSession("a".into())));
    assert_eq!(old.delete(), Ok(false));
    let new = sessions.get_or_create("a", options()).unwrap();
    assert!(new.generation() > old.generation());
    let error = old.touch().unwrap_err();
    assert!(
        matches!(error, StateError::StaleSession { current, .. } if current == new.generation())
    );
    assert_eq!(
        (error.code(), error.is_end()),
        (ErrorCode::StaleSession, true)
    );
    assert_eq!(
        old.delete(),
        Ok(false),
        "it does not end another generation"
    );
    new.touch().unwrap();
}

#[tokio::test(start_paused = true)]
async fn expired_sessions_do_not_count_against_the_quota() {
    let sessions = sessions(|config| config.max_sessions = 2);
    sessions
        .create("a", options().ttl(Duration::from_secs(1)))
        .unwrap();
    sessions.create("b", options()).unwrap();
    let error = sessions.create("c", options()).unwrap_err();
    let expected = StateError::Quota {
        quota: Quota::Sessions,
        limit: 2,
        usage: 2,
        asked: 1,
    };
    assert_eq!(error, expected);
    tokio::time::advance(Duration::from_secs(1)).await;
    sessions.create("c", options()).unwrap();
    assert_eq!(sessions.stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn bytes_come_back_when_what_took_them_is_gone() {
    let sessions = sessions(|config| {
        config.max_session_bytes = 4096;
        config.max_total_bytes = 6000;
    });
    let (a, b) = (
        sessions.create("a", options()).unwrap(),
        sessions.create("b", options()).unwrap(),
    );
    let empty = sessions.stats().bytes;
    let big = || Value::from("x".repeat(3000));
    a.put_program("p", big()).unwrap();
    let error = a.put_program("q", big()).unwrap_err();
    assert!(matches!(
        error,
        StateError::Quota {
            quota: Quota::SessionBytes,
            limit: 4096,
            ..
        }
    ));
    let error = b.put_program("p", big()).unwrap_err();
    assert!(matches!(
        error,
        StateError::Quota {
            quota: Quota::TotalBytes,
            limit: 6000,
            ..
        }
    ));
    assert_eq!(error.code(), ErrorCode::QuotaExceeded);
    a.put_program("p", Value::Null).unwrap();
    b.put_program("p", big()).unwrap();
    b.delete_program("p").unwrap();
    a.delete_program("p").unwrap();
    assert_eq!(sessions.stats().bytes, empty);
    a.delete().unwrap();
    b.delete().unwrap();
    assert_eq!(sessions.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_merged_or_replaced_within_its_limits() {
    let sessions = sessions(|_| ());
    let session = sessions
        .create("a", options().metadata("k", "1").metadata("l", "2"))
        .unwrap();
    let one = |key: &str, value: &str| Metadata::from([(key.to_owned(), value.to_owned())]);
    session
        .update(one("k", "3"), MetadataUpdate::Merge)
        .unwrap();
    assert_eq!(session.info().unwrap().metadata.len(), 2);
    session
        .update(one("m", "4"), MetadataUpdate::Replace)
        .unwrap();
    assert_eq!(session.info().unwrap().metadata, one("m", "4"));
    let many: Metadata = (0..33).map(|n| (n.to_string(), String::new())).collect();
    let error = session.update(many, MetadataUpdate::Merge).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidMetadata);
    let error = session
        .update(one("m", &"x".repeat(4096)), MetadataUpdate::Merge)
        .unwrap_err();
    assert_eq!(error.to_string(), "metadata has 4097 bytes, more than 4096");
    assert!(sessions.create("", options()).is_err());
    assert!(sessions.create("b", options().ttl(Duration::ZERO)).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_list_has_every_session_once_also_while_others_come_and_go() {
    let sessions = sessions(|_| ());
    for n in 0..500 {
        sessions.create(format!("keep-{n}"), options()).unwrap();
        sessions.create(format!("drop-{n}"), options()).unwrap();
    }
    let (mut seen, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = sessions.list(from, 37);
        assert!(page.sessions.len() <= 37);
        seen.extend(page.sessions.into_iter().map(|info| info.id.to_string()));
        sessions.delete(&format!("drop-{pages}").into()).unwrap();
        sessions.create(format!("new-{pages}"), options()).unwrap();
        pages += 1;
        match page.next {
            Some(next) => from = Some(snakepit_core::state::SessionCursor::from_raw(next.to_raw())),
            None => break,
        }
    }
    seen.retain(|id| id.starts_with("keep"));
    seen.sort_unstable();
    assert_eq!(seen.len(), 500);
    seen.dedup();
    assert_eq!(seen.len(), 500);
}

#[tokio::test(start_paused = true)]
async fn programs_are_of_a_session_or_global() {
    let sessions = sessions(|config| (config.max_programs, config.max_global_programs) = (1, 1));
    let session = sessions.create("a", options()).unwrap();
    session.put_program("prog", 1.into()).unwrap();
    session.put_program("prog", 2.into()).unwrap();
    assert_eq!(*session.program("prog").unwrap(), Value::Int(2));
    assert!(matches!(
        session.put_program("other", 1.into()),
        Err(StateError::Quota {
            quota: Quota::Programs,
            ..
        })
    ));
    sessions.put_program("global", 3.into()).unwrap();
    let error = sessions.put_program("other", 1.into()).unwrap_err();
    assert!(matches!(
        error,
        StateError::Quota {
            quota: Quota::GlobalPrograms,
            ..
        }
    ));
    let error = session.program("progg").unwrap_err();
    assert_eq!(
        (error.code(), error.help()),
        (ErrorCode::UnknownProgram, "did you mean `prog`?".into())
    );
    assert!(session.program("global").is_err());
    assert_eq!(
        (session.programs().unwrap(), sessions.programs().unwrap()),
        (vec!["prog".into()], vec!["global".into()])
    );
    let deep = (0..200).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert!(matches!(
        session.put_program("prog", deep),
        Err(StateError::Invalid { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_host_sweeps_by_itself_and_closes() {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ends);
    state
        .sessions()
        .on_end(move |id, _, why| seen.lock().unwrap().push((id.clone(), why)));
    let short = options().ttl(Duration::from_secs(1));
    state.sessions().create("a", short).unwrap();
    let kept = state.sessions().create("b", options()).unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    until(|| ends.lock().unwrap().len() == 1).await;
    state.close().await;
    let expected = [
        ("a".into(), SessionEnd::Expired),
        ("b".into(), SessionEnd::Closed),
    ];
    assert_eq!(*ends.lock().unwrap(), expected);
    assert_eq!(kept.touch(), Err(StateError::Closed));
    assert_eq!(
        state.sessions().create("c", options()).unwrap_err(),
        StateError::Closed
    );
}
