//! The two traits that a worker implementation provides.

mod stop;

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::events::Events;
use crate::profiling::{Profile, Profiling};
use crate::{
    CallId, ChunkStream, Direction, ErrorCode, ExitStatus, HostState, Payload, PoolName, Printable,
    Request, Slot, Stacks, TelemetryControl, ToolError, WorkerId,
};
pub use stop::{StopStep, Stopped};

/// The recipe that starts workers of one kind.
#[async_trait]
pub trait WorkerProfile: fmt::Debug + Send + Sync + 'static {
    /// Name of the profile in events, for example `process`.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Slots of each worker.
    fn slots(&self) -> NonZeroU16;

    /// How workers are kept from outliving this process.
    fn containment(&self) -> Containment {
        Containment::default()
    }

    /// The state of the host that tools of its workers use while they run. Calls of a pool hold their session there, so that it does not expire
    /// while they run. `None` if its workers have none.
    fn state(&self) -> Option<HostState> {
        None
    }

    /// Starts one worker and waits until it is ready, which means that it has described itself.
    ///
    /// # Cancel safety
    /// Dropping the future stops what was started.
    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError>;
}

/// How the workers of a profile are kept from outliving this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Containment {
    /// One word for the protection: `full` and `kernel` when the kernel ends workers together with
    /// this process, `sweep` when the next start does; nothing when the profile promises nothing.
    pub tier: Option<&'static str>,
    /// How far the protection reaches for what workers start: `group`, or a strict mode such as
    /// `shim`, which processes do not leave by making a group or a session of their own.
    pub mode: Option<&'static str>,
    /// Why no worker can be recorded and started at the moment, if so. Running workers go on.
    pub degraded: Option<String>,
}

/// What a profile is told about the worker to start.
#[derive(Clone, Debug)]
pub struct StartContext {
    /// Name of the new worker.
    pub worker: WorkerId,
    /// The pool that it is for.
    pub pool: PoolName,
    /// Time to become ready.
    pub timeout: Duration,
    /// Limit of one payload in bytes, each direction.
    pub max_payload: usize,
    /// The state of the host for the worker's tools, where the profile has no other; see [`WorkerProfile::state`].
    pub state: Option<HostState>,
    /// Longest time for the stacks of a worker that is not ready in time; zero asks for none.
    pub stacks: Duration,
    /// The hub that the worker's events and records go to.
    pub events: Events,
    /// Settings of the records that the worker reports, from its start.
    pub telemetry: TelemetryControl,
}

/// One live external worker.
///
/// The pool never has more than one call at a time in a slot, but where the worker [takes calls ahead](Self::takes_ahead).
#[async_trait]
pub trait Worker: fmt::Debug + Send + Sync + 'static {
    /// What the worker said of itself when it became ready.
    fn info(&self) -> &WorkerInfo;

    /// The module whose import has switched the interpreter's lock on, in an interpreter that started without it. That may happen at any
    /// time, so [`info`](Self::info) may not know it yet.
    fn gil_reenabled_by(&self) -> Option<String> {
        self.info().gil_reenabled_by.clone()
    }

    /// Runs one call in `slot`. It resolves when the tool returned or the worker is gone, not before: the pool takes that as "the slot is free".
    async fn call(self: Arc<Self>, slot: Slot, request: Request) -> Result<Payload, CallError>;

    /// Starts one streaming call in `slot`. The slot is free when the stream has ended.
    async fn stream(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> Result<ChunkStream, CallError>;

    /// Runs `items` as calls of `request.tool` one after the other in `slot`, in order, one result each. `request.args` is ignored.
    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Vec<Payload>,
    ) -> Vec<ItemResult>;

    /// A slot can be given further short calls by [`call`](Self::call) while one runs in it: each is in the worker's hands when its future was
    /// polled once, and they run one after the other in that order. Such a worker also takes calls [back](Self::recall), and says of one
    /// that was never begun that its death is not ambiguous.
    fn takes_ahead(&self) -> bool {
        false
    }

    /// Takes a call back that waits in `slot` behind another one. `true` is a promise: it was not begun, never will be, and its future ends
    /// with [`CallError::NotBegun`]. `false` when it was begun, or is over, or the worker is gone. A call that has not come to the worker
    /// yet does not begin either: a later recall of it returns `true` again, and then its future ends.
    ///
    /// # Cancel safety
    /// A call whose answer was not waited for may have been taken back.
    async fn recall(&self, _slot: Slot, _call: CallId) -> bool {
        false
    }

    /// Takes all calls back that it has not begun: each of them ends with [`CallError::NotBegun`], and never runs. The others go on. The pool
    /// asks when a call that cannot be stopped holds the worker up, and makes them elsewhere.
    ///
    /// # Cancel safety
    /// Calls may have been taken back whose futures do not end.
    async fn give_back(&self) {}

    /// Bytes of memory of all its processes together; nothing when that cannot be told.
    ///
    /// # Cancel safety
    /// Safe.
    async fn memory(&self) -> Option<u64> {
        None
    }

    /// CPU time that all its processes together have used so far; nothing when that cannot be told.
    ///
    /// # Cancel safety
    /// Safe.
    async fn cpu(&self) -> Option<Duration> {
        None
    }

    /// A sign of life; nothing when none came within `wait`. What it tells is evidence, see [`Pulse`]; a worker that cannot be asked is
    /// taken to be well. There may be several questions at a time, and an answer to a later one answers the earlier ones.
    ///
    /// # Cancel safety
    /// Safe.
    async fn pulse(&self, _wait: Duration) -> Option<Pulse> {
        Some(Pulse::default())
    }

    /// Where each thread of the worker is, whatever it is doing; nothing where that cannot be told within `wait`.
    ///
    /// # Cancel safety
    /// Safe.
    async fn stacks(&self, _wait: Duration) -> Option<Stacks> {
        None
    }

    /// Starts to sample the stacks of all its Python threads. One profile is made at a time.
    ///
    /// # Errors
    /// Reason why it cannot be profiled: one phrase.
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    async fn profile(&self, _profile: &Profile) -> Result<Box<dyn Profiling>, String> {
        Err("it has no profiler".to_owned())
    }

    /// Makes the tool of this call stop. Returns at once; a call that is over is left alone. Whoever calls this kills the worker when the
    /// call is not over after `grace`, which tells how much time each means may take.
    fn cancel(&self, call: CallId, grace: Duration);

    /// What stopped a cancelled call, once it is over; nothing where the worker cannot tell.
    async fn stopped(&self, _call: CallId) -> Option<Stopped> {
        None
    }

    /// Returns whether the worker is to be replaced, because what stopped a cancelled call may have left it in an unknown state. The pool
    /// asks when a cancelled call is over, and gives the worker no further calls if so.
    fn wants_renewal(&self) -> bool {
        false
    }

    /// Changes what the worker reports of its code. Returns at once; a worker that cannot be told stays as it is.
    fn set_telemetry(&self, _control: &TelemetryControl) {}

    /// Resolves when the worker is gone, for whatever reason; immediately if it is already.
    async fn closed(&self) -> WorkerExit;

    /// Says why the worker will be ended, as one phrase, before [`stop`](Self::stop). The exit of a worker that the host has ended gives this
    /// as its reason; the first phrase counts.
    fn will_end(&self, _why: &str) {}

    /// Ends the worker: asks it and its running calls to end, waits up to `grace`, then kills. Resolves when it is gone. With a zero grace
    /// it kills at once.
    async fn stop(&self, grace: Duration);
}

/// What a worker's sign of life tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// How long the interpreter has been out of reach, because one thread keeps its lock; nothing when it answered.
    pub held: Option<Duration>,
}

/// Result of one item of a `call_many`.
pub type ItemResult = Result<Payload, CallError>;

/// What a worker is.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Runtime, for example `cpython`.
    pub runtime: String,
    /// Version of the runtime, for example `3.11.7`.
    pub runtime_version: String,
    /// Process id, where the worker is a local process.
    pub pid: Option<u32>,
    /// Calls that it can hold at the same time, as it says itself; 0 when it does not.
    pub slots: u16,
    /// Whether an interpreter lock lets one of its slots run at a time; nothing where the worker does not say. Without the lock its slots
    /// run in parallel.
    pub gil_enabled: Option<bool>,
    /// The module whose import has switched that lock on, in an interpreter that started without it; several, with commas, when it is one
    /// of them.
    pub gil_reenabled_by: Option<String>,
    /// Tools, in the order of their definition.
    pub tools: Vec<ToolInfo>,
    /// Names of tools without arguments that are its health checks: healthy when they return. They are not among `tools`.
    pub health_checks: Vec<String>,
}

/// One tool of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Name to call it by.
    pub name: String,
    /// First paragraph of its documentation.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: serde_json::Value,
    /// JSON Schema of the result, `null` when unknown.
    pub returns: serde_json::Value,
    /// It yields chunks.
    pub streaming: bool,
    /// It is asynchronous.
    pub is_async: bool,
    /// File where it is defined.
    pub file: String,
    /// Line where it is defined, from 1; 0 when unknown.
    pub line: u32,
    /// Its definition, for example `def mean(xs: list[float]) -> float`.
    pub signature: String,
}

/// How a worker ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerExit {
    /// One phrase, for example `killed by signal 9 (SIGKILL)`.
    pub reason: String,
    /// The last lines that it wrote to stderr, oldest first.
    pub output: Vec<String>,
    /// The host ended it on purpose.
    pub expected: bool,
    /// How its process ended.
    pub status: ExitStatus,
    /// What it did wrong, if the host killed it for that.
    pub killed_for: Option<String>,
    /// There is evidence that the operating system ended it for lack of memory; a SIGKILL is none.
    pub out_of_memory: bool,
}

/// Why one call failed, as the worker's side knows it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The tool failed, or the worker refused the call.
    #[error(transparent)]
    Tool(Box<ToolError>),
    /// A payload is larger than the limit; nothing was sent.
    #[error("{direction} of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Which way the payload was going.
        direction: Direction,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The worker has [given it back](Worker::give_back): it was not begun, and never will be.
    #[error("the worker has given the call back before it began with it")]
    NotBegun,
    /// The worker is gone.
    #[error("the worker is gone: {}", Printable(&exit.reason))]
    Died {
        /// How it ended.
        exit: Box<WorkerExit>,
        /// The tool may have run: the request had been sent.
        ambiguous: bool,
    },
}

/// Why a worker did not start.
///
/// [`Display`](fmt::Display) writes the message and, on indented lines, the last output of the process.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{}", Printable(message), LastOutput(output))]
pub struct StartError {
    /// Stable code.
    pub code: ErrorCode,
    /// What failed: a lower-case phrase.
    pub message: String,
    /// The error that the worker reported, when it could.
    pub tool_error: Option<Box<ToolError>>,
    /// How the process ended, when it did.
    pub exit: Option<String>,
    /// The last lines of its output, oldest first.
    pub output: Vec<String>,
    /// Where the threads of the worker were when its time was up, if it could tell.
    pub stacks: Option<Box<Stacks>>,
    /// One thing to do about it.
    pub help: Option<String>,
    /// Trying again cannot help (a missing file, a bad configuration).
    pub permanent: bool,
}

/// The last lines of an output, each under an indentation.
struct LastOutput<'a>(&'a [String]);

impl fmt::Display for LastOutput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Lines shown: a traceback of ordinary depth.
        const LINES: usize = 20;
        let first = self.0.len().saturating_sub(LINES);
        if !self.0.is_empty() {
            f.write_str("\n  last output:")?;
        }
        for line in &self.0[first..] {
            write!(f, "\n    {}", Printable(line))?;
        }
        Ok(())
    }
}

impl StartError {
    /// An error with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            tool_error: None,
            exit: None,
            output: Vec::new(),
            stacks: None,
            help: None,
            permanent: false,
        }
    }
}
