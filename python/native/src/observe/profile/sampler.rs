//! The sampler: looks at all threads at once, and counts the stacks of many such samples.

use std::collections::HashMap;
use std::sync::Arc;

use snakepit_walker::{Codes, Outcome, StackReader, ThreadState, threads};

use super::cpu::{clock_of, is_runnable};
use super::marks::Marks;
use super::own::Walker;
use super::table::{Place, Seen, Table};
use super::titles::Titles;
use crate::observe::names::Names;

/// Largest number of functions of a profile.
const MAX_FUNCTIONS: usize = 64 << 10;

/// Number of times that a stack is read if its functions are gone when they are looked up.
const TRIES: usize = 3;

/// The samples that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    All,
    Gil,
    OnCpu,
}

/// Takes samples and counts them.
#[derive(Debug)]
pub(crate) struct Sampler {
    walker: Arc<Walker>,
    counted: Counted,
    pub(crate) codes: Codes,
    pub(crate) table: Table,
    pub(crate) titles: Titles,
    /// Number of stacks that could not be read.
    pub(crate) lost: u64,
    /// Number of stacks that could be read.
    pub(crate) read: u64,
    list: Vec<ThreadState>,
    reader: StackReader,
    places: Vec<Place>,
    last: HashMap<u64, Last>,
}

/// The last sample of a thread; the key of the map is the address of its state.
#[derive(Clone, Copy, Debug)]
struct Last {
    task: u32,
    clock: u64,
    seen: Seen,
}

/// The result of reading a thread.
enum Read {
    Stack,
    /// The thread runs no Python code, or has ended.
    Nothing,
    Failed,
}

impl Sampler {
    pub(crate) fn new(
        walker: Arc<Walker>,
        names: Arc<Names>,
        counted: Counted,
        most: usize,
    ) -> Self {
        Self {
            walker,
            counted,
            codes: Codes::new(MAX_FUNCTIONS),
            table: Table::new(most),
            titles: Titles::new(names),
            lost: 0,
            read: 0,
            list: Vec::new(),
            reader: StackReader::default(),
            places: Vec::new(),
            last: HashMap::new(),
        }
    }

    /// Samples all threads once, or only the thread with this id in the system.
    pub(crate) fn sample(&mut self, only: Option<u32>) {
        let walker = Arc::clone(&self.walker);
        let mut list = std::mem::take(&mut self.list);
        // If the list changes meanwhile, the part that was read is used.
        threads(&walker.memory, &walker.python, &mut list);
        for thread in &list {
            let task = walker.task(thread);
            if only.is_none_or(|only| only == task) {
                self.look(&walker, thread, task);
            }
        }
        if self.last.len() > 2 * list.len() + 64 {
            self.last
                .retain(|address, _| list.iter().any(|thread| thread.address == *address));
        }
        self.list = list;
    }

    fn look(&mut self, walker: &Walker, thread: &ThreadState, task: u32) {
        let clock = clock_of(task);
        let last = self.last.get(&thread.address).copied();
        let unmoved = last.filter(|last| last.task == task && Some(last.clock) == clock);
        let (seen, on_cpu) = match unmoved {
            // On a busy machine the thread may have waited for a CPU all the time; that is looked
            // up only for the thread that has the GIL.
            Some(last) => (last.seen, thread.holds_gil && is_runnable(task)),
            None => {
                let seen = match self.read(walker, thread) {
                    Read::Stack => self.table.keep(&self.places),
                    Read::Nothing => Seen::Nothing,
                    Read::Failed => {
                        self.lost += 1;
                        self.last.remove(&thread.address);
                        return;
                    }
                };
                if let Some(clock) = clock {
                    let last = Last { task, clock, seen };
                    self.last.insert(thread.address, last);
                }
                let moved = clock.is_some() && clock_of(task) != clock;
                (seen, moved || is_runnable(task))
            }
        };
        self.read += 1;
        let marks = Marks {
            on_cpu,
            gil: thread.holds_gil,
        };
        let counts = match self.counted {
            Counted::All => true,
            Counted::Gil => marks.gil,
            Counted::OnCpu => marks.on_cpu,
        };
        if counts && seen != Seen::Nothing {
            let thread = self.titles.number(thread.ident, task);
            self.table.sample(seen, thread, marks);
        }
    }

    fn read(&mut self, walker: &Walker, thread: &ThreadState) -> Read {
        let (memory, python) = (&walker.memory, &walker.python);
        for _ in 0..TRIES {
            match self.reader.read(memory, python, thread) {
                Outcome::Whole | Outcome::Cut => {}
                Outcome::Unsteady => return Read::Failed,
                Outcome::Gone => return Read::Nothing,
            }
            if self.reader.frames().is_empty() {
                return Read::Nothing;
            }
            self.places.clear();
            for frame in self.reader.frames() {
                let Some(place) = self.codes.find(memory, python, frame) else {
                    break;
                };
                self.places.push(place);
            }
            if self.places.len() == self.reader.frames().len() {
                return Read::Stack;
            }
        }
        Read::Failed
    }
}
