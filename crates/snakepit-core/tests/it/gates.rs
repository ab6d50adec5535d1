//! Every way to end × every moment to go away: counts stay exact and no slot is lost.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::testing::ScriptedProfile;

use crate::support::{balanced, call, config, payload, ready, until};

/// The way in which a caller goes away.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Stay,
    TimeOut,
    Drop,
}

#[tokio::test(start_paused = true)]
async fn no_slot_is_lost_and_every_call_counts_once() {
    for tool in ["echo", "fail", "gate", "hang", "stuck", "die"] {
        for leave in [Leave::Stay, Leave::TimeOut, Leave::Drop] {
            for slots in [1, 2] {
                hammer(tool, leave, slots).await;
            }
        }
    }
}

async fn hammer(tool: &'static str, leave: Leave, slots: u16) {
    let profile = ScriptedProfile::new(slots);
    let mut config = config(2);
    // `die` kills a worker with each call, which is not the subject of this test.
    config.restart.max_restarts = 1000;
    config.queue_timeout = Duration::from_secs(500);
    let pool = ready(config, &profile).await;
    profile.allow(4);
    let time = match leave {
        Leave::TimeOut => Duration::from_millis(1),
        Leave::Stay | Leave::Drop => Duration::from_secs(30),
    };
    let options = CallOptions::new().timeout(time);
    let calls = (0..8).map(|index| {
        let call = pool.execute(tool, payload(1), &options);
        async move {
            match leave {
                // Dropped after as many polls as its index: before admission, in the queue, on a
                // worker.
                Leave::Drop => polled(call, index).await,
                Leave::Stay | Leave::TimeOut => drop(call.await),
            }
        }
    });
    futures_util::future::join_all(calls).await;
    until(|| pool.status().queue_depth == 0).await;
    // Grace times and backoffs pass; the clock is paused, so this takes no time.
    let whole = || pool.status().in_flight == 0 && pool.status().ready == 2;
    for _ in 0..1000 {
        if whole() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(whole(), "{tool} {leave:?} {:?}", pool.status());
    call(&pool, "echo").await.expect("the pool is whole");
    balanced(&pool.status());
    assert_eq!(
        pool.status().slots,
        2 * usize::from(slots),
        "{tool} {leave:?}"
    );
}

async fn polled(call: impl Future, times: usize) {
    let mut call = std::pin::pin!(call);
    for _ in 0..times {
        if futures_util::poll!(call.as_mut()).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
