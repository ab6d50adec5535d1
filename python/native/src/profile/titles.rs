//! The threads of a profile: their names, once they are known.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::names::Names;

/// Threads of a profile.
const MAX_THREADS: usize = 16 << 10;

/// One thread.
#[derive(Clone, Debug)]
pub(crate) struct Title {
    /// Empty if nobody knows it.
    pub(crate) name: String,
    /// Its number in the system; 0 when unknown.
    pub(crate) task: u32,
    ident: u64,
    /// The interpreter has told it.
    certain: bool,
}

/// The threads that were seen, by numbers that stay.
#[derive(Debug)]
pub(crate) struct Titles {
    names: Arc<Names>,
    list: Vec<Title>,
    numbers: HashMap<(u64, u32), u32>,
    /// What the system calls threads that nobody has named.
    unnamed: String,
}

impl Titles {
    pub(crate) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            list: Vec::new(),
            numbers: HashMap::new(),
            unnamed: in_the_system(std::process::id()),
        }
    }

    /// All threads, by their numbers.
    pub(crate) fn list(&self) -> &[Title] {
        &self.list
    }

    /// The number of a thread. `None` if there are too many.
    pub(crate) fn number(&mut self, ident: u64, task: u32) -> Option<u32> {
        if let Some(number) = self.numbers.get(&(ident, task)) {
            return Some(*number);
        }
        if self.list.len() >= MAX_THREADS {
            return None;
        }
        let number = u32::try_from(self.list.len()).ok()?;
        let mut name = in_the_system(task);
        if name == self.unnamed {
            name.clear();
        }
        self.list.push(Title {
            name,
            task,
            ident,
            certain: false,
        });
        self.numbers.insert((ident, task), number);
        Some(number)
    }

    /// Asks the interpreter for names if some are missing, and waits so long for them.
    pub(crate) fn learn(&mut self, patience: Duration) {
        if self.list.iter().all(|title| title.certain) {
            return;
        }
        let known = self.names.look(patience);
        for title in &mut self.list {
            let Some(named) = known.get(&title.ident).filter(|_| !title.certain) else {
                continue;
            };
            // The number of a thread that has ended is given to another one.
            if title.task != 0 && named.id != 0 && named.id != u64::from(title.task) {
                continue;
            }
            title.name.clone_from(&named.name);
            title.certain = true;
        }
    }
}

/// What the system calls a thread of this process; empty if it has ended.
fn in_the_system(task: u32) -> String {
    let name = fs::read_to_string(format!("/proc/self/task/{task}/comm"));
    name.map_or_else(|_| String::new(), |name| name.trim_end().to_owned())
}
