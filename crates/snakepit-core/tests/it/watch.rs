//! Changes of variables as watchers see them.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use snakepit_core::state::{
    ChangeKind, NewVariable, Origin, Session, SessionConfig, SessionOptions, Sessions, SetVariable,
    StateError, VariableType, WatchFilter, WatchFrom, WatchItem,
};
use snakepit_core::value::Value;
use tokio::time::Instant;

fn session(log_changes: usize) -> Session {
    let mut config = SessionConfig::new();
    config.log_changes = log_changes;
    let session = Sessions::new(config)
        .unwrap()
        .create("s", SessionOptions::new())
        .unwrap();
    for name in ["a", "b"] {
        session
            .register(NewVariable::new(name, VariableType::Integer, 0))
            .unwrap();
    }
    session
}

fn change(item: Option<Result<WatchItem, StateError>>) -> (u64, String, ChangeKind) {
    match item {
        Some(Ok(WatchItem::Change(change))) => (change.seq, change.name.to_string(), change.kind),
        other => panic!("no change: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_what_it_asked_for_in_order() {
    let session = session(100);
    let worker = session.with_origin(Origin::Worker("w-1".into()));
    let mut all = session
        .watch(WatchFilter::all(), WatchFrom::After(0))
        .unwrap();
    let mut foreign = session
        .watch(
            WatchFilter::names(["a", "later"]).without(Origin::Host),
            WatchFrom::Now,
        )
        .unwrap();
    assert_eq!(
        change(all.next().await),
        (1, "a".into(), ChangeKind::Registered)
    );
    assert_eq!(
        change(all.next().await),
        (2, "b".into(), ChangeKind::Registered)
    );
    assert!(all.next().now_or_never().is_none());
    session.set("a", 1, None).unwrap();
    worker.set("b", 1, None).unwrap();
    worker.set("a", 2, None).unwrap();
    worker.delete_variable("a", None).unwrap();
    assert_eq!(
        change(foreign.next().await),
        (5, "a".into(), ChangeKind::Set)
    );
    assert_eq!(
        change(foreign.next().await),
        (6, "a".into(), ChangeKind::Deleted)
    );
    worker
        .register(NewVariable::new("later", VariableType::Boolean, true))
        .unwrap();
    assert_eq!(
        change(foreign.next().await),
        (7, "later".into(), ChangeKind::Registered)
    );
    for seq in 3..=7 {
        assert_eq!(change(all.next().await).0, seq);
    }
    session.delete().unwrap();
    let last = all.next().await;
    assert_eq!(last, Some(Err(StateError::UnknownSession("s".into()))));
    assert_eq!(all.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_told_what_it_missed() {
    let session = session(4);
    let mut slow = session
        .watch(WatchFilter::names(["a"]), WatchFrom::After(0))
        .unwrap();
    for n in 0..10 {
        session.set("b", n, None).unwrap();
    }
    session.set("a", 1, None).unwrap();
    assert_eq!(slow.next().await, Some(Ok(WatchItem::Lagged { missed: 9 })));
    assert_eq!(change(slow.next().await), (13, "a".into(), ChangeKind::Set));
}

#[tokio::test(start_paused = true)]
async fn watching_does_not_prolong_a_session() {
    let session = session(4);
    let mut watcher = session.watch(WatchFilter::all(), WatchFrom::Now).unwrap();
    let start = Instant::now();
    let expired = StateError::SessionExpired {
        id: "s".into(),
        generation: session.generation(),
    };
    assert_eq!(watcher.next().await, Some(Err(expired)));
    assert_eq!(start.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_pull_waits_for_a_change_and_no_longer_than_it_was_told() {
    let (session, all) = (session(100), WatchFilter::all());
    let pull = |after, wait| session.changes_after(after, &all, 10, Duration::from_secs(wait));
    let batch = pull(None, 100).await.unwrap();
    assert_eq!((batch.changes.len(), batch.next), (0, 2));
    let start = Instant::now();
    let batch = pull(Some(2), 5).await.unwrap();
    assert_eq!(
        (batch.changes.len(), batch.next, start.elapsed().as_secs()),
        (0, 2, 5)
    );
    let (batch, _) = tokio::join!(pull(Some(2), 100), async { session.set("a", 1, None) });
    let batch = batch.unwrap();
    assert_eq!((batch.changes.len(), batch.next, batch.missed), (1, 3, 0));
    let (batch, _) = tokio::join!(pull(Some(3), 100), async { session.delete() });
    assert_eq!(batch, Err(StateError::UnknownSession("s".into())));
}

/// Threads that count up with optimistic updates and atomic batches; nothing is lost, and watchers
/// see all changes in order.
#[test]
fn concurrent_updates_are_all_seen_in_order() {
    const THREADS: i64 = 4;
    const ROUNDS: i64 = 100;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    for log_changes in [1 << 16, 8] {
        let session = Arc::new(session(log_changes));
        let total = (THREADS * ROUNDS * 3) as u64 + 2;
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let mut watcher = session
                    .watch(WatchFilter::all(), WatchFrom::After(0))
                    .unwrap();
                runtime.spawn(async move {
                    let (mut next, mut missed_all, mut versions) =
                        (1, 0, std::collections::HashMap::new());
                    while next <= total {
                        match watcher.next().await.unwrap().unwrap() {
                            WatchItem::Lagged { missed } => {
                                (next, missed_all) = (next + missed, missed_all + missed)
                            }
                            WatchItem::Change(change) => {
                                assert_eq!(change.seq, next);
                                let last = versions.insert(change.name.clone(), change.version);
                                assert!(last.is_none_or(|last| last < change.version));
                                next += 1;
                            }
                        }
                    }
                    missed_all
                })
            })
            .collect();
        let plus = |value: &Value| match value {
            Value::Int(n) => Value::Int(n + 1),
            _ => Value::Null,
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let session = Arc::clone(&session);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        session.update_variable("a", plus).unwrap();
                        loop {
                            let now = session.variables(&["a", "b"]).unwrap();
                            let items = now.into_iter().map(|variable| {
                                let variable = variable.unwrap();
                                SetVariable::new(&*variable.name, plus(&variable.value))
                                    .expected_version(variable.version)
                            });
                            if session.set_all(items.collect()).is_ok() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        let value = |name: &str| session.variable(name).unwrap();
        assert_eq!(*value("a").value, Value::Int(2 * THREADS * ROUNDS));
        assert_eq!(*value("b").value, Value::Int(THREADS * ROUNDS));
        assert_eq!(value("a").version, 2 * (THREADS * ROUNDS) as u64 + 1);
        for watcher in watchers {
            let missed = runtime.block_on(watcher).unwrap();
            assert!(log_changes < 100 || missed == 0);
        }
    }
}
