//! Places of concurrent requests: a limit for the server, and a share of it that each connection
//! has for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use snakepit_core::error::ErrorCode;
use tonic::Status;

use super::super::status::exhausted;
use super::ServeOptions;

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    limit: usize,
    /// Places that a connection may take although all are taken.
    share: usize,
    /// Number of requests that have ended.
    ended: AtomicU64,
}

/// The places of one connection.
#[derive(Debug)]
pub(super) struct Share {
    places: Arc<Places>,
    taken: AtomicUsize,
    /// Number of places whose requests have no end of their own.
    endless: AtomicUsize,
    /// Number of requests of the server that had ended when the last one of this connection did.
    idle_since: AtomicU64,
}

/// A place, taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    share: Arc<Share>,
    endless: bool,
}

impl Places {
    pub(super) fn new(options: &ServeOptions) -> Arc<Self> {
        let share = options.max_requests / options.max_connections.max(1);
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            limit: options.max_requests,
            share: share.max(1),
            ended: AtomicU64::new(0),
        })
    }
}

impl Share {
    /// Creates the share of a new connection.
    pub(super) fn new(places: &Arc<Places>) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::clone(places),
            taken: AtomicUsize::new(0),
            endless: AtomicUsize::new(0),
            idle_since: AtomicU64::new(places.ended.load(Ordering::Relaxed)),
        })
    }

    /// Takes a place for a request. One that is `endless` lasts until the client ends it.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if all are taken and the connection has its share.
    pub(super) fn take(self: &Arc<Self>, endless: bool) -> Result<Place, Status> {
        let own = self.taken.fetch_add(1, Ordering::Relaxed);
        let all = self.places.taken.fetch_add(1, Ordering::Relaxed);
        self.endless
            .fetch_add(usize::from(endless), Ordering::Relaxed);
        let place = Place {
            share: Arc::clone(self),
            endless,
        };
        let Places { limit, share, .. } = *self.places;
        if all >= limit && own >= share {
            let message =
                format!("{all} requests are in progress already, {own} of them on this connection");
            let help = "try again when a request has ended, or raise `max_requests` of the server";
            return Err(exhausted(ErrorCode::TooManyRequests, message, help));
        }
        Ok(place)
    }

    /// Returns `true` if none of its requests has an end of its own.
    pub(super) fn only_waits(&self) -> bool {
        self.endless.load(Ordering::Relaxed) == self.taken.load(Ordering::Relaxed)
    }

    /// Returns when the connection became idle, as a number that grows. `None` while it has a
    /// request.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let idle = self.taken.load(Ordering::Relaxed) == 0;
        idle.then(|| self.idle_since.load(Ordering::Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Share {
            places,
            taken,
            endless,
            idle_since,
        } = &*self.share;
        endless.fetch_sub(usize::from(self.endless), Ordering::Relaxed);
        places.taken.fetch_sub(1, Ordering::Relaxed);
        let ended = places.ended.fetch_add(1, Ordering::Relaxed);
        idle_since.store(ended + 1, Ordering::Relaxed);
        taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_share_when_another_one_has_taken_all() {
        let mut options = ServeOptions::new();
        (options.max_requests, options.max_connections) = (8, 4);
        let places = Places::new(&options);
        let (greedy, other) = (Share::new(&places), Share::new(&places));
        let taken: Vec<_> = (0..8).map(|_| greedy.take(false).unwrap()).collect();
        let status = greedy.take(false).unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let own = [other.take(false).unwrap(), other.take(false).unwrap()];
        assert!(other.take(false).is_err(), "it has its share");
        drop(taken);
        let _third = other.take(false).unwrap();
        drop(own);
        assert_eq!(places.taken.load(Ordering::Relaxed), 1);
        assert!(other.idle_since().is_none() && greedy.idle_since().is_some());
    }
}
