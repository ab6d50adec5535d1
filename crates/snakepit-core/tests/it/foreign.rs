//! Workers whose implementation panics: a panic affects only its worker.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use snakepit_core::call::{CallOptions, Request};
use snakepit_core::error::{Error, ErrorCode, Stacks, StartError};
use snakepit_core::id::{CallId, Slot};
use snakepit_core::policy::QuarantinePolicy;
use snakepit_core::pool::Pool;
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use snakepit_core::worker::{
    CallError, ChunkStream, ItemResult, StartContext, Stopped, Worker, WorkerExit, WorkerInfo,
    WorkerProfile,
};

use crate::support::{LONG, balanced, config, payload, until};

/// Starts workers of which the first one panics in one place.
#[derive(Debug)]
struct Profile {
    inner: ScriptedProfile,
    place: &'static str,
    first: AtomicBool,
}

#[derive(Debug)]
struct Panics {
    inner: Arc<dyn Worker>,
    place: &'static str,
}

impl Panics {
    fn at(&self, place: &str) {
        assert_ne!(self.place, place, "as told");
    }
}

#[async_trait]
impl WorkerProfile for Profile {
    fn slots(&self) -> NonZeroU16 {
        self.inner.slots()
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let inner = self.inner.start(context).await?;
        let first = self.first.swap(false, Ordering::SeqCst);
        let place = if first { self.place } else { "" };
        Ok(Arc::new(Panics { inner, place }))
    }
}

#[async_trait]
impl Worker for Panics {
    fn info(&self) -> &WorkerInfo {
        self.at("info");
        self.inner.info()
    }

    async fn call(self: Arc<Self>, slot: Slot, request: Request) -> Result<Payload, CallError> {
        self.at("call");
        Arc::clone(&self.inner).call(slot, request).await
    }

    async fn stream(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> Result<ChunkStream, CallError> {
        self.at("stream");
        let chunks = Arc::clone(&self.inner).stream(slot, request).await?;
        Ok(Box::pin(chunks.inspect(move |_| self.at("chunk"))))
    }

    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        self.at("call_many");
        Arc::clone(&self.inner)
            .call_many(slot, request, items)
            .await
    }

    async fn stacks(&self, wait: Duration) -> Option<Stacks> {
        self.at("stacks");
        self.inner.stacks(wait).await
    }

    fn cancel(&self, call: CallId, grace: Duration) {
        self.at("cancel");
        self.inner.cancel(call, grace);
    }

    async fn stopped(&self, call: CallId) -> Option<Stopped> {
        self.at("stopped");
        self.inner.stopped(call).await
    }

    async fn closed(&self) -> WorkerExit {
        self.at("closed");
        self.inner.closed().await
    }

    async fn stop(&self, grace: Duration) {
        // It stops nevertheless, so that the test can continue.
        self.inner.stop(grace).await;
        self.at("stop");
    }
}

/// Starts a pool whose first worker panics in `place`.
fn start(place: &'static str, slots: u16) -> (Pool, ScriptedProfile) {
    let inner = ScriptedProfile::new(slots);
    let profile = Profile {
        inner: inner.clone(),
        place,
        first: AtomicBool::new(true),
    };
    let mut config = config(1);
    config.quarantine = Some(QuarantinePolicy::default());
    (Pool::start(config, Arc::new(profile)).unwrap(), inner)
}

/// Checks that another worker has taken its place, and nothing is left of it.
async fn renewed(pool: &Pool, inner: &ScriptedProfile) {
    until(|| inner.starts() == 2 && pool.status().ready == 1 && pool.workers().len() == 1).await;
    until(|| inner.workers().len() == 1).await;
    let reply = pool.execute("echo", payload(1), &CallOptions::new()).await;
    assert_eq!(reply.unwrap(), payload(1));
    assert_eq!(pool.status().in_flight, 0);
    balanced(&pool.status());
    pool.close().await;
    assert!(inner.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_tell_its_end_is_ended_and_replaced() {
    let (pool, inner) = start("closed", 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    renewed(&pool, &inner).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_costs_its_worker_and_not_its_caller() {
    let (pool, inner) = start("call", 2);
    pool.await_all_ready(LONG).await.unwrap();
    let error = pool.execute("echo", payload(1), &CallOptions::new()).await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::WorkerDied);
    tokio::time::sleep(Duration::from_secs(5)).await;
    renewed(&pool, &inner).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_costs_its_worker_and_not_its_reader() {
    for place in ["stream", "chunk"] {
        let (pool, inner) = start(place, 1);
        pool.await_all_ready(LONG).await.unwrap();
        let options = CallOptions::new();
        let error = match pool.execute_stream("echo", payload(1), &options).await {
            Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.code(), ErrorCode::WorkerDied, "{place}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        renewed(&pool, &inner).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_item_of_a_batch_that_panics_has_a_result() {
    let (pool, inner) = start("call_many", 1);
    pool.await_all_ready(LONG).await.unwrap();
    let items = (0..50).map(payload);
    let results: Vec<_> = pool
        .execute_many("echo", items, &CallOptions::new())
        .collect()
        .await;
    assert_eq!(results.len(), 50);
    for (n, result) in (0..).zip(results) {
        match result {
            Ok(reply) => assert_eq!(reply, payload(n)),
            Err(error) => assert_eq!(error.code(), ErrorCode::WorkerDied),
        }
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    renewed(&pool, &inner).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_call_is_given_up_loses_no_slot() {
    for place in ["cancel", "stopped", "stacks", "stop"] {
        let (pool, inner) = start(place, 1);
        pool.await_all_ready(LONG).await.unwrap();
        let options = CallOptions::new().timeout(Duration::from_secs(1));
        for tool in ["hang", "stuck"] {
            let error: Error = pool.execute(tool, payload(1), &options).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::CallTimeout, "{place} {tool}");
            tokio::time::sleep(Duration::from_secs(60)).await;
            until(|| pool.status().in_flight == 0).await;
        }
        until(|| pool.status().ready == 1).await;
        let reply = pool.execute("echo", payload(1), &CallOptions::new()).await;
        assert_eq!(reply.unwrap(), payload(1), "{place}");
        balanced(&pool.status());
        pool.close().await;
        assert!(inner.workers().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_describe_itself_is_a_failed_start() {
    let (pool, inner) = start("info", 1);
    until(|| pool.status().start_failures == 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    renewed(&pool, &inner).await;
}
