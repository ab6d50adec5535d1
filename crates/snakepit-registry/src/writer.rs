//! The one thread that writes to the database of a run.
//!
//! Everything that waits while a transaction is being written goes into the next one together
//! (group commit), so a burst of workers costs a few syncs, not one each.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::error::Error;
use crate::record::Record;
use crate::store::{Change, Store, StoreStats};

/// Changes in one transaction at most.
const MAX_GROUP: usize = 4096;

/// How often the thread looks whether the files of the run are still in their places.
const LOOK: Duration = Duration::from_secs(1);

/// Puts the files of the run back into their places.
pub(crate) type Mend = Box<dyn FnMut(&mut Store) -> Result<(), Error> + Send>;

/// Who waits for a change, if anybody.
type Reply = Option<Sender<Result<(), Error>>>;

enum Message {
    Change(Change, Reply),
    Records(Sender<Result<Vec<Record>, Error>>),
    Stats(Sender<Result<StoreStats, Error>>),
    Mend(Sender<Result<(), Error>>),
    /// Answers with the number of rows left, then ends.
    Close(Sender<usize>),
}

/// Handle to the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
    /// The process that has the thread; a copy of it has none.
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

    /// Writes one change later; nobody learns whether it worked.
    pub(crate) fn write_later(&self, change: Change) {
        // A closed writer has no rows that could matter: its run directory is being removed.
        let _ = self.sender.send(Message::Change(change, None));
    }

    pub(crate) fn records(&self) -> Result<Vec<Record>, Error> {
        self.ask(Message::Records)?
    }

    pub(crate) fn stats(&self) -> Result<StoreStats, Error> {
        self.ask(Message::Stats)?
    }

    /// Looks whether the files of the run are in their places, and puts them back.
    pub(crate) fn mend(&self) -> Result<(), Error> {
        self.ask(Message::Mend)?
    }

    /// Whether this process has the thread.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// Commits what waits and ends the thread. Answers with the number of rows left; `None` when
    /// it was closed before.
    pub(crate) fn close(&self) -> Option<usize> {
        self.ask(Message::Close).ok()
    }

    fn ask<T>(&self, message: impl FnOnce(Sender<T>) -> Message) -> Result<T, Error> {
        if !self.is_ours() {
            // Nobody would ever answer.
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
                // What cannot be put back shows in the facts about the run, and in its next record.
                let _ = mend(&mut store);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut group = Vec::new();
        let mut next = Some(first);
        // Takes everything that waits, up to the first message that is no change.
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

/// Commits a group. When that fails, each change is tried alone, so that one that needs room
/// does not keep others from making some. Returns deletions that nobody waits for and that failed:
/// they are tried again with the next group.
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
