//! The bytes of requests, counted when they are announced: a message begins with its length, for
//! which memory is allocated at once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;

use super::account::{Account, Counted};

/// Bytes before a message: the compression flag and the length.
const PREFIX: usize = 5;

/// Smallest size in bytes of a message that is counted.
const SMALL: usize = 1 << 10;

/// Largest number of concurrent messages of one stream. Earlier messages have been processed.
const AT_A_TIME: usize = super::super::execute::MANY + 1;

/// The messages of one request, counted until it is answered. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages(Arc<Mutex<VecDeque<Counted>>>);

impl Messages {
    fn add(&self, message: Counted) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() >= AT_A_TIME {
            messages.pop_front();
        }
        messages.push_back(message);
    }
}

/// The body of a request.
pub(super) struct Received<B> {
    inner: B,
    account: Arc<Account>,
    messages: Messages,
    prefix: Prefix,
    /// Bytes of the current message that have not arrived yet.
    left: usize,
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
    pub(super) fn new(inner: B, account: Arc<Account>, messages: Messages) -> Self {
        Self {
            inner,
            account,
            messages,
            prefix: Prefix::default(),
            left: 0,
        }
    }

    fn look(&mut self, mut data: &[u8]) -> Result<(), Status> {
        self.account.moved();
        while !data.is_empty() {
            if self.left > 0 {
                let part = data.len().min(self.left);
                data = &data[part..];
                self.left -= part;
                if self.left == 0 {
                    self.account.ends();
                }
            } else if let Some(length) = self.prefix.take(&mut data) {
                if length >= SMALL {
                    self.messages.add(self.account.count(length)?);
                }
                if length > 0 {
                    self.left = length;
                    self.account.begins();
                }
            }
        }
        Ok(())
    }
}

impl<B> Drop for Received<B> {
    fn drop(&mut self) {
        if self.left > 0 {
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
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
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

    fn account(limit: usize) -> Arc<Account> {
        let mut options = ServeOptions::new();
        options.max_received_connection = limit;
        Account::new(&Budget::of_requests(&options))
    }

    fn message(length: usize) -> Vec<u8> {
        let announced = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &announced, &vec![7; length]].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_a_message_unfinished_is_stalled_and_one_that_waits_for_its_answer_is_not()
     {
        use std::time::Duration;
        let mut options = ServeOptions::new();
        options.max_received = 10_000;
        let account = Account::new(&Budget::of_requests(&options));
        let messages = Messages::default();
        let mut body = Received::new((), Arc::clone(&account), messages.clone());
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
        let mut first = Received::new((), Arc::clone(&account), messages.clone());
        first.look(&message(8_000)[..PREFIX]).unwrap();
        let mut second = Received::new((), Arc::clone(&account), Messages::default());
        let error = second.look(&message(8_000)[..PREFIX]).unwrap_err();
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
        drop(first);
        let again = || Received::new((), Arc::clone(&account), Messages::default());
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
            let mut body = Received::new((), account, messages.clone());
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
