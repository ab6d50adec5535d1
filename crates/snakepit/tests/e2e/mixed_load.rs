//! A mixed load on many slots of few interpreters, with cancellations and replacements, for a
//! configurable time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use snakepit::{CallOptions, ErrorCode, HostTool, Snakepit, Status};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{LONG, pool_of};

const SECONDS: &str = "SNAKEPIT_LOAD_SECONDS";
const SLOTS: u16 = 8;
const WORKERS: usize = 2;
const CALLERS: u64 = 12;
const KINDS: [&str; 11] = [
    "add", "spin", "doze", "nap", "count", "doubled", "whose", "fail", "time out", "dropped",
    "stuck",
];

#[derive(Deserialize, schemars::JsonSchema)]
struct Number {
    n: i64,
}

async fn start() -> Snakepit {
    let adapter = format!("{}/tests/e2e/mixed_tools.py", env!("CARGO_MANIFEST_DIR"));
    let pool = pool_of("main", &adapter)
        .workers(WORKERS)
        .profile(snakepit::PythonProfile::Thread {
            threads_per_worker: SLOTS,
        })
        .recycle(|recycle| {
            recycle.max_requests = Some(3000);
            recycle.max_drain = LONG;
        })
        .configure(|pool| pool.cancel_grace = Duration::from_millis(500));
    let double = |_, Number { n }: Number| Ok(2 * n);
    Snakepit::builder()
        .pool(pool)
        .host_tool(HostTool::sync("double", double).exposed())
        .start()
        .await
        .unwrap()
}

/// Makes a call of a random kind and checks its outcome.
async fn one(snakepit: &Snakepit, random: &mut fastrand::Rng, id: u64) -> &'static str {
    // Each stuck slot costs a worker, so this is rare.
    let kind = match random.u32(0..4000) {
        0 => "stuck",
        other => KINDS[other as usize % (KINDS.len() - 1)],
    };
    let n = i64::from(random.i32(0..1000));
    match kind {
        "add" => {
            let sum: i64 = snakepit.execute("add", (n, 1)).await.unwrap();
            assert_eq!(sum, n + 1);
        }
        "spin" => {
            let _: i64 = snakepit.execute("spin", (20_000,)).await.unwrap();
        }
        "doze" => {
            let _: f64 = snakepit.execute("doze", (0.002,)).await.unwrap();
        }
        "nap" => {
            let _: f64 = snakepit.execute("nap", (0.002,)).await.unwrap();
        }
        "count" => {
            let mut stream = snakepit.execute_stream::<i64>("count", (n,)).await.unwrap();
            let mut next = 0;
            while let Some(item) = stream.next().await {
                assert_eq!(item.unwrap(), next);
                next += 1;
            }
            assert_eq!(next, n);
        }
        "doubled" => {
            let twice: i64 = snakepit.execute("doubled", (n,)).await.unwrap();
            assert_eq!(twice, 2 * n);
        }
        "whose" => {
            let name = format!("s-{id}");
            let seen: String = snakepit.session(&*name).execute("whose", ()).await.unwrap();
            assert_eq!(seen, name);
        }
        "fail" => {
            let error = snakepit.execute::<()>("fail", (n,)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::ToolRaised, "{error}");
            assert!(
                error.to_string().contains(&format!("number {n}")),
                "{error}"
            );
        }
        "time out" => {
            let options = CallOptions::new().timeout(Duration::from_millis(20));
            let call = snakepit.call::<()>("forever").options(&options);
            let code = call.await.unwrap_err().code();
            // With a long queue the call is rejected at once.
            let known = [
                ErrorCode::CallTimeout,
                ErrorCode::QueueTimeout,
                ErrorCode::Saturated,
            ];
            assert!(known.contains(&code), "{code}");
        }
        "dropped" => {
            let limit = Duration::from_millis(random.u64(0..10));
            let _ = timeout(limit, snakepit.execute::<()>("forever", ())).await;
        }
        _ => {
            let options = CallOptions::new().timeout(Duration::from_millis(20));
            let call = snakepit.call::<i64>("deaf").args((2.0,)).options(&options);
            assert!(call.await.is_err());
        }
    }
    kind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_load_on_many_slots_loses_nothing() {
    let seconds = std::env::var(SECONDS).map_or(5, |text| text.parse().unwrap());
    let snakepit = start().await;
    let until = Instant::now() + Duration::from_secs(seconds);
    let ids = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for seed in 0..CALLERS {
        let (snakepit, ids) = (snakepit.clone(), Arc::clone(&ids));
        callers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut done = BTreeMap::<_, u64>::new();
            while Instant::now() < until {
                let id = ids.fetch_add(1, Ordering::Relaxed);
                let call = timeout(LONG, one(&snakepit, &mut random, id));
                *done.entry(call.await.unwrap()).or_default() += 1;
            }
            done
        });
    }
    let mut done = BTreeMap::<_, u64>::new();
    while let Some(caller) = callers.join_next().await {
        for (kind, count) in caller.unwrap() {
            *done.entry(kind).or_default() += count;
        }
    }
    // Tools of dropped calls end, and stuck workers are replaced.
    let whole = |status: &Status| {
        status.in_flight == 0 && status.queue_depth == 0 && status.ready == WORKERS
    };
    let settle = async {
        while !whole(&snakepit.status()[0]) {
            tokio::time::sleep(Duration::from_millis(5)).await; // polls: the gauges
        }
    };
    timeout(LONG, settle).await.unwrap();
    let status = snakepit.status().remove(0);
    let ended = status.succeeded + status.errors + status.saturated + status.queue_timeouts;
    let ended = ended + status.call_timeouts + status.cancelled;
    assert_eq!(ended, status.requests, "one outcome each: {status:?}");
    let stuck = status.stops.kill;
    assert!(
        status.restarts <= stuck,
        "no worker died but for a stuck call: {status:?}"
    );
    println!("{seconds} s: {done:?}, {} workers renewed", status.recycled);
    let report = snakepit.shutdown().await;
    assert!(report.leftover.is_empty(), "{report:?}");
}
