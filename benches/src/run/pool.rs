//! `Pool::execute` with a worker that answers at once: what is the cost of the pool itself?

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use snakepit_core::call::{CallOptions, Request};
use snakepit_core::error::StartError;
use snakepit_core::id::{CallId, Slot};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::value::Payload;
use snakepit_core::worker::{
    CallError, ChunkStream, ItemResult, StartContext, Worker, WorkerExit, WorkerInfo, WorkerProfile,
};

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, alternate};
use crate::host::multi_thread;
use crate::load::closed;
use crate::row::{Row, Target};
use crate::run::{CALLS, rows};

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = Vec::new();
    for (callers, workers) in [(1, 1), (64, 1), (64, 64)] {
        table.extend(contest(plan, callers, workers)?);
    }
    Ok(table)
}

fn contest(plan: &Plan, callers: usize, workers: usize) -> Result<Vec<Row>> {
    let runtime = multi_thread()?;
    let pool = {
        let _inside = runtime.enter();
        let mut config = PoolConfig::new("bench");
        config.workers = workers;
        Pool::start(config, Arc::new(Instantly))?
    };
    runtime.block_on(pool.await_all_ready(Duration::from_secs(10)))?;
    let round = || {
        let (pool, args) = (pool.clone(), Payload::encode(&(1,))?);
        let tool: Arc<str> = "echo".into();
        let call = move || {
            let (pool, tool, args) = (pool.clone(), Arc::clone(&tool), args.clone());
            async move {
                pool.execute(tool, args, &CallOptions::new()).await?;
                Ok(())
            }
        };
        Ok(runtime
            .block_on(closed(callers, plan.turn, call))?
            .figures())
    };
    let series = alternate(plan.rounds, &mut [Entrant::ours(round)])?;
    runtime.block_on(pool.close());
    let targets: &[_] = if callers == 1 {
        &[("p50", Target::AtMost(3.0))]
    } else {
        &[]
    };
    let case = format!("instant worker, callers: {callers}, workers: {workers}");
    Ok(rows(("pool", &case), &CALLS, &series, targets))
}

/// The profile of workers that echo their arguments at once.
#[derive(Debug)]
struct Instantly;

#[async_trait]
impl WorkerProfile for Instantly {
    fn slots(&self) -> NonZeroU16 {
        NonZeroU16::MIN
    }

    async fn start(&self, _context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let (stop, _) = tokio::sync::watch::channel(false);
        Ok(Arc::new(InstantWorker {
            info: WorkerInfo::default(),
            stop,
        }))
    }
}

#[derive(Debug)]
struct InstantWorker {
    info: WorkerInfo,
    stop: tokio::sync::watch::Sender<bool>,
}

#[async_trait]
impl Worker for InstantWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn call(self: Arc<Self>, _slot: Slot, request: Request) -> Result<Payload, CallError> {
        Ok(request.args)
    }

    async fn stream(
        self: Arc<Self>,
        _slot: Slot,
        request: Request,
    ) -> Result<ChunkStream, CallError> {
        Ok(Box::pin(stream::iter([Ok(request.args)])))
    }

    async fn call_many(
        self: Arc<Self>,
        _slot: Slot,
        _request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        items.iter().cloned().map(Ok).collect()
    }

    fn cancel(&self, _: CallId, _: Duration) {}

    async fn closed(&self) -> WorkerExit {
        // The sender lives in `self`, so waiting cannot fail; either way the worker is gone.
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
        WorkerExit::default()
    }

    async fn stop(&self, _grace: Duration) {
        self.stop.send_replace(true);
    }
}
