//! Accepts connections to the socket and has them identified, however many silent ones there are.
//!
//! A connection that has not identified itself occupies a place for a limited time. When all places
//! are taken, the peer with most of them loses its oldest, so that no peer can lock out the others.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::{Table, Trouble, admit};

/// Time in which a connection must identify itself.
const PREAMBLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of connections that identify themselves at the same time, at a cost of one
/// descriptor and a few hundred bytes each. A worker of 256 slots connects 257 times and identifies
/// each connection at once.
const PLACES: usize = 256;

/// Minimum time between two log lines about rejected connections.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Accepts connections for as long as it is polled.
pub(super) async fn accept(listener: UnixListener, table: Arc<Table>) {
    let mut guests = JoinSet::new();
    let (mut places, mut refusals) = (Places::default(), Refusals::default());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    table.trouble(None);
                    // `identify` rejects a peer without credentials.
                    let peer = stream.peer_cred().ok().and_then(|peer| peer.pid()).unwrap_or_default();
                    let handle = guests.spawn(identify(stream, Arc::clone(&table)));
                    if let Some(evicted) = places.take(peer, handle) {
                        evicted.abort();
                        refusals.note("too many connections of its process had not identified themselves");
                    }
                }
                Err(error) => {
                    // Usually out of descriptors, which may be freed elsewhere.
                    table.trouble(Some(Trouble::new(&error)));
                    tracing::warn!(%error, "a worker's connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(ended) = guests.join_next() => {
                if let Ok(Err(reason)) = ended {
                    refusals.note(&reason);
                }
            }
        }
    }
}

async fn identify(stream: UnixStream, table: Arc<Table>) -> Result<(), String> {
    let identified = tokio::time::timeout(PREAMBLE_TIMEOUT, admit(stream, &table)).await;
    identified.unwrap_or_else(|_| Err("it did not identify itself in time".to_owned()))
}

/// The connections that are identifying themselves, oldest first, with their peers' process ids.
#[derive(Debug, Default)]
struct Places(VecDeque<(i32, AbortHandle)>);

impl Places {
    /// Takes a place. If all were taken, returns the connection that loses its place.
    fn take(&mut self, peer: i32, handle: AbortHandle) -> Option<AbortHandle> {
        let mut evicted = None;
        if self.0.len() >= PLACES {
            self.0.retain(|(_, handle)| !handle.is_finished());
        }
        if self.0.len() >= PLACES {
            evicted = self.greediest().and_then(|at| self.0.remove(at));
        }
        self.0.push_back((peer, handle));
        evicted.map(|(_, handle)| handle)
    }

    /// Returns the index of the oldest place of the process with most places; among equals, the
    /// oldest of all.
    fn greediest(&self) -> Option<usize> {
        let mut peers = HashMap::new();
        for (at, (peer, _)) in self.0.iter().enumerate() {
            peers.entry(*peer).or_insert((0_usize, at)).0 += 1;
        }
        let most = peers
            .into_values()
            .max_by_key(|(count, at)| (*count, Reverse(*at)));
        most.map(|(_, oldest)| oldest)
    }
}

/// Rejected connections, logged in at most one line per second.
#[derive(Debug, Default)]
struct Refusals {
    last: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    fn note(&mut self, reason: &str) {
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last < BETWEEN_LINES) {
            self.unsaid += 1;
            return;
        }
        let others = std::mem::take(&mut self.unsaid);
        self.last = Some(now);
        tracing::warn!(target: "snakepit::rendezvous", reason, others, "a connection was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(guests: &mut JoinSet<()>) -> AbortHandle {
        guests.spawn(std::future::pending())
    }

    #[tokio::test]
    async fn the_greediest_peer_loses_its_oldest_place() {
        let (mut guests, mut places) = (JoinSet::new(), Places::default());
        assert!(places.take(1, handle(&mut guests)).is_none());
        let oldest = handle(&mut guests);
        assert!(places.take(2, oldest.clone()).is_none());
        for _ in 2..PLACES {
            assert!(places.take(2, handle(&mut guests)).is_none());
        }
        for peer in [3, 1, 2] {
            let evicted = places.take(peer, handle(&mut guests)).unwrap();
            assert_eq!(evicted.id() == oldest.id(), peer == 3);
            assert_eq!(places.0.len(), PLACES);
        }
        assert_eq!(places.0.iter().filter(|(peer, _)| *peer == 1).count(), 2);
    }

    #[tokio::test]
    async fn equal_peers_lose_the_oldest_of_all() {
        let (mut guests, mut places) = (JoinSet::new(), Places::default());
        let first = handle(&mut guests);
        places.take(0, first.clone());
        for peer in 1..i32::try_from(PLACES).unwrap() {
            places.take(peer, handle(&mut guests));
        }
        assert_eq!(
            places.take(-1, handle(&mut guests)).unwrap().id(),
            first.id()
        );
    }
}
