//! Accounts of answers that clients have not read. There is one for each connection, and a budget
//! for the host.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{StreamExt as _, iter, unfold};
use http_body_util::{BodyStream, StreamBody};
use snakepit_core::error::ErrorCode;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Bytes, Service, http};
use tonic::server::NamedService;

use super::error::refusal;
use super::incoming::Peer;

/// Bytes that a connection may leave unread. A single answer always fits.
const OWN: usize = 16 << 20;

/// Bytes that all connections together may leave unread.
const ALL: usize = 64 << 20;

/// Bytes that a connection may leave unread although others have used up all.
const SHARE: usize = 1 << 20;

/// Smallest size in bytes of a part of an answer that is counted.
const COUNTED: usize = 1 << 10;

/// Time in which a client must read some of its answers before its next request fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// The unread bytes of all connections.
#[derive(Debug, Default)]
pub(super) struct Budget {
    all: AtomicUsize,
    freed: Notify,
}

/// The unread bytes of one connection.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    own: AtomicUsize,
}

/// Data that counts until it is sent, or dropped with its stream.
struct Unread {
    data: Bytes,
    account: Arc<Account>,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let (bytes, Account { budget, own }) = (self.data.len(), &*self.account);
        own.fetch_sub(bytes, Ordering::Relaxed);
        budget.all.fetch_sub(bytes, Ordering::Relaxed);
        budget.freed.notify_waiters();
    }
}

impl Account {
    pub(super) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            own: AtomicUsize::new(0),
        })
    }

    /// Counts data until it is sent.
    fn count(self: &Arc<Self>, data: Bytes) -> Bytes {
        if data.len() < COUNTED {
            return data;
        }
        self.own.fetch_add(data.len(), Ordering::Relaxed);
        self.budget.all.fetch_add(data.len(), Ordering::Relaxed);
        let account = Arc::clone(self);
        Bytes::from_owner(Unread { data, account })
    }

    /// Returns `true` if these bytes fit: within `1 / part` of the limits.
    fn fits(&self, bytes: usize, part: usize) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        let all = self.budget.all.load(Ordering::Relaxed);
        let together = all + bytes <= ALL / part || own + bytes <= SHARE;
        own == 0 || own + bytes <= OWN / part && together
    }

    /// Waits until there is room for a further part of an answer.
    async fn room(&self) {
        loop {
            // Created before the check, so that bytes sent in between wake it.
            let freed = self.budget.freed.notified();
            if self.fits(0, 2) {
                return;
            }
            freed.await;
        }
    }

    /// Counts the data of an answer from now on. Data that is ready already, usually a whole
    /// answer, is taken and counted at once, because the client may not read it for a long time.
    /// Further parts wait for room.
    ///
    /// # Errors
    /// There is no room for the data.
    fn counted(self: Arc<Self>, body: Body) -> Result<Body, Status> {
        let mut frames = BodyStream::new(body);
        let first = match frames.next().now_or_never() {
            Some(None) => return Ok(Body::empty()),
            Some(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if !self.fits(bytes, 1) {
                    return Err(exhausted());
                }
                Some(Ok(frame.map_data(|data| self.count(data))))
            }
            Some(failed) => failed,
            None => None,
        };
        // The status behind a whole answer needs no room.
        let state = (frames, self, false);
        let rest = unfold(state, |(mut frames, account, further)| async move {
            if further {
                account.room().await;
            }
            let frame = frames.next().await?;
            let frame = frame.map(|frame| frame.map_data(|data| account.count(data)));
            Some((frame, (frames, account, true)))
        });
        Ok(Body::new(StreamBody::new(iter(first).chain(rest))))
    }
}

fn exhausted() -> Status {
    let own = OWN >> 20;
    let message = format!(
        "the answers that this client has not read are too large: at most {own} MiB may wait for \
         it; read them, or end their requests"
    );
    refusal(ErrorCode::TooManyRequests, message)
}

/// The admin service, with an account of the answers of each connection.
#[derive(Clone)]
pub(super) struct Counted<S>(pub(super) S);

impl<S: NamedService> NamedService for Counted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Counted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut inner, peer) = (self.0.clone(), request.extensions().get::<Peer>().cloned());
        Box::pin(async move {
            let Some(peer) = peer else {
                return inner.call(request).await;
            };
            peer.asks();
            if timeout(PATIENCE, peer.unread().room()).await.is_err() {
                return Ok(exhausted().into_http());
            }
            let (parts, body) = inner.call(request).await?.into_parts();
            Ok(match Arc::clone(peer.unread()).counted(body) {
                Ok(body) => http::Response::from_parts(parts, body),
                Err(status) => status.into_http(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::super::incoming::Places;
    use super::*;

    /// A service whose answers have this size.
    #[derive(Clone)]
    struct Large(usize);

    impl Service<http::Request<Body>> for Large {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<http::Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            let body = Full::new(Bytes::from(vec![0; self.0]));
            std::future::ready(Ok(http::Response::new(Body::new(body))))
        }
    }

    /// Makes a request of a client. `None` if it is refused.
    async fn asked(peer: &Peer, size: usize) -> Option<Body> {
        let mut request = http::Request::new(Body::empty());
        request.extensions_mut().insert(peer.clone());
        let answer = Counted(Large(size)).call(request).await.unwrap();
        let refused = answer.headers().contains_key("grpc-status");
        (!refused).then(|| answer.into_body())
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_not_read_are_bounded_in_bytes() {
        let mut places = Places::default();
        let slow = places.take(Some(1));
        let first = asked(&slow, OWN + 1).await.expect("a single one fits");
        assert!(asked(&slow, 1).await.is_none(), "it has not read the first");
        let read = async { first.collect().await.unwrap().to_bytes().len() };
        let (read, further) = tokio::join!(read, asked(&slow, OWN / 2));
        assert_eq!(read, OWN + 1);
        let _kept = further.expect("the first one is read");
        let _second = asked(&slow, OWN / 2).await.expect("there is room for both");
        assert!(asked(&slow, COUNTED).await.is_none());

        let others: Vec<_> = (2..5).map(|pid| places.take(Some(pid))).collect();
        let mut held = Vec::new();
        for peer in &others {
            held.push(asked(peer, OWN).await.expect("it has room of its own"));
        }
        let innocent = places.take(Some(9));
        for _ in 0..2 {
            let body = asked(&innocent, SHARE / 2).await;
            held.push(body.expect("each client has a share"));
        }
        assert!(asked(&innocent, SHARE).await.is_none());
    }
}
