//! The open connections of a server, and the choice of the one that makes room for another.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::places::Share;

/// Time in which a client must close an idle connection that is needed for another one.
const LEAVE: Duration = Duration::from_secs(1);

/// The open connections, oldest first. If all are taken, a further one replaces another:
///
/// 1. the oldest of those that have not made a valid request;
/// 2. else the one that has been idle for the longest time;
/// 3. else the oldest of those whose requests have no end of their own;
/// 4. else the oldest of another process, if that has at least two more connections.
///
/// Among the connections of several processes, those of the process that has the most come first.
#[derive(Default)]
pub(super) struct Clients(VecDeque<Client>);

/// One connection.
#[derive(Clone)]
pub(super) struct Client {
    /// The process on a Unix socket. `None` on TCP.
    process: Option<u32>,
    /// Cancelled by a valid request.
    pub(super) known: CancellationToken,
    /// Cancelled by the end of the connection. Cancelling it also ends the connection.
    pub(super) gone: CancellationToken,
    /// Cancelled when the client is asked to leave.
    pub(super) leave: CancellationToken,
    share: Arc<Share>,
}

impl Clients {
    pub(super) fn add(
        &mut self,
        process: Option<u32>,
        share: &Arc<Share>,
        stopping: &CancellationToken,
    ) -> Client {
        let client = Client {
            process,
            known: CancellationToken::new(),
            gone: CancellationToken::new(),
            leave: stopping.child_token(),
            share: Arc::clone(share),
        };
        self.0.retain(|it| !it.gone.is_cancelled());
        self.0.push_back(client.clone());
        client
    }

    /// Ends one connection for one of this process, if there is any that can end.
    pub(super) fn turn_one_away(&mut self, process: Option<u32>) {
        self.0.retain(|it| !it.gone.is_cancelled());
        let mut counts = HashMap::new();
        for client in &self.0 {
            *counts.entry(client.process).or_insert(0) += 1;
        }
        let count = |process| Reverse(counts.get(&process).copied().unwrap_or(0));
        let strangers = self.0.iter().filter(|it| !it.known.is_cancelled());
        // The first one of several that are equal is the oldest.
        if let Some(stranger) = strangers.min_by_key(|it| count(it.process)) {
            return stranger.gone.cancel();
        }
        let idle = self.0.iter();
        let idle: Vec<_> = idle
            .filter_map(|it| Some((it.share.idle_since()?, it)))
            .collect();
        // One that was asked to leave has some time for it.
        if idle.iter().any(|(_, it)| it.leave.is_cancelled()) {
            return;
        }
        let longest = idle
            .iter()
            .min_by_key(|(since, it)| (count(it.process), *since));
        if let Some((_, longest)) = longest {
            return longest.leave.cancel();
        }
        let endless = self.0.iter().filter(|it| it.share.only_waits());
        if let Some(endless) = endless.min_by_key(|it| count(it.process)) {
            return endless.gone.cancel();
        }
        let greedy = self.0.iter().min_by_key(|it| count(it.process));
        // The order is reversed: it has at least two more.
        let more = |it: &&Client| count(it.process).0 > count(process).0 + 1;
        if let Some(greedy) = greedy.filter(more) {
            greedy.gone.cancel();
        }
    }
}

/// Resolves when a client that was asked to leave has stayed without a request.
pub(super) async fn overdue(client: Client, stopping: CancellationToken) {
    client.leave.cancelled().await;
    loop {
        sleep(LEAVE).await;
        if client.share.idle_since().is_some() && !stopping.is_cancelled() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServeOptions;
    use super::super::places::{Place, Places};
    use super::*;

    struct Crowd {
        clients: Clients,
        places: Arc<Places>,
    }

    impl Crowd {
        fn new() -> Self {
            Self {
                clients: Clients::default(),
                places: Places::new(&ServeOptions::new()),
            }
        }

        /// Adds a connection with a request, which may have no end of its own.
        fn add(&mut self, process: u32, endless: bool) -> (Client, Place) {
            let share = Share::new(&self.places);
            let stopping = CancellationToken::new();
            let client = self.clients.add(Some(process), &share, &stopping);
            client.known.cancel();
            (client, share.take(endless).unwrap())
        }
    }

    #[test]
    fn a_request_without_an_end_makes_room_before_one_with_an_end() {
        let mut crowd = Crowd::new();
        let (call, _running) = crowd.add(1, false);
        let (watch, _watching) = crowd.add(1, true);
        crowd.clients.turn_one_away(Some(1));
        assert!(watch.gone.is_cancelled() && !call.gone.is_cancelled());
        // Nothing is left that can end for another one of the same process.
        crowd.clients.turn_one_away(Some(1));
        assert!(!call.gone.is_cancelled());
    }

    #[test]
    fn a_process_with_many_connections_makes_room_for_another() {
        for endless in [true, false] {
            let mut crowd = Crowd::new();
            let (other, _held) = crowd.add(2, endless);
            let mut greedy: Vec<_> = (0..3).map(|_| crowd.add(1, endless)).collect();
            for _ in 0..2 {
                crowd.clients.turn_one_away(Some(3));
                let (oldest, _) = greedy.remove(0);
                assert!(oldest.gone.is_cancelled() && !other.gone.is_cancelled());
            }
        }
    }
}
