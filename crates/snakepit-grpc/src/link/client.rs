//! `LinkClient`: one slot connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::{
    CallError, CallId, ChunkStream, Direction, ItemResult, Payload, Request, ToolError, WorkerId,
};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::batches::{Batches, cancelled};
use super::chunks::{BATCHES, BATCHES_IN_WINDOW, Chunks, Window};
use super::ending;
use super::head;
use super::many::push_item;
use super::outbox::Outbox;
use super::pending::{Pending, Streaming, Waiter, died};
use super::reader;
use super::request::HostRequests;
use super::serving::Serving;
use crate::frame::{Header, Kind};
use crate::pb;
use crate::preamble::PROTOCOL_VERSION;

/// Call id of `DESCRIBE`, which is no call.
const NO_CALL: u64 = 0;

/// Bytes of items that go into one `MANY` frame, as far as the payload limit allows.
const MANY_FRAME: usize = 4 << 20;

/// Time for the answers that the worker has written before it stopped reading.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// The host's end of one slot connection, after its preamble. Dropping it closes the connection.
#[derive(Debug)]
pub struct LinkClient {
    outbox: Arc<Outbox>,
    pub(super) pending: Arc<Pending>,
    batches: Batches,
    serving: Arc<Serving>,
    ended: watch::Receiver<Option<Arc<str>>>,
    max_payload: usize,
    /// Many calls are on the connection at once.
    shared: bool,
    /// Calls are answered in the order in which they were sent.
    one_by_one: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

/// Why a worker did not describe itself.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// It answered with an error.
    #[error(transparent)]
    Refused(Box<ToolError>),
    /// Its connection ended.
    #[error("the worker {0}")]
    Ended(String),
}

impl LinkClient {
    /// Takes a connection. Payloads may have up to `max_payload` bytes in each direction. What the
    /// worker asks of the host is refused.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(stream: UnixStream, max_payload: usize) -> Self {
        Self::build(stream, max_payload, None)
    }

    /// As [`LinkClient::new`]; `host` answers what the worker of this name asks while its tools run.
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
            // Answers that are there already are read first.
            let read = watched.wait_for(Option::is_some);
            let _ = tokio::time::timeout(LAST_ANSWERS, read).await;
            // The peer may keep its writing half open: the reader would wait for ever.
            ending::end(
                &sender,
                &failing,
                &unserved,
                &Arc::from("does not read its connection any more"),
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

    /// Lets many calls be on the connection at once; the worker must be of one mind about it. A slow consumer of a stream then holds
    /// that stream back and nothing else.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self.one_by_one.store(false, Ordering::Relaxed);
        self
    }

    /// Asks the worker what it is. It answers once its adapter is loaded.
    ///
    /// # Errors
    /// [`DescribeError`] when the adapter cannot be loaded or the connection ends.
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

    /// Starts one streaming call. The stream ends after its last chunk or its first error. A slow
    /// consumer holds the tool back. Dropping the stream discards what is still to come.
    ///
    /// # Errors
    /// As for [`LinkClient::call`], as far as they show before the request is sent.
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
        self.send(Kind::Stream, request, waiter, &request.args.bytes)?;
        Ok(Box::pin(Chunks::new(receiver, self.ended.clone(), window)))
    }

    /// Calls the tool once for each item, one after the other; one result each, in order. Items
    /// travel together as far as the payload limit allows.
    pub async fn call_many(&self, request: &Request, items: &[Payload]) -> Vec<ItemResult> {
        let frame_limit = self.max_payload.min(MANY_FRAME);
        let mut results = Vec::with_capacity(items.len());
        let batch = self.batches.begin(request.call.0);
        while results.len() < items.len() {
            if batch.is_cancelled() {
                // The rest is not sent: the worker would run it as a call that nobody has cancelled.
                let missing = items.len() - results.len();
                results.extend((0..missing).map(|_| Err(cancelled())));
                break;
            }
            let rest = &items[results.len()..];
            let mut size = 0;
            let fitting = rest.iter().take_while(|item| {
                size += 4 + item.bytes.len();
                size <= frame_limit
            });
            match fitting.count() {
                // The first item is large: it goes alone, as a plain call.
                0 => {
                    let mut single = request.clone();
                    single.args = rest[0].clone();
                    results.push(self.call(&single).await);
                }
                count => results.extend(self.call_some(request, &rest[..count]).await),
            }
            if let Some(Err(CallError::NotBegun)) = results.last() {
                // The rest is not for this worker either.
                results.resize(items.len(), Err(CallError::NotBegun));
            }
        }
        results
    }

    /// One `MANY` frame.
    async fn call_some(&self, request: &Request, items: &[Payload]) -> Vec<ItemResult> {
        let size = items.iter().map(|item| 4 + item.bytes.len()).sum();
        let mut body = Vec::with_capacity(size);
        for item in items {
            push_item(&item.bytes, &mut body);
        }
        let (sender, receiver) = oneshot::channel();
        let expected = items.len();
        let waiter = Waiter::Many {
            sender,
            results: Vec::with_capacity(expected),
            expected,
        };
        let failed = |error: CallError| (0..expected).map(|_| Err(error.clone())).collect();
        match self.send(Kind::Many, request, waiter, &Bytes::from(body)) {
            Err(error) => failed(error),
            Ok(()) => receiver
                .await
                .unwrap_or_else(|_| failed(died(&self.reason(), true))),
        }
    }

    /// Sends nothing more of the batch of this call, if there is one. The worker is told on its control connection.
    pub fn cancel(&self, call: CallId) {
        self.pending.spans.cancel(call.0);
        self.batches.cancel(call.0);
    }

    /// Asks the worker to end. Nothing happens when the connection has ended already.
    pub fn shutdown(&self) {
        let header = Header::new(Kind::Shutdown, NO_CALL);
        // A connection that is gone needs no farewell.
        let _ = self.outbox.send(header, |_| {}, &Bytes::new());
    }

    /// Returns whether the worker has asked to be replaced: an exception that stopped one of its tools may have left an unknown state.
    pub fn wants_renewal(&self) -> bool {
        self.pending.wants_renewal()
    }

    /// The calls that the worker has not answered yet.
    pub fn calls(&self) -> Vec<CallId> {
        let calls = self.pending.calls().into_iter();
        calls.filter(|call| *call != NO_CALL).map(CallId).collect()
    }

    /// Ends a call with [`CallError::NotBegun`]: the worker has [given it back](super::ControlClient::recall), and will not answer it.
    pub fn give_back(&self, call: CallId) {
        if let Some(waiter) = self.pending.take(call.0) {
            self.pending.spans.forget(call.0);
            waiter.give_back();
        }
        self.serving.end(call.0);
    }

    /// Fails everybody who waits for the worker: it will never answer, although its end of the
    /// connection stays open.
    pub fn abandon(&self) {
        self.outbox.give_up();
    }

    /// The process of the worker has ended: ends the connection, whoever still holds its other end.
    /// Answers that the worker had sent by then still count; whoever waits for another one fails.
    pub fn cut(&self) {
        self.outbox.cut();
        // Nobody waits for what the tools have asked for.
        self.serving.end_all();
    }

    /// Resolves with the reason when the connection has ended.
    pub async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.clone();
        let reason = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| self.reason())
    }

    pub(super) fn reason(&self) -> Arc<str> {
        self.ended
            .borrow()
            .clone()
            .unwrap_or_else(|| "closed its connection".into())
    }

    pub(super) fn check_size(&self, size: usize) -> Result<(), CallError> {
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

    pub(super) fn send(
        &self,
        kind: Kind,
        request: &Request,
        waiter: Waiter,
        body: &Bytes,
    ) -> Result<(), CallError> {
        let call = request.call.0;
        // The waiter comes first: the answer may be there before `send` returns.
        self.pending.add((call, request.number.0), waiter)?;
        let span = self.pending.spans.begin(kind, request);
        self.serving.begin(request, span);
        let header = Header::new(kind, call);
        let head = |out: &mut Vec<u8>| head::encode_call(request, span, out);
        if self.outbox.send(header, head, body).is_err() {
            self.pending.take(call);
            self.pending.spans.forget(call);
            self.serving.end(call);
            return Err(died(&self.reason(), false));
        }
        Ok(())
    }
}

impl Drop for LinkClient {
    fn drop(&mut self) {
        // The tasks of requests hold the connection, and would keep it open.
        self.serving.end_all();
        self.pending.spans.lose(&self.reason());
    }
}
