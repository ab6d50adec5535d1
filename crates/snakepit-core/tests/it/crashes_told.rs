//! The crash of a worker that is being replaced is reported as a crash, whichever worker has taken
//! its place.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;
use std::time::Duration;

use snakepit_core::error::Error;
use snakepit_core::events::{Event, EventStream};
use snakepit_core::id::WorkerId;
use snakepit_core::pool::{Pool, WorkerState};
use snakepit_core::testing::{Script, ScriptedProfile, ScriptedWorker};
use snakepit_core::value::Payload;
use snakepit_core::worker::WorkerExit;
use tokio::task::JoinHandle;

use crate::calls_told::{subscribe, taken};
use crate::support::{balanced, begin, call, config, ready, until};

const SECOND: Duration = Duration::from_secs(1);

fn crash() -> WorkerExit {
    let mut exit = WorkerExit::default();
    exit.reason = "killed by signal 11 (SIGSEGV)".into();
    exit
}

/// The first worker, with a call in it, while its replacement starts.
struct Replaced {
    pool: Pool,
    profile: ScriptedProfile,
    old: Arc<ScriptedWorker>,
    call: JoinHandle<Result<Payload, Error>>,
    events: EventStream,
}

impl Replaced {
    async fn new() -> Self {
        let profile = ScriptedProfile::new(1);
        let pool = ready(config(1), &profile).await;
        profile.otherwise(Script::Slow(SECOND));
        let old = profile.workers().remove(0);
        let call = begin(&pool, "gate").await;
        until(|| old.running() == 1).await;
        let recycled = pool.clone();
        tokio::runtime::Handle::current()
            .spawn(async move { recycled.recycle(&WorkerId::new("test-1")).await });
        profile.started(2).await;
        let events = subscribe(&pool);
        Self {
            pool,
            profile,
            old,
            call,
            events,
        }
    }

    /// Loses its call; its process continues to end.
    async fn lose(&mut self) {
        self.old.lose(crash());
        let error = (&mut self.call).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::WorkerDied { .. }), "{error:?}");
    }

    /// Waits until its replacement takes calls.
    async fn replaced(&self) {
        let serves = |pool: &Pool| {
            let mut workers = pool.workers().into_iter();
            workers.any(|one| one.id == "test-2".into() && one.state == WorkerState::Idle)
        };
        tokio::time::sleep(2 * SECOND).await;
        until(|| serves(&self.pool)).await;
    }

    /// Ends its process, and checks that this is reported as a crash, once.
    async fn ends(mut self) {
        let told = |events: &mut EventStream| -> Vec<String> {
            let events = taken(events);
            let told = events.iter().filter_map(|emitted| match &emitted.event {
                Event::WorkerCrashed { worker, exit, .. } => Some(format!("{worker} {exit}")),
                Event::WorkerTerminated {
                    worker, planned, ..
                } => Some(format!("{worker} planned {planned}")),
                _ => None,
            });
            told.collect()
        };
        assert_eq!(told(&mut self.events), [""; 0]);
        assert_eq!(self.pool.status().last_exit, None);
        self.old.end(crash());
        until(|| self.pool.status().last_exit.is_some()).await;
        let crashed = format!("test-1 {}", crash().reason);
        assert_eq!(
            told(&mut self.events),
            [crashed, "test-1 planned false".to_owned()]
        );
        assert_eq!(self.pool.status().last_exit, Some(crash().reason));
        call(&self.pool, "echo").await.unwrap();
        assert_eq!((self.profile.starts(), self.pool.workers().len()), (2, 1));
        balanced(&self.pool.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_of_a_worker_whose_place_is_taken_before_its_process_has_ended() {
    let mut worker = Replaced::new().await;
    worker.lose().await;
    worker.replaced().await;
    worker.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_of_a_worker_that_drains_because_it_was_replaced() {
    let mut worker = Replaced::new().await;
    worker.replaced().await;
    worker.lose().await;
    worker.ends().await;
}
