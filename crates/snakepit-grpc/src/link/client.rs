//! The host's end of one slot connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::call::Request;
use snakepit_core::error::{Direction, ToolError};
use snakepit_core::id::{CallId, WorkerId};
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, ChunkStream};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::batches::Batches;
use super::chunks::{BATCHES, BATCHES_IN_WINDOW, Chunks, Window};
use super::ending::{self, LinkEnd};
use super::outbox::Outbox;
use super::pending::{Pending, Streaming, Waiter, died};
use super::request::HostRequests;
use super::serving::Serving;
use super::{head, reader};
use crate::frame::{Header, Kind};
use crate::pb;
use crate::preamble::PROTOCOL_VERSION;

/// Call id of frames that belong to no call, such as `DESCRIBE`.
const NO_CALL: u64 = 0;

/// Time for the answers that the worker has written before it stopped reading.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// The host's end of one slot connection, after its preamble. Dropping it closes the connection.
#[derive(Debug)]
pub struct LinkClient {
    outbox: Arc<Outbox>,
    pub(super) pending: Arc<Pending>,
    pub(super) batches: Batches,
    pub(super) serving: Arc<Serving>,
    ended: watch::Receiver<Option<LinkEnd>>,
    pub(super) max_payload: usize,
    /// `true` if calls are multiplexed on the connection.
    shared: bool,
    /// `true` if calls are answered in the order in which they were sent.
    one_by_one: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

/// A call that was sent. Dropping it discards the answer.
#[derive(Debug)]
#[must_use = "the answer comes here"]
pub struct PendingReply(oneshot::Receiver<Result<Bytes, CallError>>);

/// The reason a worker did not describe itself.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The worker answered with an error.
    #[error(transparent)]
    Refused(Box<ToolError>),
    /// The worker's connection ended.
    #[error("the worker {0}")]
    Ended(String),
}

impl LinkClient {
    /// Takes over a connection. Payloads may have up to `max_payload` bytes in each direction.
    /// Requests of the worker to the host are rejected.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(stream: UnixStream, max_payload: usize) -> Self {
        Self::build(stream, max_payload, None)
    }

    /// Works like [`LinkClient::new`]; `host` answers the requests that tools of `worker` make
    /// while they run.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_host(
        stream: UnixStream,
        max_payload: usize,
        worker: WorkerId,
        host: Arc<dyn HostRequests>,
    ) -> Self {
        Self::build(stream, max_payload, Some((worker, host)))
    }

    fn build(
        stream: UnixStream,
        max_payload: usize,
        host: Option<(WorkerId, Arc<dyn HostRequests>)>,
    ) -> Self {
        let (read, write) = stream.into_split();
        let outbox = Arc::new(Outbox::new(write));
        let pending = Arc::new(Pending::default());
        let serving = Arc::new(Serving::new(host, Arc::clone(&outbox), max_payload));
        let (sender, ended) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let one_by_one = Arc::new(AtomicBool::new(true));
        tasks.spawn(reader::run(
            read,
            Arc::clone(&pending),
            Arc::clone(&serving),
            sender.clone(),
            max_payload,
            Arc::clone(&one_by_one),
        ));
        let (flusher, failing) = (Arc::clone(&outbox), Arc::clone(&pending));
        let unserved = Arc::clone(&serving);
        let mut watched = ended.clone();
        tasks.spawn(async move {
            flusher.flush_forever().await;
            // Answers that have arrived already are read first.
            let read = watched.wait_for(Option::is_some);
            let _ = tokio::time::timeout(LAST_ANSWERS, read).await;
            // The peer may keep its writing half open, so the reader could wait forever.
            ending::end(
                &sender,
                &failing,
                &unserved,
                &LinkEnd::lost("does not read its connection any more"),
                false,
            );
        });
        Self {
            outbox,
            pending,
            batches: Batches::default(),
            serving,
            ended,
            max_payload,
            shared: false,
            one_by_one,
            _tasks: tasks,
        }
    }

    /// Multiplexes concurrent calls over this connection; the worker must be started in the same
    /// mode. A slow consumer of a stream then delays that stream only.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self.one_by_one.store(false, Ordering::Relaxed);
        self
    }

    /// Requests the worker's description. The worker answers once its adapter is loaded.
    ///
    /// # Errors
    /// [`DescribeError`] if the adapter cannot be loaded or the connection ends.
    pub async fn describe(&self) -> Result<pb::DescribeResponse, DescribeError> {
        let (sender, receiver) = oneshot::channel();
        let message = pb::DescribeRequest {
            protocol_version: PROTOCOL_VERSION,
        };
        self.pending
            .add((NO_CALL, NO_CALL), Waiter::Describe(sender))
            .map_err(|_| self.describe_ended())?;
        let header = Header::new(Kind::Describe, NO_CALL);
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&message.encode_to_vec());
        if self.outbox.send(header, encode, &Bytes::new()).is_err() {
            self.pending.take(NO_CALL);
            return Err(self.describe_ended());
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(self.describe_ended()))
    }

    fn describe_ended(&self) -> DescribeError {
        DescribeError::Ended(self.reason().to_string())
    }

    /// Makes one call and waits for the answer or the end of the connection.
    ///
    /// # Errors
    /// The error that the worker answered with; `TooLarge` before the request is sent, or for a
    /// reply over the limit; `Died` if the connection has ended, ambiguous if the request had been
    /// sent.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connection usable; the reply is discarded when it arrives.
    pub async fn call(&self, request: &Request) -> Result<Payload, CallError> {
        self.answer(self.begin(request.clone())?).await
    }

    /// Sends one call. [`answer`](Self::answer) waits for its answer.
    ///
    /// # Errors
    /// The errors of [`call`](Self::call) that are known before the request is sent.
    pub fn begin(&self, mut request: Request) -> Result<PendingReply, CallError> {
        let args = std::mem::take(&mut request.args.bytes);
        self.check_size(args.len())?;
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter::Call { sender, number: 0 };
        self.send(Kind::Call, request, waiter, &args)?;
        Ok(PendingReply(receiver))
    }

    /// Waits for the answer to a call that was sent on this connection.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As for [`call`](Self::call).
    pub async fn answer(&self, call: PendingReply) -> Result<Payload, CallError> {
        match call.0.await {
            Ok(result) => result.map(Payload::from_msgpack),
            Err(_) => Err(died(&self.reason(), true)),
        }
    }

    /// Starts one streaming call. The stream ends after its last chunk or its first error. A slow
    /// consumer slows the tool down. Dropping the stream discards the remaining chunks.
    ///
    /// # Errors
    /// The errors of [`LinkClient::call`] that are known before the request is sent.
    pub fn stream(&self, request: &Request) -> Result<ChunkStream, CallError> {
        self.check_size(request.args.bytes.len())?;
        let batches = if self.shared {
            BATCHES_IN_WINDOW
        } else {
            BATCHES
        };
        let (sender, receiver) = mpsc::channel(batches);
        let window = self
            .shared
            .then(|| Window::new(Arc::clone(&self.outbox), request.call.0));
        let waiter = Waiter::Stream(Streaming {
            sender,
            failed: None,
            credit: window.as_ref().map(Window::credit),
        });
        self.send(
            Kind::Stream,
            without_args(request),
            waiter,
            &request.args.bytes,
        )?;
        Ok(Box::pin(Chunks::new(receiver, self.ended.clone(), window)))
    }

    /// Stops sending further items if this call is a batch. The worker itself is notified on its
    /// control connection.
    pub fn cancel(&self, call: CallId) {
        self.pending.spans.cancel(call.0);
        self.batches.cancel(call.0);
    }

    /// Requests the worker to end. Does nothing if the connection has ended already.
    pub fn shutdown(&self) {
        let header = Header::new(Kind::Shutdown, NO_CALL);
        // An error means that the connection is gone and needs no shutdown.
        let _ = self.outbox.send(header, |_| {}, &Bytes::new());
    }

    /// Returns `true` if the worker has requested its replacement: an exception that stopped one of
    /// its tools may have left an unknown state.
    pub fn wants_renewal(&self) -> bool {
        self.pending.wants_renewal()
    }

    /// Returns the calls that the worker has not answered yet.
    pub fn calls(&self) -> Vec<CallId> {
        let calls = self.pending.calls().into_iter();
        calls.filter(|call| *call != NO_CALL).map(CallId).collect()
    }

    /// Ends a call with [`CallError::NotBegun`]: the worker has [given it
    /// back](super::ControlClient::recall) and will not answer it.
    pub fn end_recalled(&self, call: CallId) {
        if let Some(waiter) = self.pending.take(call.0) {
            self.pending.spans.forget(call.0);
            waiter.end_recalled();
        }
        self.serving.end(call.0);
    }

    /// Fails all waiting calls: the worker will never answer, although its end of the connection is
    /// still open.
    pub fn abandon(&self) {
        self.outbox.give_up();
    }

    /// Ends the connection because the worker's process has ended, even if another process holds
    /// the other end. Answers that the worker sent before still count; all other waiting calls
    /// fail.
    pub fn cut(&self) {
        self.outbox.cut();
        // The requests of the tools are dropped, because no tool waits for an answer any more.
        self.serving.end_all();
    }

    /// Waits for the end of the connection and returns the reason.
    pub async fn ended(&self) -> LinkEnd {
        let end = ending::ended(self.ended.clone()).await;
        end.unwrap_or_else(|| LinkEnd::Lost(self.reason()))
    }

    pub(super) fn reason(&self) -> Arc<str> {
        let end = self.ended.borrow();
        let reason = end.as_ref().map(|end| Arc::clone(end.reason()));
        reason.unwrap_or_else(|| "closed its connection".into())
    }

    fn check_size(&self, size: usize) -> Result<(), CallError> {
        if size <= self.max_payload {
            return Ok(());
        }
        let (size, limit) = (size as u64, self.max_payload as u64);
        Err(CallError::TooLarge {
            direction: Direction::Request,
            size,
            limit,
        })
    }

    /// Sends a request, whose arguments are the body.
    pub(super) fn send(
        &self,
        kind: Kind,
        mut request: Request,
        waiter: Waiter,
        body: &Bytes,
    ) -> Result<(), CallError> {
        let call = request.call.0;
        // The waiter is added first, because the answer may arrive before `send` returns.
        self.pending.add((call, request.number.0), waiter)?;
        request.trace = self.pending.spans.begin(kind, &request);
        let request = Arc::new(request);
        self.serving.begin(&request);
        let header = Header::new(kind, call);
        let head = |out: &mut Vec<u8>| head::encode_call(&request, out);
        if self.outbox.send(header, head, body).is_err() {
            self.pending.take(call);
            self.pending.spans.forget(call);
            self.serving.end(call);
            return Err(died(&self.reason(), false));
        }
        Ok(())
    }
}

/// The request alone, since its arguments go as a body.
pub(super) fn without_args(request: &Request) -> Request {
    Request {
        args: Payload::default(),
        ..request.clone()
    }
}

impl Drop for LinkClient {
    fn drop(&mut self) {
        // The tasks of requests hold the connection and would keep it open.
        self.serving.end_all();
        self.pending.spans.lose(&self.reason());
    }
}
