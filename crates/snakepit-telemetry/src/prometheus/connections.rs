//! The connections of the endpoint, limited so that no client can exclude a scraper.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Largest number of connections whose request is being answered. Each may hold a page.
const ANSWERED: usize = 16;

/// Largest number of connections whose request has not arrived.
const SILENT: usize = 256;

/// The open connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<Both>>);

/// The connections by state, the oldest first.
#[derive(Debug, Default)]
struct Both {
    next: u64,
    silent: Share,
    answered: Share,
}

type Share = VecDeque<(u64, AbortHandle)>;

impl Connections {
    /// Returns the number for a connection that is about to be served.
    pub(super) fn number(&self) -> u64 {
        let mut both = self.lock();
        both.next += 1;
        both.next
    }

    /// Adds a connection. If too many have sent no request, closes the oldest of them, because a
    /// scraper sends its request at once.
    pub(super) fn add(&self, number: u64, connection: AbortHandle) {
        insert(&mut self.lock().silent, SILENT, (number, connection));
    }

    /// Records that a connection has sent its request. If too many are being answered, closes the
    /// oldest of them, because a scraper reads at once.
    pub(super) fn asks(&self, number: u64) {
        let mut both = self.lock();
        let at = both.silent.iter().position(|(it, _)| *it == number);
        if let Some(connection) = at.and_then(|at| both.silent.remove(at)) {
            insert(&mut both.answered, ANSWERED, connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Both> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert(share: &mut Share, most: usize, connection: (u64, AbortHandle)) {
    share.retain(|(_, it)| !it.is_finished());
    if share.len() >= most
        && let Some((_, oldest)) = share.pop_front()
    {
        oldest.abort();
    }
    share.push_back(connection);
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    async fn ends(task: &AbortHandle) {
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_oldest_of_its_kind_goes_first() {
        let (connections, mut tasks) = (Connections::default(), JoinSet::new());
        let mut open = || {
            let number = connections.number();
            let task = tasks.spawn(std::future::pending::<()>());
            connections.add(number, task.clone());
            (number, task)
        };
        let (asking, good) = open();
        let (_, silent) = open();
        connections.asks(asking);
        let later: Vec<_> = (0..SILENT).map(|_| open()).collect();
        ends(&silent).await;
        assert!(!good.is_finished());
        assert!(later.iter().all(|(_, it)| !it.is_finished()));
        for (number, _) in &later[..ANSWERED] {
            connections.asks(*number);
        }
        ends(&good).await;
        assert!(later.iter().all(|(_, it)| !it.is_finished()));
        // A second request, or a connection that is gone, changes nothing.
        connections.asks(asking);
        connections.asks(later[0].0);
        assert_eq!(connections.lock().answered.len(), ANSWERED);
    }
}
