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

    /// Runs one call in `slot`. The future must not resolve before the tool has returned or the
    /// worker is gone, because the pool then reuses the slot.
    async fn call(self: Arc<Self>, slot: Slot, request: Request) -> Result<Payload, CallError>;

    /// Starts one streaming call in `slot`. The slot is free when the stream has ended.
    async fn stream(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> Result<ChunkStream, CallError>;

    /// Runs `items` as calls of `request.tool` one after the other in `slot`, and returns one
    /// result for each, in order. `request.args` is ignored.
    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Vec<Payload>,
    ) -> Vec<ItemResult>;

    /// Returns true if a slot accepts further short calls by [`call`](Self::call) while one runs in
    /// it. Each is in the worker's hands once its future was polled, and they run one after the
    /// other in that order. Such a worker also supports [`recall`](Self::recall), and reports its
    /// death as not ambiguous for a call that was never begun.
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

    /// Gives back all calls that the worker has not begun: each of them ends with
    /// [`CallError::NotBegun`], and never runs. The others continue. The pool calls this if a call
    /// that cannot be stopped blocks the worker, and makes the returned calls elsewhere.
    ///
    /// # Cancel safety
    /// If the future is dropped, calls may have been taken back whose futures do not end.
    async fn give_back(&self) {}

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
    /// cancellation have to share that time.
    fn cancel(&self, call: CallId, grace: Duration);

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

/// Result of one item of a `call_many`.
pub type ItemResult = Result<Payload, CallError>;

/// The description of a worker.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Runtime, for example `cpython`.
    pub runtime: String,
    /// Version of the runtime, for example `3.11.7`.
    pub runtime_version: String,
    /// Process id. `None` if the worker is not a local process.
    pub pid: Option<u32>,
    /// Calls that it can have at the same time, as reported by itself; 0 if it does not report
    /// them.
    pub slots: u16,
    /// True if an interpreter lock lets only one of its slots run at a time; without the lock its
    /// slots run in parallel. `None` if the worker does not report this.
    pub gil_enabled: Option<bool>,
    /// Module whose import has switched that lock on, in an interpreter that started without it;
    /// several candidates are separated by commas. `None` if that has not happened.
    pub gil_reenabled_by: Option<String>,
    /// Tools, in the order of their definition.
    pub tools: Vec<ToolInfo>,
    /// Names of tools without arguments that are its health checks: healthy if they return. They
    /// are not in `tools`.
    pub health_checks: Vec<String>,
}

/// One tool of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Name by which it is called.
    pub name: String,
    /// First paragraph of its documentation.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: serde_json::Value,
    /// JSON Schema of the result; `null` if unknown.
    pub returns: serde_json::Value,
    /// The tool yields chunks.
    pub streaming: bool,
    /// The tool is asynchronous.
    pub is_async: bool,
    /// File where it is defined.
    pub file: String,
    /// Line where it is defined, from 1; 0 if unknown.
    pub line: u32,
    /// The definition, for example `def mean(xs: list[float]) -> float`.
    pub signature: String,
}

/// The exit of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerExit {
    /// One phrase, for example `killed by signal 9 (SIGKILL)`.
    pub reason: String,
    /// The last lines that it wrote to stderr, oldest first.
    pub output: Vec<String>,
    /// The host ended it on purpose.
    pub expected: bool,
    /// Exit status of its process.
    pub status: ExitStatus,
    /// Fault for which the host killed it. `None` if it did not.
    pub killed_for: Option<String>,
    /// There is evidence that the operating system ended it for lack of memory; a SIGKILL is none.
    pub out_of_memory: bool,
}

/// The reason why one call failed, as known by the worker's side.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The tool failed, or the worker rejected the call.
    #[error(transparent)]
    Tool(Box<ToolError>),
    /// A payload is larger than the limit; nothing was sent.
    #[error("{direction} of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Direction of the payload.
        direction: Direction,
        /// Size of the payload in bytes.
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
        /// Exit of the worker.
        exit: Box<WorkerExit>,
        /// The tool may have run: the request had been sent.
        ambiguous: bool,
    },
}

/// The reason why a worker did not start.
///
/// [`Display`](fmt::Display) writes the message and, on indented lines, the last output of the
/// process.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{}", Printable(message), LastOutput(output))]
pub struct StartError {
    /// Stable code.
    pub code: ErrorCode,
    /// The failure: a lower-case phrase.
    pub message: String,
    /// The error reported by the worker, if there is one.
    pub tool_error: Option<Box<ToolError>>,
    /// Exit of the process. `None` if it did not exit.
    pub exit: Option<String>,
    /// The last lines of its output, oldest first.
    pub output: Vec<String>,
    /// Stacks of the worker's threads at its timeout. `None` if not available.
    pub stacks: Option<Box<Stacks>>,
    /// Hint: one thing to do about the error.
    pub help: Option<String>,
    /// Trying again cannot help (a missing file, a bad configuration).
    pub permanent: bool,
}

/// The last lines of an output, each indented.
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
    /// Creates an error with a code and a message.
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
