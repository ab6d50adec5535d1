//! Accounts of pending bytes: unread answers or incomplete requests. There is an account for each
//! connection, and a budget for the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use snakepit_core::error::ErrorCode;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::super::status::exhausted;
use super::ServeOptions;

/// Bytes that a connection may have pending when the server's budget is used up, so that other
/// clients continue.
const SHARE: usize = 1 << 20;

/// Smallest size in bytes of a frame that is counted.
const COUNTED: usize = 1 << 10;

/// Time in which a client must read or send some of its pending bytes. After it, its next request
/// fails, and its connection is closed if the server is short of room.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pending bytes of all connections of a server.
#[derive(Debug)]
pub(super) struct Budget {
    /// The name of the bytes, for messages.
    what: &'static str,
    all: AtomicUsize,
    limit: usize,
    /// The limit of one connection.
    own_limit: usize,
}

impl Budget {
    /// Creates the budget of unread answers.
    pub(super) fn of_answers(options: &ServeOptions) -> Arc<Self> {
        let what = "answers that the clients have not taken";
        Self::new(what, options.max_unsent, options.max_unsent_connection)
    }

    /// Creates the budget of requests, from their announcement to their answer.
    pub(super) fn of_requests(options: &ServeOptions) -> Arc<Self> {
        let what = "requests in progress";
        let own = options.max_received_connection;
        Self::new(what, options.max_received, own)
    }

    fn new(what: &'static str, limit: usize, own_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            what,
            all: AtomicUsize::new(0),
            limit,
            own_limit,
        })
    }

    fn is_short(&self) -> bool {
        self.all.load(Ordering::Relaxed) > self.limit / 2
    }
}

/// The pending bytes of one connection.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    own: AtomicUsize,
    /// Number of times that bytes were read or arrived.
    moves: AtomicU64,
    /// Number of incomplete messages.
    incomplete: AtomicUsize,
    freed: Notify,
}

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    bytes: usize,
    account: Arc<Account>,
}

/// Data that counts until it is sent, or dropped with its stream.
struct Unsent {
    data: Bytes,
    _counted: Counted,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let account = &self.account;
        account.own.fetch_sub(self.bytes, Ordering::Relaxed);
        let all = &account.budget.all;
        all.fetch_sub(self.bytes, Ordering::Relaxed);
        account.moved();
        account.freed.notify_waiters();
    }
}

impl Account {
    pub(super) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            own: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            incomplete: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Counts data until it is sent. A single message always fits if nothing else is pending.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if too much is pending already.
    pub(super) fn charge(self: &Arc<Self>, data: Bytes) -> Result<Bytes, Status> {
        if data.len() < COUNTED {
            return Ok(data);
        }
        let counted = self.count(data.len())?;
        Ok(Bytes::from_owner(Unsent {
            data,
            _counted: counted,
        }))
    }

    /// Counts bytes before they arrive. A single message always fits if nothing else is pending.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if too much is pending already.
    pub(super) fn count(self: &Arc<Self>, bytes: usize) -> Result<Counted, Status> {
        self.add(bytes, 0)
    }

    /// Counts `bytes` that a message of `length` counted bytes takes beside them once it is
    /// decoded, after `before` other ones. All together have the limit of a connection.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if the message takes more, or if too much is pending already.
    pub(super) fn count_decoded(
        self: &Arc<Self>,
        bytes: usize,
        length: usize,
        before: usize,
    ) -> Result<Counted, Status> {
        let most = self.budget.own_limit;
        if before + bytes > most.saturating_sub(length).max(SHARE) {
            let message = format!(
                "the request would take more than {most} bytes of memory: it has too many elements"
            );
            let help = "send fewer elements in one request";
            return Err(exhausted(ErrorCode::PayloadTooLarge, message, help));
        }
        self.add(bytes, length + before)
    }

    /// Counts bytes of a message, of which `counted` bytes count already.
    fn add(self: &Arc<Self>, bytes: usize, counted: usize) -> Result<Counted, Status> {
        let budget = &self.budget;
        let own = self.own.fetch_add(bytes, Ordering::Relaxed);
        let all = budget.all.fetch_add(bytes, Ordering::Relaxed);
        let held = Counted {
            bytes,
            account: Arc::clone(self),
        };
        let alone = own > counted && own + bytes > budget.own_limit;
        let together = all > counted && all + bytes > budget.limit && own + bytes > SHARE;
        if alone || together {
            return Err(self.exhausted(if alone { own } else { all }));
        }
        Ok(held)
    }

    /// Records that bytes were read or arrived.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a message has begun to arrive.
    pub(super) fn begins(&self) {
        self.incomplete.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a message is complete, or will not be completed.
    pub(super) fn ends(&self) {
        self.incomplete.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns `true` if a message is incomplete.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Relaxed) > 0
    }

    /// Returns `true` if bytes are pending.
    pub(super) fn is_open(&self) -> bool {
        self.own.load(Ordering::Relaxed) > 0
    }

    /// Waits until there is room for one more answer.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if the client reads nothing for [`PATIENCE`].
    pub(super) async fn room(&self) -> Result<(), Status> {
        loop {
            // Created before the check, so that bytes sent in between wake it.
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

    /// Resolves when the client has read or sent nothing for [`PATIENCE`] although it `could`,
    /// while the server is short of room.
    pub(super) async fn stalled(&self, could: impl Fn(&Self) -> bool) {
        let mut before = None;
        loop {
            sleep(PATIENCE).await;
            let moves = self.moves.load(Ordering::Relaxed);
            let waits = could(self);
            if waits && before == Some(moves) && self.budget.is_short() {
                let what = self.budget.what;
                tracing::warn!(
                    "a connection is closed: it makes no progress, and there is no room for more {what}"
                );
                return;
            }
            before = waits.then_some(moves);
        }
    }

    fn exhausted(&self, bytes: usize) -> Status {
        let Budget {
            what,
            own_limit,
            limit,
            ..
        } = &*self.budget;
        let message = format!(
            "{what} have {bytes} bytes; at most {own_limit} may wait for one connection, and {limit} for all"
        );
        let help = "read the answers, or try again when earlier requests are answered";
        exhausted(ErrorCode::TooManyRequests, message, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: usize, own_limit: usize) -> Arc<Budget> {
        let mut options = ServeOptions::new();
        (options.max_unsent, options.max_unsent_connection) = (limit, own_limit);
        Budget::of_answers(&options)
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
        let patient = timeout(PATIENCE * 10, slow.stalled(Account::is_open)).await;
        assert!(patient.is_err(), "there is room");
        let _more = slow.charge(data(4 << 20)).unwrap();
        timeout(PATIENCE * 3, slow.stalled(Account::is_open))
            .await
            .unwrap();
        assert!(
            timeout(PATIENCE * 3, idle.stalled(Account::is_open))
                .await
                .is_err()
        );
        drop(held);
        assert!(
            timeout(PATIENCE * 3, slow.stalled(Account::is_open))
                .await
                .is_err()
        );
    }
}
