//! The two traits that a worker implementation provides, and the types that they use.

mod adapter;
mod call_error;
mod cancel_step;
mod exit;
mod info;
pub mod profiling;
mod tail;
mod telemetry_control;

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use self::profiling::{Profile, Profiling};
use crate::call::Request;
use crate::error::{ErrorCode, Stacks, StartError, ToolError};
use crate::events::Events;
use crate::host_tools::HostState;
use crate::id::{CallId, PoolName, Slot, WorkerId};
use crate::value::Payload;
pub use adapter::{AdaptedProfile, Adapter};
pub use call_error::{CallError, ChunkStream, ItemResult};
pub use cancel_step::{CancelStep, Stopped};
pub use exit::WorkerExit;
pub use info::{ToolInfo, WorkerInfo};
pub use tail::{LogLine, Tail};
pub use telemetry_control::TelemetryControl;

/// The recipe that starts workers of one kind.
#[async_trait]
pub trait WorkerProfile: fmt::Debug + Send + Sync + 'static {
    /// Name of the profile in events, for example `process`.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Number of slots of each worker.
    fn slots(&self) -> NonZeroU16;

    /// Mechanism that keeps workers from outliving this process.
    fn containment(&self) -> Containment {
        Containment::default()
    }

    /// The host state that tools of its workers use while they run. Calls of a pool hold their
    /// session there, so that it does not expire while they run. `None` if its workers have none.
    fn state(&self) -> Option<HostState> {
        None
    }

    /// Starts one worker and waits until it is ready, which means that it has described itself.
    ///
    /// # Cancel safety
    /// Dropping the future stops the start and its process.
    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError>;
}

/// The mechanism that keeps the workers of a profile from outliving this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Containment {
    /// The protection in one word: `full` and `kernel` if the kernel ends workers together with
    /// this process, `sweep` if the next start does. `None` if the profile promises nothing.
    pub tier: Option<&'static str>,
    /// Reach of the protection to processes that workers start: `group`, or a strict mode such as
    /// `shim`, which they cannot leave by creating a process group or a session.
    pub mode: Option<&'static str>,
    /// Reason why no worker can be recorded and started at the moment. `None` if that is possible.
    /// Running workers continue.
    pub degraded: Option<String>,
}

/// The data for the start of a worker.
#[derive(Clone, Debug)]
pub struct StartContext {
    /// Name of the new worker.
    pub worker: WorkerId,
    /// Pool of the worker.
    pub pool: PoolName,
    /// Time to become ready.
    pub timeout: Duration,
    /// Limit of one payload in bytes, each direction.
    pub max_payload: usize,
    /// The host state for the worker's tools, if the profile has no other; see
    /// [`WorkerProfile::state`].
    pub state: Option<HostState>,
    /// Longest time for the stacks of a worker that is not ready in time; zero for no stacks.
    pub stacks: Duration,
    /// The hub for the worker's events and records.
    pub events: Events,
    /// Settings of the records that the worker reports, from its start.
    pub telemetry: TelemetryControl,
}

/// One live external worker.
///
/// The pool never has more than one call at a time in a slot, unless the worker [takes calls
/// ahead](Self::takes_ahead).
#[async_trait]
pub trait Worker: fmt::Debug + Send + Sync + 'static {
    /// Returns the worker's own description, made when it became ready.
    fn info(&self) -> &WorkerInfo;

    /// Returns the module whose import has switched the interpreter's lock on. `None` if the
    /// interpreter started with it, or still runs without it. The import may happen at any time, so
    /// [`info`](Self::info) may not include it yet.
    fn gil_reenabled_by(&self) -> Option<String> {
        self.info().gil_reenabled_by.clone()
    }

    /// Returns the worker without its [`Adapter`]. `None` if it has none. The pool's own calls,
    /// which are health checks and warm-ups, go to it.
    fn unadapted(&self) -> Option<Arc<dyn Worker>> {
        None
    }

    /// Runs one call in `slot`. The future must not resolve before the tool has returned or the
    /// worker is gone, because the pool then reuses the slot.
    async fn call(self: Arc<Self>, slot: Slot, request: Request) -> Result<Payload, CallError>;

    /// Starts one streaming call in `slot`. The slot is free when the stream has ended. By default
    /// workers have no streams.
    async fn stream(
        self: Arc<Self>,
        _slot: Slot,
        request: Request,
    ) -> Result<ChunkStream, CallError> {
        let message = format!("the worker of tool `{}` has no streams", request.tool);
        let error = ToolError::new(ErrorCode::WrongCallKind, message);
        Err(CallError::Tool(Box::new(error)))
    }

    /// Runs `items` as calls of `request.tool` one after the other in `slot`, and returns one
    /// result for each, in order. `request.args` is ignored. The pool keeps the items, too: those
    /// that are given back are sent to another worker. By default each item is one
    /// [`call`](Self::call).
    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        let mut results: Vec<ItemResult> = Vec::with_capacity(items.len());
        for args in items.iter().cloned() {
            let result = match results.last() {
                // Items that were not sent can be sent to another worker.
                Some(Err(CallError::Died { .. } | CallError::NotBegun)) => Err(CallError::NotBegun),
                _ => {
                    let request = Request {
                        args,
                        ..request.clone()
                    };
                    Arc::clone(&self).call(slot, request).await
                }
            };
            results.push(result);
        }
        results
    }

    /// Returns true if a slot accepts further short calls by [`call`](Self::call) while one runs in
    /// it. Each is in the worker's hands once its future was polled, and they run one after the
    /// other in that order. Such a worker also supports [`recall`](Self::recall), and reports its
    /// death as not ambiguous for a call that was never started.
    fn takes_ahead(&self) -> bool {
        false
    }

    /// Recalls a call that waits in `slot` behind another one. `true` is a promise: the call was
    /// not begun and never will be, and its future ends with [`CallError::NotBegun`]. `false` if it
    /// was begun, is over, or the worker is gone. A call that has not reached the worker yet does
    /// not begin either: a later recall of it returns `true` again, and then its future ends.
    ///
    /// # Cancel safety
    /// If the future is dropped, the call may nevertheless have been taken back.
    async fn recall(&self, _slot: Slot, _call: CallId) -> bool {
        false
    }

    /// Recalls all calls that the worker has not begun: each of them ends with
    /// [`CallError::NotBegun`], and never runs. The others continue. The pool calls this if a call
    /// that cannot be stopped blocks the worker, and makes the returned calls elsewhere.
    ///
    /// # Cancel safety
    /// If the future is dropped, calls may have been taken back whose futures do not end.
    async fn recall_all(&self) {}

    /// Returns the bytes of memory of all its processes together. `None` if unknown.
    ///
    /// # Cancel safety
    /// Safe.
    async fn memory(&self) -> Option<u64> {
        None
    }

    /// Returns the CPU time that all its processes together have used so far. `None` if unknown.
    ///
    /// # Cancel safety
    /// Safe.
    async fn cpu(&self) -> Option<Duration> {
        None
    }

    /// Requests a sign of life. `None` if none came within `wait`. It is only evidence, see
    /// [`Pulse`]. The default implementation always gives one. There may be several requests at a
    /// time; an answer to a later one also answers the earlier ones.
    ///
    /// # Cancel safety
    /// Safe.
    async fn pulse(&self, _wait: Duration) -> Option<Pulse> {
        Some(Pulse::default())
    }

    /// Returns the stacks of the worker's threads, whatever they do. `None` if they are not
    /// available within `wait`.
    ///
    /// # Cancel safety
    /// Safe.
    async fn stacks(&self, _wait: Duration) -> Option<Stacks> {
        None
    }

    /// Starts to sample the stacks of all its Python threads. Only one profile is made at a time.
    ///
    /// # Errors
    /// The reason why it cannot be profiled: one phrase.
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    async fn profile(&self, _profile: &Profile) -> Result<Box<dyn Profiling>, String> {
        Err("it has no profiler".to_owned())
    }

    /// Stops the tool of this call. Returns at once; has no effect on a call that is over. The
    /// caller kills the worker if the call is not over after `grace`, so the steps of the
    /// cancellation have to share that time. By default nothing is stopped.
    fn cancel(&self, _call: CallId, _grace: Duration) {}

    /// Returns the step that stopped a cancelled call, once it is over. `None` if unknown.
    async fn stopped(&self, _call: CallId) -> Option<Stopped> {
        None
    }

    /// Returns true if the worker is to be replaced, because the step that stopped a cancelled call
    /// may have left it in an unknown state. The pool calls this when a cancelled call is over, and
    /// gives the worker no further calls if so.
    fn wants_renewal(&self) -> bool {
        false
    }

    /// Changes the records that the worker reports of its code. Returns at once; a worker that
    /// cannot be reached keeps its settings.
    fn set_telemetry(&self, _control: &TelemetryControl) {}

    /// Resolves when the worker is gone, for any reason; immediately if it is already.
    async fn closed(&self) -> WorkerExit;

    /// Announces the reason, as one phrase, for which the worker will be ended by
    /// [`stop`](Self::stop). It becomes the reason of the worker's exit if the host has ended it;
    /// the first phrase counts.
    fn will_end(&self, _why: &str) {}

    /// Ends the worker: asks it and its running calls to end, waits up to `grace`, then kills it.
    /// Resolves when it is gone. With a zero grace it is killed at once.
    async fn stop(&self, grace: Duration);
}

/// A worker's sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Time for which the interpreter has not responded, because one thread keeps its lock. `None`
    /// if it responded.
    pub held: Option<Duration>,
}
