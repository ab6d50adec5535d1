//! The one thread that writes to the database of a run.
//!
//! All changes that arrive while a transaction is being written go into the next one together
//! (group commit), so a burst of workers costs a few syncs instead of one each.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::error::Error;
use crate::record::Record;
use crate::store::{Change, Store, StoreStats};

/// Largest number of changes in one transaction.
const MAX_GROUP: usize = 4096;

/// Interval at which the thread checks that the files of the run are in place.
const LOOK: Duration = Duration::from_secs(1);

/// A function that restores the files of the run.
pub(crate) type Mend = Box<dyn FnMut(&mut Store) -> Result<(), Error> + Send>;

/// The channel to the waiting caller, if there is one.
type Reply = Option<Sender<Result<(), Error>>>;

enum Message {
    Change(Change, Reply),
    Records(Sender<Result<Vec<Record>, Error>>),
    Stats(Sender<Result<StoreStats, Error>>),
    Mend(Sender<Result<(), Error>>),
    /// Sends the number of remaining rows, then ends the thread.
    Close(Sender<usize>),
}

/// A handle to the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
    /// The process that runs the thread. A forked copy of it has no thread.
    owner: u32,
}

impl Writer {
    pub(crate) fn start(store: Store, mend: Mend) -> Result<Self, Error> {
        let (sender, receiver) = unbounded();
        let thread = Builder::new()
            .name("snakepit-writer".to_owned())
            .spawn(move || serve(store, mend, &receiver))
            .map_err(|e| Error::Thread {
                name: "writer",
                source: Arc::new(e),
            })?;
        Ok(Self {
            sender,
            thread: Some(thread),
            owner: std::process::id(),
        })
    }

    /// Writes one change and returns when it is committed.
    pub(crate) fn write(&self, change: Change) -> Result<(), Error> {
        self.ask(|reply| Message::Change(change, Some(reply)))?
    }

    /// Queues a change. Its result is not reported.
    pub(crate) fn write_later(&self, change: Change) {
        // A closed writer has no rows that matter: its run directory is being removed.
        let _ = self.sender.send(Message::Change(change, None));
    }

    pub(crate) fn records(&self) -> Result<Vec<Record>, Error> {
        self.ask(Message::Records)?
    }

    pub(crate) fn stats(&self) -> Result<StoreStats, Error> {
        self.ask(Message::Stats)?
    }

    /// Checks that the files of the run are in place and restores the missing ones.
    pub(crate) fn mend(&self) -> Result<(), Error> {
        self.ask(Message::Mend)?
    }

    /// Returns `true` if this process runs the thread.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// Commits the queued changes and ends the thread. Returns the number of remaining rows. `None`
    /// if the writer was closed before.
    pub(crate) fn close(&self) -> Option<usize> {
        self.ask(Message::Close).ok()
    }

    fn ask<T>(&self, message: impl FnOnce(Sender<T>) -> Message) -> Result<T, Error> {
        if !self.is_ours() {
            // A forked copy has no thread that could answer.
            return Err(Error::Closed);
        }
        let (reply, answer) = bounded(1);
        self.sender
            .send(message(reply))
            .map_err(|_| Error::Closed)?;
        answer.recv().map_err(|_| Error::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut store: Store, mut mend: Mend, receiver: &Receiver<Message>) {
    let mut owed = Vec::new();
    loop {
        let first = match receiver.recv_timeout(LOOK) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                // A failure is reported by `stats` and by the next reservation.
                let _ = mend(&mut store);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut group = Vec::new();
        let mut next = Some(first);
        // Takes all queued changes, up to the first message that is not a change.
        while let Some(Message::Change(change, reply)) = next {
            group.push((change, reply));
            next = if group.len() < MAX_GROUP {
                receiver.try_recv().ok()
            } else {
                None
            };
        }
        if !group.is_empty() {
            group.append(&mut owed);
            owed = commit(&mut store, group);
        }
        match next {
            Some(Message::Records(reply)) => drop(reply.send(store.records())),
            Some(Message::Stats(reply)) => drop(reply.send(store.stats())),
            Some(Message::Mend(reply)) => drop(reply.send(mend(&mut store))),
            Some(Message::Close(reply)) => {
                let left = store.stats().map_or(usize::MAX, |stats| stats.records);
                drop(store);
                let _ = reply.send(left);
                return;
            }
            Some(Message::Change(..)) | None => {}
        }
    }
}

/// Commits a group. If that fails, each change is tried alone, so that a change that needs room
/// does not block changes that free some. Returns the failed changes that no caller waits for
/// (deletions); they are retried with the next group.
fn commit(store: &mut Store, group: Vec<(Change, Reply)>) -> Vec<(Change, Reply)> {
    let (changes, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
    let together = store.apply(&changes);
    let alone = together.is_err() && changes.len() > 1;
    let mut owed = Vec::new();
    for (change, reply) in changes.into_iter().zip(replies) {
        let result = if alone {
            store.apply(std::slice::from_ref(&change))
        } else {
            together.clone()
        };
        match reply {
            Some(reply) => drop(reply.send(result)),
            None if result.is_err() && owed.len() < MAX_GROUP => owed.push((change, None)),
            None => {}
        }
    }
    owed
}
