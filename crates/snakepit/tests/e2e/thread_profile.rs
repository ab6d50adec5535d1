//! Workers of several slots: one process with a thread for each call.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit::{
    BuildError, CallOptions, ErrorCode, HostTool, PoolBuilder, PythonProfile, SessionOptions,
    Snakepit, ThreadSafetyChecks, ToolContext, Value, args,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{LONG, bridge, file, pool_of};

fn adapter() -> String {
    format!("{}/tests/e2e/thread_tools.py", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn pool(threads: u16) -> PoolBuilder {
    pool_of("main", &adapter()).profile(PythonProfile::Thread {
        threads_per_worker: threads,
    })
}

pub(crate) async fn begin(pool: PoolBuilder) -> Snakepit {
    Snakepit::builder().pool(pool).start().await.unwrap()
}

pub(crate) async fn start(threads: u16) -> Snakepit {
    begin(pool(threads)).await
}

pub(crate) fn pid(snakepit: &Snakepit) -> u32 {
    snakepit.workers()[0].pid.unwrap()
}

pub(crate) fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Makes `count` concurrent calls of a tool, which also receive `count`; returns their results.
pub(crate) async fn together<R>(
    snakepit: &Snakepit,
    tool: &'static str,
    count: usize,
) -> Vec<(usize, R)>
where
    R: serde::de::DeserializeOwned + Send + 'static,
{
    let mut calls = JoinSet::new();
    for index in 0..count {
        let snakepit = snakepit.clone();
        calls.spawn(async move {
            let options = CallOptions::new().session(format!("session {index}"));
            let result = snakepit
                .call(tool)
                .args(args! { "count" => count })
                .options(&options);
            (index, result.await.unwrap())
        });
    }
    timeout(LONG, calls.join_all()).await.unwrap()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        let mut interval = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            interval.tick().await;
        }
    };
    timeout(LONG, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn sixteen_slots_hold_sixteen_calls() {
    let snakepit = start(16).await;
    let status = &snakepit.status()[0];
    assert_eq!((status.workers, status.slots), (1, 16));
    let worker = &snakepit.workers()[0];
    assert_eq!(worker.slots, 16);
    assert!(worker.gil_enabled.is_some());
    for _ in 0..3 {
        let names: HashSet<String> = together(&snakepit, "meet", 16)
            .await
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names.len(), 16);
        assert!(names.iter().all(|name| name.starts_with("snakepit-slot-")));
    }
    snakepit.shutdown().await;
}

#[tokio::test]
async fn two_workers_share_the_calls_evenly() {
    let snakepit = begin(pool(4).workers(2)).await;
    let mut calls = JoinSet::new();
    let dir = tempfile::tempdir().unwrap();
    let end = path(&dir.path().join("end"));
    for index in 0..8 {
        let (snakepit, end) = (snakepit.clone(), end.clone());
        let begun = path(&dir.path().join(index.to_string()));
        let arguments = args! { "begun" => begun, "end" => end };
        calls.spawn(async move { snakepit.execute::<String>("wait", arguments).await });
    }
    for index in 0..8 {
        file(&dir.path().join(index.to_string())).await;
    }
    let loads: Vec<_> = snakepit.workers().iter().map(|it| it.in_flight).collect();
    assert_eq!(loads, [4, 4]);
    std::fs::write(&end, "over").unwrap();
    for result in calls.join_all().await {
        assert_eq!(result.unwrap(), "over");
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_sixteen_sessions_sees_itself() {
    let snakepit = start(16).await;
    for _ in 0..5 {
        for index in 0..16 {
            let id = format!("session {index}");
            snakepit
                .sessions()
                .get_or_create(id.as_str(), SessionOptions::new())
                .unwrap();
        }
        for (index, seen) in together::<Vec<String>>(&snakepit, "who", 16).await {
            let own = format!("session {index}");
            assert_eq!(seen, [own.clone(), own.clone(), own]);
        }
        for (index, seen) in together::<Option<String>>(&snakepit, "context", 16).await {
            assert_eq!(seen, Some(format!("session {index}")));
        }
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_tools_answer_eight_slots_at_once() {
    let meet = Arc::new(Barrier::new(8));
    let answer = HostTool::dynamic_asynchronous("together", move |_: ToolContext, arguments| {
        let meet = Arc::clone(&meet);
        async move {
            meet.wait().await;
            Ok(arguments.get("n").cloned().unwrap_or(Value::Null))
        }
    });
    let builder = Snakepit::builder().host_tool(answer.exposed());
    let snakepit = builder.pool(pool(8)).start().await.unwrap();
    for (_, answers) in together::<Vec<i64>>(&snakepit, "ask", 8).await {
        assert_eq!(answers, [0, 1, 2]);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_batches_run_side_by_side() {
    let snakepit = start(4).await;
    let mut streams = JoinSet::new();
    for _ in 0..4 {
        let snakepit = snakepit.clone();
        streams.spawn(async move {
            let arguments = args! { "count" => 4, "length" => 500 };
            let mut chunks = snakepit
                .execute_stream::<i64>("items", arguments)
                .await
                .unwrap();
            for expected in 0..500 {
                assert_eq!(chunks.next().await.unwrap().unwrap(), expected);
            }
            assert!(chunks.next().await.is_none());
        });
    }
    timeout(LONG, streams.join_all()).await.unwrap();
    let results = snakepit.execute_many::<i64, _>("double", (0..1000).map(|n| (n,)));
    let results = results.collect::<Vec<_>>().await;
    assert_eq!(results.len(), 1000);
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), 2 * n as i64);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_renewed_under_load() {
    let pool = pool(8).workers(2).recycle(|recycle| {
        recycle.max_requests = Some(100);
        recycle.min_lifetime = Duration::ZERO;
    });
    let snakepit = begin(pool).await;
    let mut callers = JoinSet::new();
    for caller in 0..16_i64 {
        let snakepit = snakepit.clone();
        callers.spawn(async move {
            let mut calls = 0;
            while snakepit.status()[0].recycled < 3 {
                let n = 100 * caller + calls;
                let twice: i64 = snakepit.execute("double", (n,)).await.unwrap();
                assert_eq!(twice, 2 * n);
                calls += 1;
            }
            calls
        });
    }
    let calls = timeout(LONG, callers.join_all()).await.unwrap();
    let calls = u64::try_from(calls.into_iter().sum::<i64>()).unwrap();
    let status = &snakepit.status()[0];
    assert_eq!((status.succeeded, status.errors), (calls, 0));
    snakepit.shutdown().await;
}

#[tokio::test]
async fn an_undeclared_adapter_has_one_call_at_a_time() {
    let snakepit = start(8).await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let snakepit = snakepit.clone();
        calls.spawn(async move { snakepit.execute::<i64>("alone", ()).await.unwrap() });
    }
    let most = timeout(LONG, calls.join_all()).await.unwrap();
    assert_eq!(most.into_iter().max(), Some(1));
    snakepit.shutdown().await;

    let strict =
        pool(2).configure_python(|python| python.thread_safety_checks = ThreadSafetyChecks::Strict);
    let error = Snakepit::builder().pool(strict).start().await.unwrap_err();
    let BuildError::Start { error, .. } = &error else {
        panic!("{error:?}");
    };
    let text = format!("{error:?}");
    assert!(text.contains("is not declared thread-safe"), "{text}");
}

#[tokio::test]
async fn the_configuration_file_makes_such_a_pool() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[pools.shared]\nadapter = {:?}\nworkers = 1\nprofile = 'thread'\nthreads_per_worker = 3\nthread_safety_checks = 'off'\n",
        adapter()
    );
    let place = dir.path().join("snakepit.toml");
    std::fs::write(&place, text).unwrap();
    let mut config = snakepit::Config::load(&place).unwrap();
    let mut checks = None;
    let pool = config.pools.remove(0).configure_python(|python| {
        python.bridge_path = Some(bridge().to_owned());
        checks = Some(python.thread_safety_checks);
    });
    assert_eq!(checks, Some(ThreadSafetyChecks::Off));
    let snakepit = begin(pool).await;
    assert_eq!(snakepit.status()[0].slots, 3);
    together::<String>(&snakepit, "meet", 3).await;
    snakepit.shutdown().await;

    let error = Snakepit::builder().pool(super::support::pool("main", 1).profile(
        PythonProfile::Thread {
            threads_per_worker: 0,
        },
    ));
    let error = error.start().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidConfig);
}
