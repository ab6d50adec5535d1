//! The worker of a session's last call: a hint, never a promise.

use std::collections::HashMap;

use crate::id::SessionId;
use crate::schedule::WorkerKey;

/// Index that stands for "no entry".
const NONE: u32 = u32::MAX;

/// Sessions remembered; the one unused for longest is forgotten first.
pub(crate) const LIMIT: usize = 10_000;

#[derive(Debug)]
struct Entry {
    session: SessionId,
    worker: WorkerKey,
    previous: u32,
    next: u32,
}

/// Sessions in order of use, most recent first, with an index by name. A hint to a worker that is
/// gone is harmless: its key is void.
#[derive(Debug)]
pub(crate) struct SoftBindings {
    index: HashMap<SessionId, u32>,
    entries: Vec<Entry>,
    head: u32,
    tail: u32,
    limit: usize,
}

impl SoftBindings {
    pub(crate) fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    pub(crate) fn with_limit(limit: usize) -> Self {
        Self {
            index: HashMap::new(),
            entries: Vec::new(),
            head: NONE,
            tail: NONE,
            limit,
        }
    }

    pub(crate) fn get(&self, session: &SessionId) -> Option<WorkerKey> {
        self.index
            .get(session)
            .map(|index| self.entries[*index as usize].worker)
    }

    pub(crate) fn set(&mut self, session: &SessionId, worker: WorkerKey) {
        if let Some(&index) = self.index.get(session) {
            self.entries[index as usize].worker = worker;
            self.unlink(index);
            self.link(index);
            return;
        }
        let entry = Entry {
            session: session.clone(),
            worker,
            previous: NONE,
            next: NONE,
        };
        let index = if self.entries.len() < self.limit {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("the limit fits")
        } else {
            let index = self.tail;
            self.unlink(index);
            let forgotten = std::mem::replace(&mut self.entries[index as usize], entry);
            self.index.remove(&forgotten.session);
            index
        };
        self.index.insert(session.clone(), index);
        self.link(index);
    }

    /// Forgets one session. Returns `false` if it is unknown.
    pub(crate) fn forget(&mut self, session: &SessionId) -> bool {
        let Some(index) = self.index.remove(session) else {
            return false;
        };
        self.unlink(index);
        let last = self.entries.len() - 1;
        self.entries.swap_remove(index as usize);
        if index as usize != last {
            // The last entry has moved to the vacant place.
            let entry = &self.entries[index as usize];
            let (previous, next) = (entry.previous, entry.next);
            *self
                .index
                .get_mut(&entry.session)
                .expect("it is in the index") = index;
            match previous {
                NONE => self.head = index,
                _ => self.entries[previous as usize].next = index,
            }
            match next {
                NONE => self.tail = index,
                _ => self.entries[next as usize].previous = index,
            }
        }
        true
    }

    fn link(&mut self, index: u32) {
        let first = std::mem::replace(&mut self.head, index);
        let entry = &mut self.entries[index as usize];
        (entry.previous, entry.next) = (NONE, first);
        match first {
            NONE => self.tail = index,
            _ => self.entries[first as usize].previous = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (previous, next) = (entry.previous, entry.next);
        match previous {
            NONE => self.head = next,
            _ => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            _ => self.entries[next as usize].previous = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Scheduler;

    #[test]
    fn the_session_unused_for_longest_is_forgotten_first() {
        let (worker, _) = Scheduler::<()>::new(0).add(1);
        let mut soft = SoftBindings::with_limit(2);
        soft.set(&"a".into(), worker);
        soft.set(&"b".into(), worker);
        soft.set(&"a".into(), worker);
        soft.set(&"c".into(), worker);
        assert_eq!(soft.get(&"a".into()), Some(worker));
        assert_eq!(soft.get(&"b".into()), None);
        assert_eq!(soft.get(&"c".into()), Some(worker));
        assert_eq!(soft.entries.len(), 2);
    }

    #[test]
    fn forgetting_keeps_the_others_in_order() {
        let (worker, _) = Scheduler::<()>::new(0).add(1);
        let mut soft = SoftBindings::with_limit(3);
        for name in ["a", "b", "c"] {
            soft.set(&name.into(), worker);
        }
        assert!(soft.forget(&"a".into()));
        assert!(!soft.forget(&"a".into()));
        soft.set(&"d".into(), worker);
        soft.set(&"e".into(), worker);
        let known: Vec<_> = ["a", "b", "c", "d", "e"]
            .into_iter()
            .filter(|name| soft.get(&(*name).into()).is_some())
            .collect();
        assert_eq!(known, ["c", "d", "e"]);
    }
}
