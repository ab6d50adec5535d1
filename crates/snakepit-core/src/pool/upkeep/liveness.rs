//! Monitors the workers of a pool: requests signs of life, lets the policy judge, and carries out
//! its decisions.

mod effects;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, join};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::events::{emit, kind};
use crate::id::WorkerId;
use crate::policy::liveness::{Evidence, Limits, LivenessVerdict, judge};
use crate::pool::shared::Shared;
use crate::pool::state::{Asked, HeartbeatAnswer};
use crate::schedule::WorkerKey;
use crate::worker::{Pulse, Worker};
use effects::HeartbeatEffects;

/// Time limit for reading a worker's CPU time, so that a slow reading does not hide an answer.
const CPU: Duration = Duration::from_secs(1);

/// The task that monitors the workers of one pool.
pub(crate) struct Monitor {
    shared: Arc<Shared>,
    limits: Limits,
    /// Open requests, at most `misses` for each worker.
    questions: JoinSet<(WorkerKey, HeartbeatAnswer, Duration)>,
    /// Time of the next round.
    next: Instant,
}

impl Monitor {
    /// Starts the task, unless the pool's heartbeats are off. The task ends when the pool is
    /// closed.
    pub(crate) fn spawn(shared: &Arc<Shared>) {
        let config = &shared.config.heartbeat;
        if !config.enabled {
            return;
        }
        let this = Self {
            shared: Arc::clone(shared),
            limits: config.limits(shared.config.cancel_grace),
            questions: JoinSet::new(),
            next: Instant::now() + config.interval,
        };
        shared.tasks.spawn_on(this.run(), &shared.runtime);
    }

    async fn run(self) {
        let (shared, pool) = (Arc::clone(&self.shared), self.shared.config.name.clone());
        let config = &shared.config.heartbeat;
        emit!(
            shared.hub,
            HeartbeatMonitorStarted {
                pool: pool.clone(),
                interval_ms: millis(config.interval),
                timeout_ms: millis(config.timeout),
            }
        );
        self.look_after().await;
        emit!(shared.hub, HeartbeatMonitorStopped { pool });
    }

    async fn look_after(mut self) {
        let mut closed = std::pin::pin!(self.shared.until_closed());
        loop {
            tokio::select! {
                biased;
                () = &mut closed => return,
                Some(answer) = self.questions.join_next() => {
                    // Requests catch panics, so this one was cancelled: the runtime is shutting
                    // down.
                    let Ok((key, answer, latency)) = answer else { return };
                    self.heard(key, &answer, latency);
                }
                () = sleep_until(self.next) => self.send_heartbeats(),
            }
        }
    }

    /// Returns the delay of this task. `None` if it is too short to explain missed heartbeats.
    fn late(&self, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.next);
        (late > 2 * self.shared.config.heartbeat.interval).then_some(late)
    }

    /// Sends a request to all workers that are due.
    fn send_heartbeats(&mut self) {
        let now = Instant::now();
        if let Some(late) = self.late(now) {
            return self.discard(now, late);
        }
        let config = &self.shared.config.heartbeat;
        self.next = now + config.interval;
        let told = self.shared.hub.enabled(kind::HeartbeatPingSent);
        let mut state = self.shared.lock();
        if state.is_closing() {
            return;
        }
        let due = state.due_heartbeats(now, config.misses);
        drop(state);
        let mut asked: Vec<WorkerId> = Vec::new();
        for Asked {
            key,
            id,
            worker,
            busy,
        } in due
        {
            let wait = config.timeout;
            asked.extend(told.then_some(id));
            let question = async move {
                let (pulse, latency, cpu) = look(&*worker, busy, wait).await;
                let answer = HeartbeatAnswer {
                    asked: now,
                    pulse,
                    cpu,
                };
                (key, answer, latency)
            };
            self.questions.spawn_on(question, &self.shared.runtime);
        }
        for worker in asked {
            let pool = self.shared.config.name.clone();
            emit!(self.shared.hub, HeartbeatPingSent { pool, worker });
        }
    }

    /// Discards the round: this process was suspended meanwhile.
    fn discard(&mut self, now: Instant, late: Duration) {
        self.questions = JoinSet::new();
        self.next = now;
        self.shared.lock().discard_heartbeats();
        let (pool, late_seconds) = (self.shared.config.name.clone(), late.as_secs_f64());
        emit!(self.shared.hub, HeartbeatDiscarded { pool, late_seconds });
    }

    /// Handles the answer to a request, or its timeout.
    fn heard(&mut self, key: WorkerKey, answer: &HeartbeatAnswer, latency: Duration) {
        let now = Instant::now();
        let late = self.late(now);
        let mut state = self.shared.lock();
        let Some(heard) = state.hear(key, answer, now) else {
            return;
        };
        let evidence = Evidence {
            late: late.is_some(),
            ..heard.evidence
        };
        let verdict = judge(&evidence, &self.limits);
        if let (LivenessVerdict::Discard, Some(late)) = (verdict, late) {
            drop(state);
            return self.discard(now, late);
        }
        let change = heard.change;
        if !state.record_heartbeat(key, heard) {
            return;
        }
        let Some(effects) = HeartbeatEffects::begin(&mut state, key, evidence, verdict) else {
            return;
        };
        drop(state);
        effects.finish(&self.shared, change, answer.pulse.map(|_| latency));
    }
}

/// Returns a sign of life with its latency, and, if the worker is busy, its CPU time.
async fn look(
    worker: &dyn Worker,
    busy: bool,
    wait: Duration,
) -> (Option<Pulse>, Duration, Option<Duration>) {
    let asked = Instant::now();
    // A worker whose implementation panics gives no sign of life.
    let pulse = async {
        let pulse = AssertUnwindSafe(timeout(wait, worker.pulse(wait))).catch_unwind();
        (pulse.await, asked.elapsed())
    };
    let cpu = async {
        if !busy {
            return None;
        }
        let look = AssertUnwindSafe(timeout(CPU, worker.cpu())).catch_unwind();
        look.await.ok()?.ok()?
    };
    let ((pulse, latency), cpu) = join!(pulse, cpu);
    (pulse.ok().and_then(Result::ok).flatten(), latency, cpu)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
