//! Nested calls over several pools.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures_util::future::join_all;
use snakepit_core::call::{CallOptions, Request};
use snakepit_core::error::{Error, ErrorCode, StartError, ToolError};
use snakepit_core::id::{CallId, Slot};
use snakepit_core::pool::{Affinity, Pool, PoolConfig};
use snakepit_core::value::Payload;
use snakepit_core::worker::{
    CallError, ChunkStream, ItemResult, StartContext, Worker, WorkerExit, WorkerInfo, WorkerProfile,
};
use tokio::sync::{Barrier, Semaphore, watch};
use tokio::time::Instant;

use crate::support::{LONG, payload, until};

/// Workers whose tools call tools of other pools. A tool is a path: `b/leaf` calls `leaf` in pool
/// `b`, `b:s/leaf` does so strictly for session `s`. With `@` in front it waits until all calls
/// that meet have arrived. `gate` waits for a permit; everything else returns.
#[derive(Clone, Debug)]
struct Relays {
    slots: u16,
    pools: Arc<OnceLock<Vec<Pool>>>,
    meeting: Arc<Barrier>,
    gate: Arc<Semaphore>,
}

#[derive(Debug)]
struct Relay {
    relays: Relays,
    info: WorkerInfo,
    stopped: watch::Sender<bool>,
}

impl Relays {
    fn new(slots: u16, meet: usize) -> Self {
        Self {
            slots,
            pools: Arc::default(),
            meeting: Arc::new(Barrier::new(meet)),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    /// Starts pools of these names, each with so many workers.
    async fn pools(&self, names: &[&str], workers: usize) -> Vec<Pool> {
        let pools = names.iter().map(|name| {
            let mut config = PoolConfig::new(*name);
            config.workers = workers;
            Pool::start(config, Arc::new(self.clone())).unwrap()
        });
        let pools: Vec<_> = pools.collect();
        for pool in &pools {
            pool.await_all_ready(LONG).await.unwrap();
        }
        self.pools.set(pools.clone()).unwrap();
        pools
    }

    async fn run(&self, request: Request) -> Result<Payload, Error> {
        let mut tool = &*request.tool;
        if let Some(rest) = tool.strip_prefix('@') {
            self.meeting.wait().await;
            tool = rest;
        }
        let Some((to, rest)) = tool.split_once('/') else {
            if tool == "gate" {
                self.gate.acquire().await.unwrap().forget();
            }
            return Ok(request.args);
        };
        let (name, session) = to.split_once(':').unwrap_or((to, ""));
        let mut options = CallOptions::new();
        options.chain = request.chain.clone();
        if !session.is_empty() {
            options = options.session(session).affinity(Affinity::StrictQueue);
        }
        let pools = self.pools.get().unwrap();
        let pool = pools.iter().find(|pool| pool.name().as_str() == name);
        pool.unwrap().execute(rest, request.args, &options).await
    }
}

#[async_trait]
impl WorkerProfile for Relays {
    fn slots(&self) -> NonZeroU16 {
        NonZeroU16::new(self.slots).unwrap()
    }

    async fn start(&self, _: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        Ok(Arc::new(Relay {
            relays: self.clone(),
            info: WorkerInfo::default(),
            stopped: watch::Sender::new(false),
        }))
    }
}

#[async_trait]
impl Worker for Relay {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn call(self: Arc<Self>, _: Slot, request: Request) -> Result<Payload, CallError> {
        let result = self.relays.run(request).await;
        result.map_err(|error| CallError::Tool(Box::new(ToolError::new(error.code(), ""))))
    }

    async fn stream(self: Arc<Self>, _: Slot, request: Request) -> Result<ChunkStream, CallError> {
        let chunk = self.relays.run(request).await.unwrap();
        Ok(Box::pin(futures_util::stream::iter([Ok(chunk)])))
    }

    async fn call_many(
        self: Arc<Self>,
        _: Slot,
        _: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        items.iter().cloned().map(Ok).collect()
    }

    fn cancel(&self, _: CallId, _: std::time::Duration) {}

    async fn closed(&self) -> WorkerExit {
        let mut stopped = self.stopped.subscribe();
        stopped.wait_for(|stopped| *stopped).await.unwrap();
        WorkerExit::default()
    }

    async fn stop(&self, _: std::time::Duration) {
        self.stopped.send_replace(true);
    }
}

async fn call(pool: &Pool, tool: &str) -> Result<(), ErrorCode> {
    let called = pool.execute(tool, payload(1), &CallOptions::new()).await;
    called.map(drop).map_err(|error| error.code())
}

/// Makes the calls at the same time. Returns how many were rejected as part of a circle; none
/// waited.
async fn refused(calls: Vec<(&Pool, String)>) -> usize {
    let began = Instant::now();
    let calls = calls.iter().map(|(pool, tool)| call(pool, tool));
    let results = join_all(calls).await;
    assert_eq!(began.elapsed().as_millis(), 0, "the answer comes at once");
    let refused = results.iter().filter_map(|result| result.err());
    let codes: Vec<_> = refused.collect();
    assert!(
        codes.iter().all(|code| *code == ErrorCode::Deadlock),
        "{codes:?}"
    );
    codes.len()
}

#[tokio::test(start_paused = true)]
async fn the_call_that_would_close_a_circle_of_pools_is_refused() {
    let names = ["a", "b", "c", "d", "e"];
    for count in 1..=names.len() {
        let relays = Relays::new(1, count);
        let pools = relays.pools(&names[..count], 1).await;
        let next = |n: usize| format!("@{}/leaf", names[(n + 1) % count]);
        let calls = pools.iter().enumerate();
        let calls = calls.map(|(n, pool)| (pool, next(n))).collect();
        assert_eq!(refused(calls).await, 1, "{count} pools");
        for pool in &pools {
            call(pool, "leaf").await.unwrap();
            assert_eq!(pool.status().in_flight, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_last_slot_closes_the_circle() {
    for (slots, workers) in [(1, 2), (2, 1)] {
        let relays = Relays::new(slots, 4);
        let pools = relays.pools(&["a", "b"], workers).await;
        let (to_a, to_b) = ("@a/leaf".to_owned(), "@b/leaf".to_owned());
        let calls = vec![
            (&pools[0], to_b.clone()),
            (&pools[0], to_b),
            (&pools[1], to_a.clone()),
            (&pools[1], to_a),
        ];
        assert_eq!(refused(calls).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_way_round_is_a_circle_too() {
    let relays = Relays::new(1, 2);
    let pools = relays.pools(&["a", "b", "c"], 1).await;
    let calls = vec![
        (&pools[0], "@b/c/leaf".to_owned()),
        (&pools[2], "@a/leaf".to_owned()),
    ];
    assert_eq!(refused(calls).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_one_that_can_end_waits() {
    let relays = Relays::new(1, 1);
    let pools = relays.pools(&["a", "b"], 1).await;
    let plain = tokio::join!(
        call(&pools[1], "gate"),
        call(&pools[0], "b/leaf"),
        // The call waits for a slot of `a`, whose call waits for `b`, whose call can end.
        call(&pools[0], "leaf"),
        async {
            until(|| pools[1].status().queue_depth == 1).await;
            relays.gate.add_permits(1);
        }
    );
    assert_eq!(plain, (Ok(()), Ok(()), Ok(()), ()));
}

#[tokio::test(start_paused = true)]
async fn a_circle_through_the_worker_of_a_session_is_refused_though_others_are_free() {
    let relays = Relays::new(1, 2);
    let pools = relays.pools(&["a", "b"], 2).await;
    let strict = CallOptions::new()
        .session("s")
        .affinity(Affinity::StrictQueue);
    pools[1].execute("leaf", payload(1), &strict).await.unwrap();
    let bound = CallOptions::new()
        .session("t")
        .affinity(Affinity::StrictQueue);
    pools[0].execute("leaf", payload(1), &bound).await.unwrap();
    let began = Instant::now();
    let (one, other) = tokio::join!(
        pools[1].execute("@a:t/leaf", payload(1), &strict),
        pools[0].execute("@b:s/leaf", payload(1), &bound),
    );
    assert_eq!(began.elapsed().as_millis(), 0);
    let codes: Vec<_> = [one, other]
        .into_iter()
        .filter_map(|result| result.err().map(|error| error.code()))
        .collect();
    assert_eq!(codes, [ErrorCode::Deadlock]);
}
