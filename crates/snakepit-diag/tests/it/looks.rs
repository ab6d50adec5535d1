//! Requests of a client that read the host.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _};
use snakepit_core::error::{StackFrame, Stacks, ThreadStack};
use snakepit_core::id::WorkerId;
use snakepit_core::worker::LogLine;
use snakepit_diag::{Severity, WorkerState};
use tracing::Level;

use crate::support::{Host, LONG};

#[tokio::test]
async fn a_report_has_pools_workers_calls_and_this_machine() {
    let host = Host::start(2).await;
    host.call("echo").await.unwrap();
    let (number, gate) = host.running("gate").await;
    let mut client = host.client().await;
    let report = client.report().await.unwrap();
    let run = host.registry.run_id().to_string();
    assert_eq!(report.host.run.as_deref(), Some(&*run));
    assert_eq!((report.host.pid, client.run()), (std::process::id(), &*run));
    assert_eq!(client.version(), report.host.version);
    assert!(report.machine.cpus > 0);
    let pool = report.pool("main").unwrap();
    assert_eq!(
        (&*pool.profile, &*pool.state, pool.target),
        ("scripted", "ready", 2)
    );
    assert_eq!((pool.capacity.total, pool.capacity.used), (2, 1));
    assert_eq!((pool.counters.requests, pool.counters.succeeded), (2, 1));
    assert_eq!((pool.threads.workers, pool.threads.total_threads), (2, 2));
    let states: Vec<_> = pool.workers.iter().map(|worker| worker.status).collect();
    assert!(states.contains(&WorkerState::Busy) && states.contains(&WorkerState::Available));
    assert_eq!((pool.calls.len(), pool.calls[0].call), (1, number));
    assert!(report.findings(None).is_empty());
    host.profile.allow(1);
    gate.await.unwrap().unwrap();
    assert!(client.report().await.unwrap().pools[0].calls.is_empty());
}

#[tokio::test]
async fn two_clients_look_at_the_same_time_and_neither_disturbs_calls() {
    let host = Host::start(1).await;
    let (mut one, mut two) = (host.client().await, host.client().await);
    for _ in 0..20 {
        let (first, second, call) = tokio::join!(one.report(), two.report(), host.call("echo"));
        assert_eq!(first.unwrap().host.pid, second.unwrap().host.pid);
        call.unwrap();
    }
}

#[tokio::test]
async fn deaths_are_in_the_report_the_recording_and_the_findings() {
    let host = Host::start(1).await;
    let died = host.events.subscribe(64);
    for _ in 0..3 {
        host.pool.await_all_ready(LONG).await.unwrap();
        host.call("die").await.unwrap_err();
    }
    drop(died);
    let mut client = host.client().await;
    let report = loop {
        let report = client.report().await.unwrap();
        if report.pools[0].deaths.len() == 3 {
            break report;
        }
        tokio::task::yield_now().await;
    };
    let findings = report.findings(None);
    assert_eq!(
        (&*findings[0].rule, findings[0].severity),
        ("churn", Severity::Critical)
    );
    let recorded = host.hosts().recordings(None).unwrap();
    assert_eq!(recorded.run, host.registry.run_id().to_string());
    let recordings = recorded.pools;
    assert_eq!(
        (&*recordings[0].pool, recordings[0].deaths.len()),
        ("main", 3)
    );
    let died = recordings[0]
        .calls
        .iter()
        .filter(|call| call.code.as_deref() == Some("SP5001"));
    assert_eq!(died.count(), 3);
    assert_eq!(recordings[0].findings()[0].rule, "churn");
}

#[tokio::test]
async fn stacks_of_all_workers_come_as_they_answer() {
    let host = Host::start(2).await;
    let frame = StackFrame {
        file: "tools.py".into(),
        line: 3,
        function: "spin".into(),
    };
    let stacks = Stacks {
        threads: vec![ThreadStack {
            name: "MainThread".into(),
            id: 7,
            call: None,
            frames: vec![frame],
        }],
        truncated: true,
    };
    let workers = host.profile.workers();
    workers[0].set_stacks(Some(stacks.clone()));
    workers[1].set_stacks(None);
    let mut client = host.client().await;
    let wait = Duration::from_millis(20);
    let all = client.stacks(None, None, wait).await.unwrap();
    let mut all: Vec<_> = all.try_collect().await.unwrap();
    all.sort_by(|a, b| a.worker.cmp(&b.worker));
    let silent: Vec<_> = all.iter().map(|one| one.stacks.is_none()).collect();
    assert_eq!(silent, [false, true]);
    assert_eq!(all[0].stacks.as_ref(), Some(&stacks));
    let one = client
        .stacks(Some("main"), Some("main-1"), wait)
        .await
        .unwrap();
    let one: Vec<_> = one.try_collect().await.unwrap();
    assert_eq!((one.len(), &*one[0].worker), (1, "main-1"));
    for (pool, worker, code) in [
        (Some("gpu"), None, "SP1003"),
        (None, Some("main-9"), "SP1004"),
    ] {
        let Err(error) = client.stacks(pool, worker, wait).await else {
            panic!("it is not there")
        };
        assert_eq!(error.code().as_str(), code, "{error}");
    }
}

fn line(worker: &str, text: &str) -> LogLine {
    LogLine {
        at: SystemTime::now(),
        worker: WorkerId::new(worker),
        source: Arc::from("stderr"),
        level: Level::WARN,
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn lines_are_told_by_pool_worker_and_number_and_followed() {
    let host = Host::start(1).await;
    for n in 1..=3 {
        host.lines.push(line("main-1", &format!("one {n}")), 5);
        host.lines.push(line("other-1", &format!("two {n}")), 5);
    }
    let mut client = host.client().await;
    let texts = async |pool, worker, tail| {
        let mut client = host.client().await;
        let lines = client.logs(pool, worker, tail, false).await.unwrap();
        let lines: Vec<_> = lines.try_collect().await.unwrap();
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(None, None, 0).await.len(), 6);
    assert_eq!(
        texts(Some("main"), None, 0).await,
        ["one 1", "one 2", "one 3"]
    );
    assert_eq!(texts(None, Some("other-1"), 2).await, ["two 2", "two 3"]);
    for (pool, worker, code) in [
        (Some("mai"), None, "SP1003"),
        (None, Some("main-9"), "SP1004"),
        (Some("main"), Some("other-1"), "SP1004"),
    ] {
        for follow in [false, true] {
            let Err(error) = client.logs(pool, worker, 0, follow).await else {
                panic!("it is not there")
            };
            assert_eq!(error.code().as_str(), code, "{error}");
        }
    }
    let follow = client.logs(Some("main"), None, 1, true).await.unwrap();
    let mut follow = std::pin::pin!(follow);
    assert_eq!(follow.next().await.unwrap().unwrap().text, "one 3");
    host.lines.push(line("other-1", "not this one"), 5);
    host.lines.push(line("main-1", "fresh"), 5);
    let fresh = follow.next().await.unwrap().unwrap();
    assert_eq!(
        (&*fresh.text, &*fresh.level, &*fresh.source),
        ("fresh", "warn", "stderr")
    );
    // More lines than the host keeps, before the reader gets any of them.
    for number in 1..=5000 {
        host.lines.push(line("other-1", "another"), 7);
        host.lines
            .push(line("main-1", &format!("flood {number}")), 12);
    }
    let next = follow.next().await.unwrap().unwrap();
    let last = fresh.number + next.lost;
    assert!(
        next.lost > 0 && (last + 1..=last + 2).contains(&next.number),
        "{next:?}"
    );
    let next = follow.next().await.unwrap().unwrap();
    assert_eq!(next.lost, 0, "{next:?}");
}

#[tokio::test]
async fn events_are_kept_and_followed_but_not_those_of_each_call() {
    let host = Host::start(1).await;
    host.call("echo").await.unwrap();
    let mut client = host.client().await;
    let kept = client.events("", 0, false).await.unwrap();
    let kept: Vec<_> = kept.try_collect().await.unwrap();
    let names: Vec<_> = kept
        .iter()
        .filter_map(|entry| entry.event["event"].as_str())
        .collect();
    assert!(names.contains(&"worker.started"), "{names:?}");
    assert!(!names.contains(&"call.completed"), "{names:?}");
    let last = kept.last().unwrap().number;
    let follow = client.events("worker.*", last, true).await.unwrap();
    let mut follow = std::pin::pin!(follow);
    host.call("die").await.unwrap_err();
    let crashed = loop {
        let entry = follow.next().await.unwrap().unwrap();
        if entry.event["event"] == "worker.crashed" {
            break entry;
        }
    };
    assert!(crashed.number > last);
    assert_eq!(crashed.event["worker"], "main-1");
    let Err(error) = client.events("a b", 0, false).await else {
        panic!("it is no pattern")
    };
    assert_eq!(error.code().as_str(), "SP8010");
}
