//! Connections to the admin socket: of this user only, and a bounded number. If all places are
//! taken, a further connection replaces the one that is needed least.

use std::cmp::Reverse;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{MissedTickBehavior, Sleep, interval, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::unread::{Account, Budget};

/// Maximum number of connections at a time.
const CONNECTIONS: usize = 64;

/// Longest time until the first request of a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted, for lack of descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Interval between two checks that the socket's file still exists.
const LOOK: Duration = Duration::from_secs(1);

/// An open connection, which has a place until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    peer: Peer,
    replaced: Pin<Box<WaitForCancellationFutureOwned>>,
    patience: Pin<Box<Sleep>>,
}

/// The process behind a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    place: Arc<Place>,
}

/// The place of a connection.
#[derive(Debug)]
struct Place {
    /// The process id, if the system reports it.
    pid: Option<u32>,
    /// The answers that the peer has not read.
    unread: Arc<Account>,
    /// Time of the last bytes on a clock that ticks with each use; 0 until the first request.
    used: AtomicU64,
    /// Cancelled when another connection takes the place.
    replaced: CancellationToken,
}

/// The places of all connections, in the order in which they were taken.
#[derive(Default)]
pub(super) struct Places {
    taken: Vec<Arc<Place>>,
    budget: Arc<Budget>,
}

impl Places {
    /// Takes a place for a process. If there is none, the process that has the most makes room:
    /// with the oldest connection that has made no request, or else with the one that has been
    /// silent for the longest time.
    pub(super) fn take(&mut self, pid: Option<u32>) -> Peer {
        // The other owners are the connection and its requests.
        self.taken.retain(|place| Arc::strong_count(place) > 1);
        if self.taken.len() >= CONNECTIONS {
            let count = |pid| self.taken.iter().filter(|it| it.pid == pid).count();
            let places = self.taken.iter().enumerate();
            let least = places.min_by_key(|(_, place)| {
                (
                    Reverse(count(place.pid)),
                    place.used.load(Ordering::Relaxed),
                )
            });
            if let Some((least, _)) = least {
                self.taken.remove(least).replaced.cancel();
            }
        }
        let place = Arc::new(Place {
            pid,
            unread: Account::new(&self.budget),
            used: AtomicU64::new(0),
            replaced: CancellationToken::new(),
        });
        self.taken.push(Arc::clone(&place));
        Peer { place }
    }
}

impl Peer {
    /// Returns the process id, if the system reports it.
    pub(super) fn pid(&self) -> Option<u32> {
        self.place.pid
    }

    /// Returns the account of the answers that the peer has not read.
    pub(super) fn unread(&self) -> &Arc<Account> {
        &self.place.unread
    }

    /// Records that the peer has made a request.
    pub(super) fn asks(&self) {
        self.place.used();
    }
}

impl Place {
    fn used(&self) {
        static CLOCK: AtomicU64 = AtomicU64::new(1);
        let now = CLOCK.fetch_add(1, Ordering::Relaxed);
        self.used.store(now, Ordering::Relaxed);
    }

    /// Returns `true` if the peer has made a request.
    fn is_known(&self) -> bool {
        self.used.load(Ordering::Relaxed) > 0
    }
}

/// Returns the stream of connections from processes of this user. The stream never fails and never
/// ends. `again` returns a new listener if the socket's file has been removed.
pub(super) fn of(
    listener: UnixListener,
    again: impl FnMut() -> Option<UnixListener> + Send,
) -> impl Stream<Item = io::Result<Connection>> {
    let us = nix::unistd::geteuid().as_raw();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (listener, again, ticks, Places::default());
    unfold(
        state,
        move |(mut listener, mut again, mut ticks, mut places)| async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = ticks.tick() => {
                        if let Some(back) = again() {
                            tracing::info!("the admin socket was removed and has been created again");
                            listener = back;
                        }
                        continue;
                    }
                };
                match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?, stream))) {
                    Ok((peer, stream)) if peer.uid() == us => {
                        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
                        let peer = places.take(pid);
                        let replaced = peer.place.replaced.clone();
                        let connection = Connection {
                            stream,
                            replaced: Box::pin(replaced.cancelled_owned()),
                            patience: Box::pin(sleep(PATIENCE)),
                            peer,
                        };
                        return Some((Ok(connection), (listener, again, ticks, places)));
                    }
                    Ok((peer, _)) => {
                        tracing::warn!(
                            uid = peer.uid(),
                            "a connection of another user was rejected"
                        );
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a connection to the admin socket could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        },
    )
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let known = self.peer.place.is_known();
        if self.replaced.as_mut().poll(context).is_ready()
            || (!known && self.patience.as_mut().poll(context).is_ready())
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if known && buffer.filled().len() > before {
            self.peer.place.used();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_with_the_most_connections_makes_room() {
        let mut places = Places::default();
        let few: Vec<_> = (0..3).map(|_| places.take(Some(1))).collect();
        let mut many: Vec<_> = (0..CONNECTIONS).map(|_| places.take(Some(2))).collect();
        many.iter().for_each(Peer::asks);
        let is_replaced = |peer: &Peer| peer.place.replaced.is_cancelled();
        assert!(
            !few.iter().any(is_replaced),
            "they make no requests, but are few"
        );
        assert_eq!(many.iter().filter(|it| is_replaced(it)).count(), 3);
        many.retain(|it| !is_replaced(it));
        many[0].asks();
        let _third = places.take(Some(3));
        let replaced: Vec<_> = many.iter().map(is_replaced).collect();
        assert!(!replaced[0] && replaced[1], "{replaced:?}");
    }
}
