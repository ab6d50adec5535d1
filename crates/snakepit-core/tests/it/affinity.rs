//! Sessions bound to workers, and calls nested in one another.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snakepit_core::call::{CallChain, CallOptions, Request};
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolCall, ToolFailure};
use snakepit_core::pool::{Affinity, Pool};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::{Payload, Value};

use crate::support::{balanced, begin_with, config, payload, ready, until};

fn strict() -> CallOptions {
    CallOptions::new()
        .session("s")
        .affinity(Affinity::StrictQueue)
}

fn fail_fast() -> CallOptions {
    strict().affinity(Affinity::StrictFailFast)
}

fn running(profile: &ScriptedProfile) -> Vec<usize> {
    profile
        .workers()
        .iter()
        .map(|worker| worker.running())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_first_calls_lands_on_one_worker() {
    let profile = ScriptedProfile::new(2);
    let mut config = config(3);
    config.affinity = Affinity::StrictQueue;
    let pool = ready(config, &profile).await;
    let mut calls = Vec::new();
    for _ in 0..6 {
        calls.push(begin_with(&pool, "gate", CallOptions::new().session("s")).await);
    }
    until(|| running(&profile).iter().sum::<usize>() == 2).await;
    let mut loads = running(&profile);
    loads.sort_unstable();
    assert_eq!((loads, pool.status().queue_depth), (vec![0, 0, 2], 4));
    profile.allow(6);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_strict_call_waits_for_its_worker_or_fails_at_once() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    let first = begin_with(&pool, "gate", strict()).await;
    until(|| running(&profile).contains(&1)).await;
    let busy = pool
        .execute("echo", payload(1), &fail_fast())
        .await
        .unwrap_err();
    assert!(matches!(busy, Error::AffinityBusy { .. }) && busy.is_retryable());
    assert_eq!(busy.code(), ErrorCode::AffinityBusy);
    let second = begin_with(&pool, "echo", strict()).await;
    assert_eq!(pool.status().queue_depth, 1);
    // A call with a hint goes to the other worker, and the session's binding stays.
    let hint = CallOptions::new().session("s");
    pool.execute("echo", payload(1), &hint).await.unwrap();
    assert_eq!(pool.status().queue_depth, 1);
    profile.allow(1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    pool.execute("echo", payload(1), &fail_fast())
        .await
        .unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn when_the_worker_dies_the_loss_is_told_and_the_session_goes_on() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    let first = begin_with(&pool, "hang", strict()).await;
    until(|| running(&profile).contains(&1)).await;
    let waits = begin_with(&pool, "echo", strict()).await;
    let home = profile
        .workers()
        .into_iter()
        .find(|worker| worker.running() == 1)
        .unwrap();
    home.die("gone", false);
    assert!(matches!(
        first.await.unwrap(),
        Err(Error::WorkerDied { .. })
    ));
    let error = waits.await.unwrap().unwrap_err();
    let Error::AffinityLost {
        worker, generation, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((worker, *generation), (home.id(), 1));
    pool.execute("echo", payload(1), &strict()).await.unwrap();
    // Without a waiting call, the next strict call gets the error; a call with a hint does not.
    let session = CallOptions::new().session("s");
    let home = begin_with(&pool, "gate", strict()).await;
    until(|| running(&profile).contains(&1)).await;
    profile
        .workers()
        .into_iter()
        .find(|worker| worker.running() == 1)
        .unwrap()
        .die("gone", false);
    assert!(home.await.unwrap().is_err());
    pool.execute("echo", payload(1), &session).await.unwrap();
    let error = pool
        .execute("echo", payload(1), &fail_fast())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::AffinityLost { generation: 2, .. }));
    pool.execute("echo", payload(1), &fail_fast())
        .await
        .unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_released_session_may_go_anywhere() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    pool.execute("echo", payload(1), &strict()).await.unwrap();
    profile.workers()[0].die("gone", true);
    until(|| profile.workers().len() == 1 && pool.status().ready == 1).await;
    assert!(pool.release_session(&"s".into()) && !pool.release_session(&"s".into()));
    pool.execute("echo", payload(1), &strict()).await.unwrap();
}

/// A worker whose tool `down` calls the host tool `again`, as a worker in another process would
/// over its connection.
mod nested {
    use std::num::NonZeroU16;
    use std::time::Duration;

    use snakepit_core::error::StartError;
    use snakepit_core::id::Slot;
    use snakepit_core::worker::{
        CallError, ChunkStream, ItemResult, StartContext, Worker, WorkerExit, WorkerInfo,
        WorkerProfile,
    };

    use super::*;

    #[derive(Debug)]
    pub(super) struct Profile(pub(super) u16, pub(super) HostState);

    #[derive(Debug)]
    struct Nested(StartContext, HostState, WorkerInfo);

    #[async_trait]
    impl WorkerProfile for Profile {
        fn slots(&self) -> NonZeroU16 {
            NonZeroU16::new(self.0).unwrap()
        }

        async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
            Ok(Arc::new(Nested(
                context,
                self.1.clone(),
                WorkerInfo::default(),
            )))
        }
    }

    #[async_trait]
    impl Worker for Nested {
        fn info(&self) -> &WorkerInfo {
            &self.2
        }

        async fn call(self: Arc<Self>, _: Slot, request: Request) -> Result<Payload, CallError> {
            let call = ToolCall::from_request(self.0.worker.clone(), &request);
            let reply = self.1.tools().call(call, &request.tool, request.args).await;
            reply.map_err(CallError::Tool)
        }

        async fn stream(self: Arc<Self>, _: Slot, _: Request) -> Result<ChunkStream, CallError> {
            Ok(Box::pin(futures_util::stream::empty()))
        }

        async fn call_many(
            self: Arc<Self>,
            _: Slot,
            _: Request,
            _: Arc<[Payload]>,
        ) -> Vec<ItemResult> {
            Vec::new()
        }

        fn cancel(&self, _: snakepit_core::id::CallId, _: std::time::Duration) {}

        async fn closed(&self) -> WorkerExit {
            std::future::pending().await
        }

        async fn stop(&self, _: Duration) {}
    }
}

/// Returns a pool whose tool `again` calls itself `n` times in nested calls, and its host.
async fn recursive(workers: usize, slots: u16) -> (HostState, Pool) {
    let host = HostState::new(HostStateConfig::new()).unwrap();
    let place: Arc<Mutex<Option<Pool>>> = Arc::default();
    let pool = Arc::clone(&place);
    let again = HostTool::dynamic_asynchronous("again", move |context, args| {
        let pool = pool.lock().unwrap().clone().expect("the pool is there");
        async move {
            let left = match args.get("n") {
                Some(Value::Int(left)) => *left,
                _ => return Err(ToolFailure::new("no `n`")),
            };
            if left == 0 {
                return Ok(i64::from(context.depth()).into());
            }
            let reply = pool
                .execute("again", n(left - 1), &context.options())
                .await?;
            Ok(reply.decode()?)
        }
    });
    host.tools().register(again.exposed()).unwrap();
    let pool = Pool::start(
        config(workers),
        Arc::new(nested::Profile(slots, host.clone())),
    )
    .unwrap();
    pool.await_all_ready(crate::support::LONG).await.unwrap();
    *place.lock().unwrap() = Some(pool.clone());
    (host, pool)
}

fn n(n: i64) -> Payload {
    Payload::encode(&Value::Map(vec![("n".into(), n.into())])).unwrap()
}

fn code(result: Result<Payload, Error>) -> Result<i64, ErrorCode> {
    result
        .map(|reply| reply.decode().unwrap())
        .map_err(|error| error.code())
}

#[tokio::test(start_paused = true)]
async fn nested_calls_work_as_long_as_there_are_slots_and_fail_at_once_beyond() {
    let (_host, pool) = recursive(2, 2).await;
    let options = CallOptions::new();
    assert_eq!(code(pool.execute("again", n(3), &options).await), Ok(4));
    let start = tokio::time::Instant::now();
    assert_eq!(
        code(pool.execute("again", n(4), &options).await),
        Err(ErrorCode::Deadlock)
    );
    assert_eq!(start.elapsed().as_secs(), 0);
    // A strict session can use the slots of one worker only.
    assert_eq!(code(pool.execute("again", n(1), &strict()).await), Ok(2));
    let options = strict();
    let mut pinned = config(2);
    pinned.affinity = Affinity::StrictQueue;
    assert_eq!(code(pool.execute("again", n(3), &options).await), Ok(4));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn recursion_ends_at_the_limit() {
    let (_host, pool) = recursive(1, 40).await;
    assert_eq!(
        code(pool.execute("again", n(15), &CallOptions::new()).await),
        Ok(16)
    );
    assert_eq!(
        code(pool.execute("again", n(16), &CallOptions::new()).await),
        Err(ErrorCode::TooDeep)
    );
    assert_eq!(CallChain::default().depth(), 0);
}
