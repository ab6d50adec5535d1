//! The requests of a worker that are being answered on one connection.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::id::{CallId, WorkerId};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::calls::CallMap;
use super::handling::{Handling, HostReply, finish, over_limit, poll_caught, refusal};
use super::mask::Mask;
use super::outbox::Outbox;
use super::parser::ProtocolError;
use super::request::{HostOp, HostRequest, HostRequests};
use super::room::Room;
use super::spans::request_context;
use crate::frame::{FLAG_ERROR, Header, Kind};
use crate::{convert, pb};

/// Largest number of requests of one call that may wait for their answers.
const MAX_OPEN: usize = 64;

/// Bytes by which the arguments of all waiting requests of a connection may exceed the payload
/// limit.
const OPEN_BYTES: usize = 16 << 20;

/// Answers the requests that the calls of one connection make.
#[derive(Debug)]
pub(super) struct Serving {
    host: Option<Host>,
    outbox: Arc<Outbox>,
    room: Room,
    max_payload: usize,
    /// Masks secrets in the texts of the worker. Empty until the worker is known, and if they stay
    /// as they are.
    mask: OnceLock<Arc<dyn Mask>>,
    state: Mutex<ServedCalls>,
}

#[derive(Debug, Default)]
struct ServedCalls {
    running: CallMap<Running>,
    /// The calls of the waiting requests, by the requests' numbers.
    owners: HashMap<u64, u64>,
    /// Total size in bytes of the arguments of the waiting requests.
    open_bytes: usize,
}

/// The handler of the requests.
#[derive(Clone, Debug)]
struct Host {
    handler: Arc<dyn HostRequests>,
    worker: WorkerId,
}

/// A running call and its requests.
#[derive(Debug)]
struct Running {
    /// The request without its arguments.
    caller: Arc<Request>,
    open: Vec<Open>,
    /// The tasks of the requests. Dropping the set aborts them.
    tasks: Option<JoinSet<()>>,
    /// `Some` once the call has made a request.
    ending: Option<Arc<Ending>>,
}

/// A request that was not answered at once.
#[derive(Debug)]
struct Open {
    number: u64,
    bytes: usize,
    cancel: Option<oneshot::Sender<()>>,
}

/// Notifies the handler of the end of a call when the last of its requests is gone.
#[derive(Debug)]
struct Ending {
    host: Host,
    call: CallId,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (host, call) = (&self.host, self.call);
        // A handler that panics here must not end the connection.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            host.handler.call_ended(&host.worker, call);
        }));
    }
}

impl Serving {
    pub(super) fn new(
        host: Option<(WorkerId, Arc<dyn HostRequests>)>,
        outbox: Arc<Outbox>,
        max_payload: usize,
    ) -> Self {
        Self {
            host: host.map(|(worker, handler)| Host { handler, worker }),
            room: Room::new(Arc::clone(&outbox), max_payload),
            outbox,
            max_payload,
            mask: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    /// Sets the mask of the worker's secrets, which its requests carry.
    pub(super) fn mask(&self, mask: &Arc<dyn Mask>) {
        self.mask.get_or_init(|| Arc::clone(mask));
    }

    /// Registers a call that is about to be sent. Does nothing if there is no handler. Its trace is
    /// the worker's span, in which the tool makes its requests.
    pub(super) fn begin(&self, caller: &Arc<Request>) {
        if self.host.is_none() {
            return;
        }
        let running = Running {
            caller: Arc::clone(caller),
            open: Vec::new(),
            tasks: None,
            ending: None,
        };
        self.lock().running.insert(caller.call.0, running);
    }

    /// Ends a call. Its requests are dropped without an answer.
    pub(super) fn end(&self, call: u64) {
        if self.host.is_none() {
            return;
        }
        let ended = {
            let mut state = self.lock();
            let ended = state.running.remove(&call);
            for open in ended.iter().flat_map(|running| &running.open) {
                state.owners.remove(&open.number);
                state.open_bytes -= open.bytes;
            }
            ended
        };
        // Dropped outside the lock, because the handler's code may run here.
        drop(ended);
    }

    /// Ends all calls, because the connection has ended.
    pub(super) fn end_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// Answers a `HOST_CALL`. An error ends the connection.
    pub(super) fn request(
        self: &Arc<Self>,
        number: u64,
        head: &Bytes,
        body: Bytes,
    ) -> Result<(), ProtocolError> {
        if number == 0 {
            return Err(ProtocolError::Malformed(Kind::HostCall));
        }
        let message = pb::HostRequest::decode(head.clone())
            .map_err(|_| ProtocolError::Malformed(Kind::HostCall))?;
        if let Err(error) = self.start(number, message, body) {
            self.answer(number, Err(error));
        }
        Ok(())
    }

    /// Rejects a `HOST_CALL` whose body exceeded the limit and was skipped.
    pub(super) fn too_large(&self, header: &Header) {
        let error = over_limit("request", header.body_len, self.max_payload);
        self.answer(header.call, Err(error));
    }

    /// Cancels a request after a `HOST_CANCEL`. Does nothing if the request is answered already.
    pub(super) fn cancel(&self, number: u64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let running = state.owners.get(&number);
        let running = running.and_then(|call| state.running.get_mut(call));
        if let Some(cancel) = running
            .and_then(|running| running.open.iter_mut().find(|open| open.number == number))
            .and_then(|open| open.cancel.take())
        {
            // The request may be answered at this moment.
            let _ = cancel.send(());
        }
    }

    /// Waits until there is room for one more answer.
    ///
    /// # Errors
    /// The worker does not read its answers.
    pub(super) async fn wait_for_room(&self) -> Result<(), ProtocolError> {
        self.room.wait(|| self.lock().running.len()).await
    }

    fn start(
        self: &Arc<Self>,
        number: u64,
        message: pb::HostRequest,
        body: Bytes,
    ) -> Result<(), Box<ToolError>> {
        let Some(host) = &self.host else {
            return Err(refusal(
                ErrorCode::InvalidRequest,
                "this host does not answer requests of workers",
                "set a handler of host requests on the profile",
            ));
        };
        let op = HostOp::from_number(message.op).ok_or_else(|| {
            refusal(
                ErrorCode::InvalidRequest,
                format!("the host does not know operation {}", message.op),
                "update host and worker together",
            )
        })?;
        let bytes = body.len();
        let (mut caller, ending) = self.admit(host, number, message.call_id, bytes)?;
        caller.trace = request_context(caller.trace, &message.trace);
        let own = (message.timeout_us > 0)
            .then(|| Instant::now().checked_add(Duration::from_micros(message.timeout_us)))
            .flatten();
        let deadline = match (caller.deadline, own) {
            (Some(call), Some(own)) => Some(call.min(own)),
            (call, own) => call.or(own),
        };
        let call = caller.call.0;
        let request = HostRequest {
            worker: host.worker.clone(),
            caller,
            deadline,
            op,
            name: message.name,
            body,
            max_answer: self.max_payload,
            mask: self.mask.get().cloned(),
        };
        let handler = Arc::clone(&host.handler);
        let mut handling: Handling = Box::pin(async move { handler.handle(request).await });
        // Most answers are ready at once, and a task would cost more than the answer itself.
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(answer) = poll_caught(handling.as_mut(), &mut context) {
            drop(handling);
            drop(ending);
            self.answer(number, answer);
            return Ok(());
        }
        self.spawn(call, (number, bytes), deadline, handling, ending);
        Ok(())
    }

    /// Checks that a request may be made. Returns its caller, and the guard to hold until the
    /// request is over.
    fn admit(
        &self,
        host: &Host,
        number: u64,
        call: u64,
        bytes: usize,
    ) -> Result<(Request, Arc<Ending>), Box<ToolError>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.owners.contains_key(&number) {
            return Err(refusal(
                ErrorCode::InvalidRequest,
                format!("request {number} waits for its answer already"),
                "update host and worker together",
            ));
        }
        let running = state.running.get_mut(&call).ok_or_else(|| {
            refusal(
                ErrorCode::NotRunning,
                format!("call {call} is not running on this connection"),
                "use the context only while its call runs",
            )
        })?;
        if running.open.len() >= MAX_OPEN {
            return Err(refusal(
                ErrorCode::TooManyRequests,
                format!("{MAX_OPEN} requests of this call wait for the host already"),
                "wait for some of them first",
            ));
        }
        if state.open_bytes + bytes > self.max_payload.saturating_add(OPEN_BYTES) {
            let open = state.open_bytes;
            return Err(refusal(
                ErrorCode::TooManyRequests,
                format!("requests of {open} bytes wait for the host on this connection already"),
                "wait for some of them first",
            ));
        }
        let ending = running.ending.get_or_insert_with(|| {
            Arc::new(Ending {
                host: host.clone(),
                call: CallId(call),
            })
        });
        Ok((Request::clone(&running.caller), Arc::clone(ending)))
    }

    /// Continues a request in a task of its own.
    fn spawn(
        self: &Arc<Self>,
        call: u64,
        (number, bytes): (u64, usize),
        deadline: Option<Instant>,
        handling: Handling,
        ending: Arc<Ending>,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(entry) = state.running.get_mut(&call) else {
            // The connection has ended since the request began.
            return;
        };
        let (cancel, cancelled) = oneshot::channel();
        let serving = Arc::clone(self);
        let tasks = entry.tasks.get_or_insert_default();
        // Removes the finished tasks.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let answer = finish(handling, cancelled, deadline).await;
            let answer = serving
                .room
                .hold(answer, || serving.lock().running.len())
                .await;
            drop(ending);
            if serving.close(call, number) {
                serving.answer(number, answer);
            }
        });
        entry.open.push(Open {
            number,
            bytes,
            cancel: Some(cancel),
        });
        state.owners.insert(number, call);
        state.open_bytes += bytes;
    }

    /// Removes a request. Returns `false` if its call is over.
    fn close(&self, call: u64, number: u64) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        let open = state
            .running
            .get_mut(&call)
            .map(|running| &mut running.open);
        open.is_some_and(|open| {
            let at = open.iter().position(|open| open.number == number);
            let closed = at.map(|at| open.swap_remove(at));
            if let Some(closed) = &closed {
                state.owners.remove(&closed.number);
                state.open_bytes -= closed.bytes;
            }
            closed.is_some()
        })
    }

    fn answer(&self, number: u64, answer: HostReply) {
        let answer = answer.and_then(|body| {
            if body.len() > self.max_payload {
                Err(over_limit("answer", body.len() as u64, self.max_payload))
            } else {
                Ok(body)
            }
        });
        let mut header = Header::new(Kind::HostReply, number);
        // An error means that the connection is gone and needs no answer.
        let _ = match answer {
            Ok(body) => self.outbox.send(header, |_| {}, &body),
            Err(error) => {
                header.flags = FLAG_ERROR;
                let head = convert::tool_error_head(*error);
                self.outbox
                    .send(header, |out| out.extend_from_slice(&head), &Bytes::new())
            }
        };
    }

    fn lock(&self) -> MutexGuard<'_, ServedCalls> {
        self.state
            .lock()
            .expect("nothing panics while it is locked")
    }
}
