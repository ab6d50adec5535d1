//! A worker whose stream blocks the thread that reads it.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use snakepit_core::call::{CallOptions, Request};
use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::id::{CallId, Slot};
use snakepit_core::pool::Pool;
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use snakepit_core::worker::{
    CallError, ChunkStream, ItemResult, StartContext, Worker, WorkerExit, WorkerInfo, WorkerProfile,
};
use tokio::time::timeout;

use crate::support::{LONG, balanced, config, payload};

type Ends = (Sender<()>, Receiver<()>);

/// Starts workers whose stream `blocks` waits inside `poll_next` until it is released.
#[derive(Debug)]
struct Profile {
    inner: ScriptedProfile,
    /// The ends on which the stream reports that it blocks, and waits for its release.
    ends: Arc<Mutex<Option<Ends>>>,
}

#[derive(Debug)]
struct Blocks {
    inner: Arc<dyn Worker>,
    ends: Arc<Mutex<Option<Ends>>>,
}

struct Blocking(Option<Ends>);

impl Stream for Blocking {
    type Item = ItemResult;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<ItemResult>> {
        if let Some((within, go)) = self.0.take() {
            within.send(()).unwrap();
            go.recv().unwrap();
        }
        Poll::Pending
    }
}

#[async_trait]
impl WorkerProfile for Profile {
    fn slots(&self) -> NonZeroU16 {
        self.inner.slots()
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let inner = self.inner.start(context).await?;
        let ends = Arc::clone(&self.ends);
        Ok(Arc::new(Blocks { inner, ends }))
    }
}

#[async_trait]
impl Worker for Blocks {
    fn info(&self) -> &WorkerInfo {
        self.inner.info()
    }

    async fn call(self: Arc<Self>, slot: Slot, request: Request) -> Result<Payload, CallError> {
        Arc::clone(&self.inner).call(slot, request).await
    }

    async fn stream(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> Result<ChunkStream, CallError> {
        if &*request.tool == "blocks" {
            let ends = self.ends.lock().unwrap().take();
            return Ok(Box::pin(Blocking(ends)));
        }
        Arc::clone(&self.inner).stream(slot, request).await
    }

    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        Arc::clone(&self.inner)
            .call_many(slot, request, items)
            .await
    }

    fn cancel(&self, call: CallId, grace: Duration) {
        self.inner.cancel(call, grace);
    }

    async fn closed(&self) -> WorkerExit {
        self.inner.closed().await
    }

    async fn stop(&self, grace: Duration) {
        self.inner.stop(grace).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_kept_delays_no_other_deadline() {
    let (within, is_within) = channel();
    let (let_go, go) = channel();
    let profile = Profile {
        inner: ScriptedProfile::new(3),
        ends: Arc::new(Mutex::new(Some((within, go)))),
    };
    let pool = Pool::start(config(1), Arc::new(profile)).unwrap();
    // Long enough for the threads of the test to start on a busy machine.
    let brief = CallOptions::new().timeout(Duration::from_millis(250));
    let open = |tool: &'static str| pool.execute_stream(tool, payload(1), &brief);
    let mut kept = open("blocks").await.unwrap();
    let reader = std::thread::spawn(move || {
        let outcome = futures_util::FutureExt::now_or_never(kept.next());
        (outcome.is_none(), kept)
    });
    tokio::task::spawn_blocking(move || is_within.recv().unwrap())
        .await
        .unwrap();
    // The deadline of the first one passes before that of the others.
    for _ in 0..2 {
        let mut other = open("pause").await.unwrap();
        assert_eq!(other.next().await.unwrap().unwrap(), payload(1));
        let error = timeout(LONG, other.next()).await.unwrap();
        let error = error.unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::CallTimeout);
    }
    let_go.send(()).unwrap();
    let (pending, mut kept) = reader.join().unwrap();
    assert!(pending);
    let error = kept.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::CallTimeout);
    assert!(kept.next().await.is_none());
    pool.close().await;
    assert_eq!(pool.status().call_timeouts, 3);
    balanced(&pool.status());
}
