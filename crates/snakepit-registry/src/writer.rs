//! The one thread that writes to the database of a run.
//!
//! Everything that waits while a transaction is being written goes into the next one together
//! (group commit), so a burst of workers costs a few syncs, not one each.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use crate::error::Error;
use crate::record::Record;
use crate::store::{Change, Store, StoreStats};

/// Changes in one transaction at most.
const MAX_GROUP: usize = 4096;

/// Who waits for a change, if anybody.
type Reply = Option<Sender<Result<(), Error>>>;

enum Message {
    Change(Change, Reply),
    Records(Sender<Result<Vec<Record>, Error>>),
    Stats(Sender<Result<StoreStats, Error>>),
    /// Answers with the number of rows left, then ends.
    Close(Sender<usize>),
}

/// Handle to the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(store: Store) -> Result<Self, Error> {
        let (sender, receiver) = unbounded();
        let thread = Builder::new()
            .name("snakepit-writer".to_owned())
            .spawn(move || serve(store, &receiver))
            .map_err(|e| Error::Thread {
                name: "writer",
                source: Arc::new(e),
            })?;
        Ok(Self {
            sender,
            thread: Some(thread),
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

    /// Commits what waits and ends the thread. Answers with the number of rows left; `None` when
    /// it was closed before.
    pub(crate) fn close(&self) -> Option<usize> {
        self.ask(Message::Close).ok()
    }

    fn ask<T>(&self, message: impl FnOnce(Sender<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = bounded(1);
        self.sender
            .send(message(reply))
            .map_err(|_| Error::Closed)?;
        answer.recv().map_err(|_| Error::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut store: Store, receiver: &Receiver<Message>) {
    let mut owed = Vec::new();
    while let Ok(first) = receiver.recv() {
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
