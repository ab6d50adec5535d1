//! `GrpcWorker`: the host's client of a worker that serves `BridgeService` itself.
//!
//! The worker's description decides what is used: [`Capabilities`]. Calls have a connection of
//! their own, so that pings, cancellations and telemetry never wait behind a large payload.

mod calls;
mod chunks;
mod connect;
mod decode;
mod encode;
mod failure;
mod many;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snakepit_core::id::{CallId, SessionId};
use snakepit_core::worker::{Pulse, TelemetryControl, WorkerInfo};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connect::Client;
pub use self::connect::{ConnectError, PeerCheck};
pub use self::failure::LOST;
use super::worker_events::{EventsEnd, WorkerEvents};
use crate::link::spans::Spans;
use crate::pb;

/// First pause before a cancellation is sent again; it doubles up to [`LAST_REPEAT`].
const FIRST_REPEAT: Duration = Duration::from_millis(20);
const LAST_REPEAT: Duration = Duration::from_millis(500);

/// The optional abilities that a worker reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// `msgpack`: reads arguments as MessagePack in one piece.
    pub msgpack: bool,
    /// `json`: reads arguments as JSON text in one piece.
    pub json: bool,
    /// `stream`: serves `ExecuteStreamingTool`.
    pub stream: bool,
    /// `many`: serves `ExecuteToolMany`.
    pub many: bool,
    /// `cancel`: serves `CancelCall`.
    pub cancel: bool,
    /// `telemetry`: serves `StreamTelemetry`.
    pub telemetry: bool,
    /// `sessions`: serves `CleanupSession`, and wants to know which sessions have ended.
    pub sessions: bool,
}

impl Capabilities {
    /// Reads the names of a description. Unknown ones are ignored.
    fn read(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|it| it == name);
        Self {
            msgpack: has("msgpack"),
            json: has("json"),
            stream: has("stream"),
            many: has("many"),
            cancel: has("cancel"),
            telemetry: has("telemetry"),
            sessions: has("sessions"),
        }
    }

    /// Returns what is tried with a worker that does not describe itself.
    fn undescribed() -> Self {
        Self {
            stream: true,
            telemetry: true,
            ..Self::default()
        }
    }
}

/// The client of one worker.
pub struct GrpcWorker {
    calls: Client,
    aside: Client,
    info: WorkerInfo,
    can: Capabilities,
    /// The session of calls that have none. `None` if the worker does not need one.
    private: Option<SessionId>,
    /// Limit of one payload in bytes.
    limit: usize,
    spans: Spans,
    /// The running calls; a token is cancelled when its call is to end.
    open: Mutex<HashMap<u64, CancellationToken>>,
    /// Number of calls that the worker has refused in a row, below gRPC.
    refusals: AtomicU32,
    /// The reason for which the worker can no longer be used. `None` if it can.
    broken: watch::Sender<Option<String>>,
    tasks: TaskTracker,
    runtime: Handle,
}

impl GrpcWorker {
    /// Returns the worker's description of itself. Without tools if it does not describe itself.
    pub const fn info(&self) -> &WorkerInfo {
        &self.info
    }

    /// Returns the worker's optional abilities.
    pub const fn capabilities(&self) -> Capabilities {
        self.can
    }

    /// Returns true if the worker does not implement `Describe`.
    pub const fn is_undescribed(&self) -> bool {
        self.private.is_some()
    }

    /// Calls a tool that does not exist, so that a worker of the original library registers its
    /// tools with its host: it does so only in its first call. Has no effect on workers that
    /// describe themselves.
    pub async fn probe(&self) {
        let Some(session) = &self.private else {
            return;
        };
        let request = pb::ExecuteToolRequest {
            session_id: session.as_str().to_owned(),
            tool_name: "__snakepit_probe__".to_owned(),
            ..pb::ExecuteToolRequest::default()
        };
        // It answers with an error.
        let _ = self.aside.clone().execute_tool(request).await;
    }

    /// Returns the session of calls that have none. `None` if the worker describes itself.
    pub const fn private_session(&self) -> Option<&SessionId> {
        self.private.as_ref()
    }

    /// Requests a sign of life. `None` if none came within `wait`.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ping(&self, wait: Duration) -> Option<Pulse> {
        let mut client = self.aside.clone();
        let ping = client.ping(pb::PingRequest {
            message: "alive".to_owned(),
        });
        matches!(timeout(wait, ping).await, Ok(Ok(_))).then(Pulse::default)
    }

    /// Asks the worker to end a call, again and again until the call is over. Has no effect without
    /// the capability `cancel`.
    pub fn cancel(self: &Arc<Self>, call: CallId, grace: Duration) {
        self.spans.cancel(call.0);
        let Some(over) = self.open().get(&call.0).cloned() else {
            return;
        };
        over.cancel();
        if !self.can.cancel {
            return;
        }
        let worker = Arc::clone(self);
        let repeating = async move {
            let deadline = Instant::now() + grace;
            let mut pause = FIRST_REPEAT;
            // A request that overtakes its call names a call that the worker does not know yet.
            while worker.open().contains_key(&call.0) {
                let left = deadline.saturating_duration_since(Instant::now());
                let request = pb::CancelCallRequest {
                    call_id: call.0,
                    grace_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
                };
                let mut client = worker.aside.clone();
                if client.cancel_call(request).await.is_err() || left.is_zero() {
                    return;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_REPEAT);
            }
        };
        // A caller may drop its call on any thread.
        self.tasks.spawn_on(repeating, &self.runtime);
    }

    /// Tells the worker that a session has ended. An error has no consequences: the worker is gone,
    /// or it keeps what it has.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the worker uninformed.
    pub async fn end_session(&self, session: &SessionId) {
        let request = pb::CleanupSessionRequest {
            session_id: session.as_str().to_owned(),
            force: false,
        };
        if let Err(status) = self.aside.clone().cleanup_session(request).await {
            tracing::debug!(%status, %session, "a worker did not clean up a session");
        }
    }

    /// Publishes the worker's events until their stream ends; see [`WorkerEvents::read`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the stream.
    pub async fn read_events(
        &self,
        events: &mut WorkerEvents,
        settings: watch::Receiver<TelemetryControl>,
    ) -> EventsEnd {
        events.read(&self.aside, settings).await
    }

    /// Returns true if the worker can no longer be used.
    pub fn is_broken(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// Resolves with the reason once the worker can no longer be used: a call has lost its
    /// connection, or the worker has broken the contract.
    pub async fn broken(&self) -> String {
        let mut broken = self.broken.subscribe();
        let reason = broken.wait_for(Option::is_some).await;
        // The sender is in `self`, so waiting cannot fail.
        reason.ok().and_then(|it| it.clone()).unwrap_or_default()
    }

    /// Ends the spans of all running calls, because the worker is gone for this reason.
    pub fn lose(&self, reason: &str) {
        self.spans.lose(reason);
    }

    /// Returns the running calls.
    pub fn running(&self) -> Vec<CallId> {
        self.open().keys().copied().map(CallId).collect()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, CancellationToken>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all calls, now and later, because the worker can no longer be used for this reason. The
    /// first reason counts.
    pub fn cut(&self, reason: &str) {
        self.broken.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| reason.to_owned());
            first
        });
    }
}

impl fmt::Debug for GrpcWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcWorker")
            .field("can", &self.can)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
