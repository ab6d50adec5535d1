//! The bytes of requests. They are counted when they are announced, because a message begins with
//! its length, for which memory is allocated at once. They are examined while they arrive, because
//! a message may become a hundred times as large when it is decoded.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::super::status::{from_tool, invalid};
use super::account::{Account, Counted};
use super::shape::{Shape, Walk};

/// Bytes before a message: the compression flag and the length.
const PREFIX: usize = 5;

/// Smallest size in bytes of a message that is counted, and of what it takes beside its bytes.
const SMALL: usize = 1 << 10;

/// Largest number of concurrent messages of one stream. Earlier messages have been processed.
const AT_A_TIME: usize = super::super::execute::MANY + 1;

/// Methods whose requests are streams, which a client may leave without a message.
pub(super) const STREAMS: [&str; 2] = [
    "/snakepit.bridge.BridgeService/ExecuteToolMany",
    "/snakepit.bridge.BridgeService/StreamTelemetry",
];

/// The messages of one request, counted until it is answered. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages(Arc<Mutex<VecDeque<Vec<Counted>>>>);

impl Messages {
    /// Adds bytes of a new message, or of the last one.
    fn add(&self, counted: Counted, new: bool) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match messages.back_mut() {
            Some(last) if !new => last.push(counted),
            _ => {
                if messages.len() >= AT_A_TIME {
                    messages.pop_front();
                }
                messages.push_back(vec![counted]);
            }
        }
    }
}

/// The expected form of the requests of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    shape: &'static Shape,
    /// A client may leave the request open between two messages.
    is_stream: bool,
    /// Longest time without progress of an incomplete request.
    patience: Duration,
}

impl Expected {
    /// Returns what is expected of the requests of a method.
    pub(super) fn of(method: &str, patience: Duration) -> Self {
        Self {
            shape: Shape::of_requests(method),
            is_stream: STREAMS.contains(&method),
            patience,
        }
    }
}

/// The body of a request.
pub(super) struct Received<B> {
    inner: B,
    account: Arc<Account>,
    messages: Messages,
    expected: Expected,
    prefix: Prefix,
    /// The current message. `None` between two messages.
    message: Option<Arriving>,
    /// Runs while the rest of the request is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

/// A message that has begun to arrive.
struct Arriving {
    length: usize,
    /// Bytes that have not arrived yet.
    left: usize,
    walk: Walk,
    /// Bytes that are counted beside the message's own ones.
    decoded: usize,
    /// True once it is among the counted messages.
    counted: bool,
}

/// The bytes of a message's prefix that have arrived.
#[derive(Default)]
struct Prefix {
    bytes: [u8; PREFIX],
    length: usize,
}

impl Prefix {
    /// Takes bytes from the front. Returns the length of the message once the prefix is complete.
    fn take(&mut self, bytes: &mut &[u8]) -> Option<usize> {
        let count = bytes.len().min(PREFIX - self.length);
        let (own, rest) = bytes.split_at(count);
        self.bytes[self.length..self.length + count].copy_from_slice(own);
        self.length += count;
        *bytes = rest;
        if self.length < PREFIX {
            return None;
        }
        self.length = 0;
        let [_, length @ ..] = self.bytes;
        Some(u32::from_be_bytes(length) as usize)
    }
}

impl<B> Received<B> {
    /// Wraps a body whose messages are counted.
    pub(super) fn new(
        inner: B,
        account: Arc<Account>,
        messages: Messages,
        expected: Expected,
    ) -> Self {
        Self {
            inner,
            account,
            messages,
            expected,
            prefix: Prefix::default(),
            message: None,
            silence: None,
        }
    }

    fn look(&mut self, mut data: &[u8]) -> Result<(), Status> {
        self.account.moved();
        self.silence = None;
        while !data.is_empty() {
            if let Some(message) = &mut self.message {
                let (part, rest) = data.split_at(data.len().min(message.left));
                data = rest;
                message.left -= part.len();
                message.look(part, &self.account, &self.messages)?;
                if message.left == 0 {
                    self.message = None;
                    self.account.ends();
                }
            } else if let Some(length) = self.prefix.take(&mut data)
                && length > 0
            {
                let mut message = Arriving {
                    length,
                    left: length,
                    walk: Walk::new(self.expected.shape, length),
                    decoded: 0,
                    counted: false,
                };
                if length >= SMALL {
                    message.add(self.account.count(length)?, &self.messages);
                }
                self.message = Some(message);
                self.account.begins();
            }
        }
        Ok(())
    }

    /// Fails if the rest of the request has not come for too long.
    fn waits(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if self.expected.is_stream && self.message.is_none() && self.prefix.length == 0 {
            return Poll::Pending;
        }
        let patience = self.expected.patience;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        silence.as_mut().poll(context).map(|()| {
            let seconds = patience.as_secs_f64();
            Status::deadline_exceeded(format!(
                "the request is incomplete, and nothing of it has arrived for {seconds} s"
            ))
        })
    }
}

impl Arriving {
    /// Counts what a part of the message takes when it is decoded.
    fn look(
        &mut self,
        part: &[u8],
        account: &Arc<Account>,
        messages: &Messages,
    ) -> Result<(), Status> {
        let walked = self.walk.walk(part);
        let more = self.walk.cost() - self.decoded;
        if more >= SMALL {
            let counted = account.count_decoded(more, self.length, self.decoded)?;
            self.decoded += more;
            self.add(counted, messages);
        }
        walked.map_err(|_| from_tool(invalid("the request is malformed")))
    }

    fn add(&mut self, counted: Counted, messages: &Messages) {
        messages.add(counted, !self.counted);
        self.counted = true;
    }
}

impl<B> Drop for Received<B> {
    fn drop(&mut self) {
        if self.message.is_some() {
            self.account.ends();
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin>
    HttpBody for Received<B>
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending => return this.waits(context).map(|status| Some(Err(status.into()))),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
        };
        let counted = frame.data_ref().map_or(Ok(()), |data| this.look(data));
        Poll::Ready(Some(match counted {
            Ok(()) => Ok(frame),
            Err(status) => Err(status.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ServeOptions;
    use super::super::account::Budget;
    use super::*;

    fn expected() -> Expected {
        Expected::of("", Duration::from_secs(60))
    }

    fn account(limit: usize) -> Arc<Account> {
        let mut options = ServeOptions::new();
        options.max_received_connection = limit;
        Account::new(&Budget::of_requests(&options))
    }

    fn message(length: usize) -> Vec<u8> {
        let announced = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &announced, &vec![0x08; length]].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_a_message_unfinished_is_stalled_and_one_that_waits_for_its_answer_is_not()
     {
        let mut options = ServeOptions::new();
        options.max_received = 10_000;
        let account = Account::new(&Budget::of_requests(&options));
        let messages = Messages::default();
        let mut body = Received::new((), Arc::clone(&account), messages.clone(), expected());
        let bytes = message(8_000);
        body.look(&bytes[..4_000]).unwrap();
        let long = Duration::from_secs(100);
        let stalled = || tokio::time::timeout(long, account.stalled(Account::is_incomplete));
        stalled().await.unwrap();
        body.look(&bytes[4_000..]).unwrap();
        assert!(stalled().await.is_err());
        drop(body);
        assert!(!account.is_incomplete() && account.is_open());
    }

    #[test]
    fn a_message_counts_when_it_is_announced_and_until_it_is_answered() {
        let (account, messages) = (account(10_000), Messages::default());
        let mut first = Received::new((), Arc::clone(&account), messages.clone(), expected());
        first.look(&message(8_000)[..PREFIX]).unwrap();
        let mut second = Received::new((), Arc::clone(&account), Messages::default(), expected());
        let error = second.look(&message(8_000)[..PREFIX]).unwrap_err();
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
        drop(first);
        let again = || Received::new((), Arc::clone(&account), Messages::default(), expected());
        assert!(again().look(&message(8_000)).is_err(), "it is not answered");
        drop(messages);
        again().look(&message(8_000)).unwrap();
        // A message that alone exceeds the whole limit is rejected elsewhere, or fits.
        again().look(&message(20_000)).unwrap();
    }

    proptest! {
        #[test]
        fn messages_are_found_however_they_are_cut(
            lengths in prop::collection::vec(0..3000_usize, 0..8), cuts in prop::collection::vec(1..700_usize, 1..5),
        ) {
            let (account, messages) = (account(1 << 20), Messages::default());
            let mut body = Received::new((), account, messages.clone(), expected());
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                body.look(now).unwrap();
                rest = later;
            }
            let counted = lengths.iter().filter(|length| **length >= SMALL).count();
            prop_assert_eq!(messages.0.lock().unwrap().len(), counted);
        }
    }
}
