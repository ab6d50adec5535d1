//! The body of an answer. It ends with a status at the deadline, when the server stops, and when
//! its source panics.

use std::future::{Future as _, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;

use super::super::deadline::Deadline;
use super::account::Account;
use super::places::Place;
use super::reading::Reader;
use super::received::Messages;

/// Largest part of an answer in bytes that is sent at once. It distinguishes a client that reads
/// slowly from one that reads nothing.
const PART: usize = 256 << 10;

/// The body of an answer. It holds the place and the counted bytes of its request.
pub(super) struct GuardedBody {
    /// The source. `None` once the body has ended.
    inner: Option<Body>,
    /// A frame that was ready before the client requested it.
    first: Option<Result<Frame<Bytes>, Status>>,
    /// The rest of data that was too large for one part.
    rest: Bytes,
    reader: Option<Arc<Reader>>,
    /// The account of its data. `None` for a rejection.
    account: Option<Arc<Account>>,
    deadline: Option<Pin<Box<Sleep>>>,
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _request: Option<(Place, Messages)>,
}

impl GuardedBody {
    pub(super) fn new(
        body: Body,
        request: Option<(Place, Messages)>,
        deadline: Option<Deadline>,
        stopping: Option<CancellationToken>,
    ) -> Self {
        Self {
            inner: Some(body),
            first: None,
            rest: Bytes::new(),
            reader: Reader::current(),
            account: None,
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline.0))),
            stopping: stopping.map(|token| Box::pin(token.cancelled_owned())),
            _request: request,
        }
    }

    /// Counts the data from now on. Data that is ready already, usually a whole answer, is taken
    /// and counted at once, because the client may not read it for a long time.
    ///
    /// # Errors
    /// There is no room for the data.
    pub(super) async fn counted(mut self, account: Arc<Account>) -> Result<Self, Status> {
        let polled = poll_fn(|context| Poll::Ready(self.next(context))).await;
        if let Poll::Ready(Some(frame)) = polled {
            self.first = Some(match frame.map(Frame::into_data) {
                Ok(Ok(data)) => Ok(Frame::data(account.charge(data)?)),
                Ok(Err(frame)) => Ok(frame),
                Err(status) => Err(status),
            });
        }
        self.account = Some(account);
        Ok(self)
    }

    /// Ends the body with this status instead of the remaining data.
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(
            status
                .add_header(&mut trailers)
                .map(|()| Frame::trailers(trailers)),
        ))
    }

    /// Polls for the next frame, of any size.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        // The deadline is checked first, so that a source that is always ready cannot outrun it.
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return self.end(&Status::deadline_exceeded("the deadline has passed"));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(context)));
        match polled {
            Err(_) => self.end(&Status::internal(
                "the host panicked in the middle of the stream",
            )),
            Ok(Poll::Ready(None)) => {
                self.inner = None;
                Poll::Ready(None)
            }
            Ok(Poll::Ready(Some(Ok(frame)))) => match (frame.into_data(), &self.account) {
                (Ok(data), Some(account)) => match account.charge(data) {
                    Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(status) => self.end(&status),
                },
                (Ok(data), None) => Poll::Ready(Some(Ok(Frame::data(data)))),
                (Err(frame), _) => Poll::Ready(Some(Ok(frame))),
            },
            Ok(Poll::Ready(Some(Err(error)))) => Poll::Ready(Some(Err(error))),
            Ok(Poll::Pending) => {
                if let Some(stopping) = &mut self.stopping
                    && stopping.as_mut().poll(context).is_ready()
                {
                    return self.end(&Status::unavailable("the server is shutting down"));
                }
                Poll::Pending
            }
        }
    }

    /// Takes a part from the front of data.
    fn part(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if data.len() > PART {
            let part = data.split_to(PART);
            self.rest = data;
            return Frame::data(part);
        }
        Frame::data(data)
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(reader) = &this.reader {
            reader.has_room();
        }
        let rest = std::mem::take(&mut this.rest);
        let polled = if rest.is_empty() {
            this.next(context)
        } else {
            Poll::Ready(Some(Ok(Frame::data(rest))))
        };
        let Poll::Ready(Some(Ok(frame))) = polled else {
            return polled;
        };
        if let Some(reader) = &this.reader {
            reader.sent();
        }
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => this.part(data),
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && self.rest.is_empty()
            && self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // The status at the end may replace the remaining data.
        SizeHint::default()
    }
}
