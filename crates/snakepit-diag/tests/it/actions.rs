//! Requests of a client that change the host.

use futures_util::TryStreamExt as _;
use snakepit_core::error::ErrorCode;
use snakepit_core::pool::PoolState;

use crate::support::Host;

#[tokio::test]
async fn actions_are_refused_unless_they_are_allowed_and_nothing_happens() {
    let host = Host::start(1).await;
    let (call, gate) = host.running("gate").await;
    let mut client = host.client().await;
    let refused = [
        client.recycle("main-1").await.map(drop).unwrap_err(),
        client.drain("main-1").await.unwrap_err(),
        client.cancel_call(call).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code(), ErrorCode::ActionNotAllowed, "{error}");
        assert!(error.help().contains("allow"), "{}", error.help());
    }
    host.profile.allow(1);
    gate.await.unwrap().unwrap();
    assert_eq!(actions(&host).await, Vec::<String>::new());
    assert_eq!((host.profile.starts(), host.pool.status().recycled), (1, 0));
}

/// Returns the actions of which the host has emitted events.
async fn actions(host: &Host) -> Vec<String> {
    let events = host
        .client()
        .await
        .events("admin.*", 0, false)
        .await
        .unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    let own = u64::from(std::process::id());
    let action = |entry: &snakepit_diag::EventEntry| {
        assert_eq!(entry.event["peer_pid"].as_u64(), Some(own));
        format!(
            "{} {}",
            entry.event["action"].as_str().unwrap(),
            entry.event["worker"].as_str().unwrap()
        )
    };
    events.iter().map(action).collect()
}

#[tokio::test]
async fn a_worker_is_recycled_and_the_host_tells_of_it() {
    let host = Host::start(1).await;
    let mut client = host.client().await.allow_actions(true);
    assert_eq!(client.recycle("main-1").await.unwrap(), "main-2");
    assert_eq!(actions(&host).await, ["recycle main-1"]);
    for worker in ["main-1", "", "nobody"] {
        let error = client.recycle(worker).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnknownWorker, "{worker}: {error}");
    }
    host.call("echo").await.unwrap();
}

#[tokio::test]
async fn a_worker_that_drains_gets_no_further_calls_and_finishes_its_own() {
    let host = Host::start(1).await;
    let (_, gate) = host.running("gate").await;
    let mut client = host.client().await.allow_actions(true);
    client.drain("main-1").await.unwrap();
    host.call("echo").await.unwrap();
    let report = client.report().await.unwrap();
    let workers: Vec<_> = report.pools[0]
        .workers
        .iter()
        .map(|worker| &*worker.id)
        .collect();
    assert_eq!(
        workers,
        ["main-1", "main-2"],
        "the call that runs keeps its worker"
    );
    host.profile.allow(1);
    gate.await.unwrap().unwrap();
    assert_eq!(actions(&host).await, ["drain main-1"]);
    host.pool
        .await_all_ready(crate::support::LONG)
        .await
        .unwrap();
    assert_eq!(host.pool.status().state, PoolState::Ready);
}

#[tokio::test]
async fn a_call_is_cancelled_by_its_number() {
    let host = Host::start(1).await;
    let (call, hanging) = host.running("hang").await;
    let mut client = host.client().await.allow_actions(true);
    client.cancel_call(call).await.unwrap();
    hanging.await.unwrap().unwrap_err();
    assert_eq!(actions(&host).await, ["cancel main-1"]);
    for number in [call, 0, u64::MAX] {
        let error = client.cancel_call(number).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotRunning, "{error}");
    }
    host.call("echo").await.unwrap();
}
