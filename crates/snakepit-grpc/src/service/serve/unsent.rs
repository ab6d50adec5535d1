//! Bytes of answers that clients have not taken: an account for each connection, and one budget for the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::ServeOptions;

/// Bytes that a connection may have unsent when the budget of the server is used up: clients that read go on.
const SHARE: usize = 1 << 20;

/// A frame below this size in bytes is not counted.
const COUNTED: usize = 1 << 10;

/// Time in which a client must take something of what waits for it: before its next request fails, and before its connection is closed
/// where the server is short of room.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all connections of a server have unsent.
#[derive(Debug)]
pub(super) struct Budget {
    all: AtomicUsize,
    limit: usize,
    /// Of one connection.
    own_limit: usize,
}

impl Budget {
    pub(super) fn new(options: &ServeOptions) -> Arc<Self> {
        Arc::new(Self {
            all: AtomicUsize::new(0),
            limit: options.max_unsent,
            own_limit: options.max_unsent_connection,
        })
    }

    fn is_short(&self) -> bool {
        self.all.load(Ordering::Relaxed) > self.limit / 2
    }
}

/// What one connection has unsent.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    own: AtomicUsize,
    /// Times that something was sent.
    sent: AtomicU64,
    freed: Notify,
}

/// Data that counts until it is sent, or dropped with its stream.
struct Unsent {
    data: Bytes,
    account: Arc<Account>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let account = &self.account;
        account.own.fetch_sub(self.data.len(), Ordering::Relaxed);
        let all = &account.budget.all;
        all.fetch_sub(self.data.len(), Ordering::Relaxed);
        account.sent.fetch_add(1, Ordering::Relaxed);
        account.freed.notify_waiters();
    }
}

impl Account {
    pub(super) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            own: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            freed: Notify::new(),
        })
    }

    /// Counts data until it is sent. A single message always fits where nothing else waits.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when too much waits already.
    pub(super) fn charge(self: &Arc<Self>, data: Bytes) -> Result<Bytes, Status> {
        let length = data.len();
        if length < COUNTED {
            return Ok(data);
        }
        let budget = &self.budget;
        let own = self.own.fetch_add(length, Ordering::Relaxed);
        let all = budget.all.fetch_add(length, Ordering::Relaxed);
        let unsent = Unsent {
            data,
            account: Arc::clone(self),
        };
        let alone = own > 0 && own + length > budget.own_limit;
        let together = all > 0 && all + length > budget.limit && own + length > SHARE;
        if alone || together {
            return Err(self.exhausted(if alone { own } else { all }));
        }
        Ok(Bytes::from_owner(unsent))
    }

    /// Waits until there is room for one more answer.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when the client takes nothing for [`PATIENCE`].
    pub(super) async fn room(&self) -> Result<(), Status> {
        loop {
            // Made before the look: what is sent between the two wakes it.
            let freed = self.freed.notified();
            let own = self.own.load(Ordering::Relaxed);
            let short = self.budget.is_short() && own > SHARE;
            if own <= self.budget.own_limit / 2 && !short {
                return Ok(());
            }
            if timeout(PATIENCE, freed).await.is_err() {
                return Err(self.exhausted(own));
            }
        }
    }

    /// Resolves when the client takes nothing of what waits for it while the server is short of room.
    pub(super) async fn stalled(&self) {
        let mut before = None;
        loop {
            sleep(PATIENCE).await;
            let sent = self.sent.load(Ordering::Relaxed);
            let waits = self.own.load(Ordering::Relaxed) > 0;
            if waits && before == Some(sent) && self.budget.is_short() {
                tracing::warn!("a connection that does not take its answers is closed");
                return;
            }
            before = waits.then_some(sent);
        }
    }

    fn exhausted(&self, bytes: usize) -> Status {
        Status::resource_exhausted(format!(
            "answers of {bytes} bytes wait until clients take them; at most {} may for one connection, and {} for all",
            self.budget.own_limit, self.budget.limit
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: usize, own_limit: usize) -> Arc<Budget> {
        let mut options = ServeOptions::new();
        (options.max_unsent, options.max_unsent_connection) = (limit, own_limit);
        Budget::new(&options)
    }

    fn data(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn what_is_not_sent_counts_until_it_is_dropped() {
        let budget = budget(100 << 20, 10 << 20);
        let account = Account::new(&budget);
        let first = account.charge(data(20 << 20)).unwrap();
        let part = first.slice(..5);
        let error = account.charge(data(2048)).unwrap_err();
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
        drop(first);
        assert!(account.charge(data(2048)).is_err(), "a part is still there");
        drop(part);
        let _second = account.charge(data(2048)).unwrap();
        assert_eq!(budget.all.load(Ordering::Relaxed), 2048);
    }

    #[test]
    fn a_client_that_reads_has_its_share_when_others_do_not() {
        let budget = budget(50 << 20, 40 << 20);
        let slow: Vec<_> = (0..5).map(|_| Account::new(&budget)).collect();
        let held: Vec<_> = slow.iter().map(|it| it.charge(data(10 << 20))).collect();
        assert!(held.iter().all(Result::is_ok));
        let reader = Account::new(&budget);
        assert!(reader.charge(data(2 << 20)).is_err());
        assert!(reader.charge(data(1 << 20)).is_ok());
        drop(held);
        assert!(reader.charge(data(2 << 20)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_room_and_not_for_ever() {
        let account = Account::new(&budget(100 << 20, 10 << 20));
        account.room().await.unwrap();
        let held = account.charge(data(8 << 20)).unwrap();
        assert!(account.room().await.is_err());
        let (room, ()) = tokio::join!(account.room(), async { drop(held) });
        room.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_nothing_is_closed_when_there_is_no_room() {
        let budget = budget(10 << 20, 10 << 20);
        let (slow, idle) = (Account::new(&budget), Account::new(&budget));
        let held = slow.charge(data(4 << 20)).unwrap();
        let patient = timeout(PATIENCE * 10, slow.stalled()).await;
        assert!(patient.is_err(), "there is room");
        let _more = slow.charge(data(4 << 20)).unwrap();
        timeout(PATIENCE * 3, slow.stalled()).await.unwrap();
        assert!(timeout(PATIENCE * 3, idle.stalled()).await.is_err());
        drop(held);
        assert!(timeout(PATIENCE * 3, slow.stalled()).await.is_err());
    }
}
