//! Replaces workers that are due: first the replacement starts, then the old worker ends; in place
//! the other way round.

use std::collections::HashMap;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Supervisor;
use crate::error::StartError;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::recycle::{Member, RecycleError, RecycleMode, RecycleReason, Token};
use crate::pool::state::ReadyWorker;
use crate::pool::upkeep::past::Past;
use crate::pool::{PoolConfig, RecycleBudget};
use crate::printable::Printable;
use crate::schedule::WorkerKey;

/// The callers that wait for a replacement.
type Waiters = Vec<oneshot::Sender<Result<WorkerId, RecycleError>>>;

pub(super) struct Recycling {
    pub(super) member: Member,
    /// Memory samples in progress.
    pub(super) samples: JoinSet<(WorkerKey, Option<u64>)>,
    next_sample: Option<Instant>,
    /// Replacements that are starting.
    starting: HashMap<WorkerId, Replacement>,
    /// Workers that drain because they are replaced, also in place.
    leaving: HashMap<WorkerKey, Replacement>,
    /// Callers that requested replacements that have not had their turn.
    asked: HashMap<WorkerKey, Waiters>,
    /// Replacements that failed in a row.
    failures: usize,
    /// Moment before which no replacement starts, except at a user's request.
    not_before: Option<Instant>,
}

struct Replacement {
    /// The worker to replace. `None` if it is gone.
    old: Option<WorkerKey>,
    name: WorkerId,
    reason: RecycleReason,
    waiters: Waiters,
    /// Held until the old worker is gone and the new one is ready.
    _token: Token,
}

impl Replacement {
    fn report(&mut self, answer: &Result<WorkerId, RecycleError>) {
        for waiter in self.waiters.drain(..) {
            // The caller may have gone.
            waiter.send(answer.clone()).ok();
        }
    }
}

impl Recycling {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let budget: RecycleBudget = config.recycle.budget.clone().unwrap_or_default();
        let interval = config.recycle.memory_interval;
        let looks = config.recycle.max_memory.is_some();
        Self {
            member: budget.join(config.initial_workers()),
            samples: JoinSet::new(),
            next_sample: looks.then(|| Instant::now() + interval),
            starting: HashMap::new(),
            leaving: HashMap::new(),
            asked: HashMap::new(),
            failures: 0,
            not_before: None,
        }
    }

    /// Number of starts whose old workers still take calls.
    pub(super) fn overlapping(&self) -> usize {
        let starting = self.starting.values();
        starting.filter(|one| one.old.is_some()).count()
    }

    /// Number of replacements that are starting.
    pub(super) fn replacing(&self) -> usize {
        self.starting.len()
    }

    /// Returns true if this worker is a replacement that is starting.
    pub(super) fn knows(&self, id: &WorkerId) -> bool {
        self.starting.contains_key(id)
    }

    /// Returns true if this worker is starting to replace one that has not ended.
    pub(super) fn replaces(&self, id: &WorkerId) -> bool {
        let replacement = self.starting.get(id);
        replacement.is_some_and(|one| one.old.is_some())
    }

    /// Notes the death of a worker that was to be replaced. Returns `true` if its replacement is
    /// starting.
    pub(super) fn adopt(&mut self, key: WorkerKey) -> bool {
        let mut starting = self.starting.values_mut();
        let own = starting.find(|one| one.old == Some(key));
        own.map(|one| one.old = None).is_some()
    }
}

impl Supervisor {
    /// Accepts a user's request to replace a worker.
    pub(super) fn request_recycle(
        &mut self,
        worker: WorkerId,
        done: oneshot::Sender<Result<WorkerId, RecycleError>>,
    ) {
        let mut under_way = self.recycling.starting.values_mut();
        if let Some(own) = under_way.find(|one| one.old.is_some() && one.name == worker) {
            return own.waiters.push(done);
        }
        let asked = self.shared.lock().request_recycle(&worker);
        let Some(key) = asked else {
            // The caller may have gone.
            done.send(Err(self.unknown(worker))).ok();
            return;
        };
        self.recycling.asked.entry(key).or_default().push(done);
    }

    fn unknown(&self, worker: WorkerId) -> RecycleError {
        RecycleError::UnknownWorker {
            pool: self.shared.config.name.clone(),
            worker,
        }
    }

    /// Begins the replacements that are due and possible now.
    pub(super) fn recycle(&mut self, now: Instant) {
        self.sample(now);
        self.recycling.not_before.take_if(|at| *at <= now);
        while let Some((key, name, reason)) = self.due(now) {
            let Some(token) = self.recycling.member.try_take() else {
                return;
            };
            let replacement = Replacement {
                old: Some(key),
                name,
                reason,
                waiters: self.recycling.asked.remove(&key).unwrap_or_default(),
                _token: token,
            };
            if self.shared.config.recycle.mode == RecycleMode::InPlace {
                self.leave(key, replacement, None);
            } else {
                let id = self.start();
                self.recycling.starting.insert(id, replacement);
            }
        }
    }

    /// Returns the worker that is to be replaced first. `None` if workers are missing or none can
    /// be started.
    fn due(&self, now: Instant) -> Option<(WorkerKey, WorkerId, RecycleReason)> {
        if self.half_open || self.not_before.is_some() {
            return None;
        }
        let starts = self.starts.len();
        if starts >= self.shared.config.start_concurrency {
            return None;
        }
        let state = self.shared.lock();
        // In place, workers in replacement count as present: only the budget limits them.
        let in_place = self.shared.config.recycle.mode == RecycleMode::InPlace;
        let coming = self.recycling.starting.len() * usize::from(in_place);
        let workers = state.workers();
        let serving = workers.filter(|(_, live)| !live.draining || live.in_place);
        if serving.count() + coming < state.target() {
            return None;
        }
        let none_waits = state.queued() == 0;
        let due = state.workers().filter_map(|(key, live)| {
            let replaced = |one: &Replacement| one.old == Some(key);
            if live.draining || self.recycling.starting.values().any(replaced) {
                return None;
            }
            let quiet = none_waits && state.in_use_of(key) == Some(0);
            let reason = live.limits.reason(now, live.calls, quiet)?;
            let manual = reason == RecycleReason::Manual;
            (manual || self.recycling.not_before.is_none()).then_some((!manual, live, key, reason))
        });
        let (_, live, key, reason) = due.min_by_key(|(later, live, ..)| (*later, live.ready))?;
        Some((key, live.id.clone(), reason))
    }

    /// Returns the moment at which time alone may make the next replacement due.
    pub(super) fn recycling_due(&self, now: Instant) -> Option<Instant> {
        let state = self.shared.lock();
        let limits = state.workers().filter(|(_, live)| !live.draining);
        let due = limits.filter_map(|(_, live)| live.limits.next(now, live.calls));
        let others = [self.recycling.not_before, self.recycling.next_sample];
        due.chain(others.into_iter().flatten()).min()
    }

    /// Takes the old worker out of service.
    fn leave(
        &mut self,
        key: WorkerKey,
        mut replacement: Replacement,
        replacement_id: Option<&WorkerId>,
    ) {
        let config = &self.shared.config;
        let past = {
            let mut state = self.shared.lock();
            let in_place = replacement_id.is_none();
            let Some(live) = state.recycle(key, replacement.reason, in_place) else {
                return;
            };
            Past::of(live)
        };
        self.report_recycled(past, replacement.reason.word(), replacement_id);
        if let Some(id) = replacement_id {
            replacement.report(&Ok(id.clone()));
        }
        self.recycling.leaving.insert(key, replacement);
        self.drain(key, Instant::now().checked_add(config.recycle.max_drain));
    }

    /// Handles the successful start of a worker: if it is a replacement, the old one gets no more
    /// calls.
    pub(super) fn replaced(&mut self, id: &WorkerId) {
        let Some(mut replacement) = self.recycling.starting.remove(id) else {
            return;
        };
        self.recycling.failures = 0;
        self.recycling.not_before = None;
        self.shared.lock().recycle_succeeded();
        let serving = |key: &WorkerKey| {
            let state = self.shared.lock();
            state.live(*key).is_some_and(|live| !live.draining)
        };
        match replacement.old.filter(serving) {
            Some(old) => self.leave(old, replacement, Some(id)),
            None => replacement.report(&Ok(id.clone())),
        }
    }

    /// Handles the failed start of a worker. `None` if it would only have replaced a worker that
    /// continues; otherwise returns the error.
    pub(super) fn not_replaced(&mut self, id: &WorkerId, error: StartError) -> Option<StartError> {
        let Some(mut replacement) = self.recycling.starting.remove(id) else {
            return Some(error);
        };
        let worker = replacement.name.clone();
        let (source, name) = (Box::new(error.clone()), worker.clone());
        replacement.report(&Err(RecycleError::Failed {
            worker: name,
            source,
        }));
        let config = &self.shared.config;
        self.recycling.failures += 1;
        let mut policy = config.restart.clone();
        policy.max_backoff = policy.window.max(policy.max_backoff);
        let wait = policy.backoff(self.recycling.failures);
        self.recycling.not_before = Some(Instant::now() + wait);
        emit!(
            self.shared.hub,
            WorkerRecycleFailed {
                pool: config.name.clone(),
                worker,
                reason: replacement.reason.word(),
                error: Printable(&error.message).to_string(),
                retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            }
        );
        let text = Printable(&error.message).to_string();
        let goes_on = self.shared.lock().recycle_failed(replacement.old, text);
        (!goes_on).then_some(error)
    }

    /// Handles the end of a worker: if it was to be replaced in place, its replacement starts now.
    pub(super) fn left(&mut self, key: WorkerKey, live: &ReadyWorker) {
        for waiter in self.recycling.asked.remove(&key).unwrap_or_default() {
            // The caller may have gone.
            waiter.send(Err(self.unknown(live.id.clone()))).ok();
        }
        if let Some(mut replacement) = self.recycling.leaving.remove(&key)
            && live.in_place
        {
            replacement.old = None;
            let id = self.start();
            self.recycling.starting.insert(id, replacement);
        }
    }

    /// Starts to sample the memory of all workers, if it is time.
    fn sample(&mut self, now: Instant) {
        if self.recycling.next_sample.is_none_or(|at| at > now) {
            return;
        }
        let interval = self.shared.config.recycle.memory_interval;
        self.recycling.next_sample = now.checked_add(interval);
        // A sampling that takes longer than the interval is not overtaken.
        if !self.recycling.samples.is_empty() {
            return;
        }
        let state = self.shared.lock();
        for (key, live) in state.workers().filter(|(_, live)| !live.draining) {
            let worker = std::sync::Arc::clone(&live.worker);
            self.recycling
                .samples
                .spawn(async move { (key, worker.memory().await) });
        }
    }

    /// Records the memory sample of one worker.
    pub(super) fn sampled(&self, sample: Option<(WorkerKey, Option<u64>)>) {
        let Some((key, Some(bytes))) = sample else {
            return;
        };
        let now = Instant::now();
        self.shared.lock().record_memory(key, bytes, now);
    }
}
