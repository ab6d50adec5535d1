//! The state of a pool: a synchronous object that decides. It knows no lock, no task and no
//! clock but the times it is given; what follows from a change, it returns as [`Effects`].

mod admission;
mod calls;
mod claim;
mod closing;
mod draining;
mod effects;
mod granted;
mod health;
mod heartbeat;
mod isolation;
mod liveness;
mod nested;
mod policies;
mod recall;
mod recycling;
mod roster;
mod snapshot;
mod stats;
mod supervision;
mod tools;
mod workers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::config::PoolConfig;
use super::scaling::Scaling;
use crate::call::CallChain;
use crate::error::{Error, StartError};
use crate::id::WorkerId;
use crate::policy::{Breakers, Quarantine, RetryBudget};
use crate::schedule::{Fairness, Rules, Scheduler, Ticket};
use crate::state::Sessions;
pub(crate) use admission::{Admission, Load, Placement, Refusal, Unavailable};
pub(crate) use claim::Claimed;
pub(crate) use effects::{Effects, Further};
pub(crate) use granted::{Early, Granted};
pub use health::{HealthState, HealthStatus};
pub(crate) use heartbeat::{HeartbeatAnswer, HeartbeatChange};
pub use heartbeat::{HeartbeatState, HeartbeatStatus};
pub(crate) use isolation::Isolation;
pub(crate) use liveness::{Asked, CheckedWorker};
pub(crate) use nested::is_stuck;
pub(crate) use policies::Blamed;
pub(crate) use recall::Recall;
pub(crate) use stats::Outcome;
use stats::Stats;
pub(crate) use tools::Tools;
use workers::Workers;
pub(crate) use workers::{ReadyWorker, Spare};

/// Wakes a waiting call with its slot, or with the reason why it gets none.
pub(crate) type Waiter = oneshot::Sender<Result<Granted, Error>>;

/// Slots, workers, policies and counters of one pool.
pub(crate) struct PoolCore {
    /// Slots of each worker.
    slots: u16,
    scheduler: Scheduler<Waiter>,
    /// Nested calls that wait.
    nested: HashMap<Ticket, CallChain>,
    workers: Workers,
    starting: BTreeMap<WorkerId, Instant>,
    stats: Stats,
    quarantine: Option<Quarantine>,
    breakers: Breakers,
    retry_budget: Option<RetryBudget>,
    /// Workers to keep running.
    target: usize,
    /// Ready workers that get no calls, oldest first.
    spares: Vec<Spare>,
    scaling: Option<Scaling>,
    closing: bool,
    /// A worker is reserved for an isolated call.
    reserved: bool,
    gave_up: Option<Arc<StartError>>,
    /// The error of the last start. `None` once a worker is ready again.
    failed_start: Option<Arc<StartError>>,
    /// The tools of the workers, as reported by the latest ready one.
    tools: Option<Arc<Tools>>,
}

impl PoolCore {
    /// Creates the state of a pool without workers. `sessions` are those of its calls.
    pub(crate) fn new(config: &PoolConfig, slots: u16, sessions: Option<&Sessions>) -> Self {
        let mut rules = Rules {
            bytes: config.queue_bytes,
            session: config.session_queue_limit,
            fair: config.fairness == Fairness::Session,
            ..Rules::new(config.queue_limit)
        };
        if let Some(sessions) = sessions {
            rules.binding_idle = rules.binding_idle.max(sessions.config().ttl);
        }
        Self {
            slots,
            scheduler: Scheduler::with_rules(rules),
            nested: HashMap::new(),
            workers: Workers::default(),
            starting: BTreeMap::new(),
            stats: Stats::new(),
            quarantine: config.quarantine.clone().map(Quarantine::new),
            retry_budget: config.retry.as_ref().map(RetryBudget::new),
            breakers: Breakers::new(config.breaker.clone(), config.tool_breaker.clone()),
            target: config.initial_workers(),
            spares: Vec::new(),
            scaling: config.autoscale.as_ref().map(Scaling::new),
            closing: false,
            reserved: false,
            gave_up: None,
            failed_start: None,
            tools: None,
        }
    }
}
