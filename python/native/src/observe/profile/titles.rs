//! Titles of the threads of a profile: ids, and names once they are known.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::names::Names;

/// Largest number of threads of a profile.
const MAX_THREADS: usize = 16 << 10;

/// A thread's title.
#[derive(Clone, Debug)]
pub(crate) struct Title {
    /// Empty if unknown.
    pub(crate) name: String,
    /// Id of the thread in the system; 0 if unknown.
    pub(crate) task: u32,
    ident: u64,
    /// The name comes from the interpreter and is final.
    certain: bool,
}

/// The threads that were sampled, with numbers that do not change.
#[derive(Debug)]
pub(crate) struct Titles {
    names: Arc<Names>,
    list: Vec<Title>,
    numbers: HashMap<(u64, u32), u32>,
    /// Name that the system gives to threads without a name: that of the main thread.
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

    /// Returns all threads; the index is the number.
    pub(crate) fn list(&self) -> &[Title] {
        &self.list
    }

    /// Returns the number of a thread; `None` if there are too many threads.
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
            // The interpreter knows names only once `threading` has been imported.
            let main = task == std::process::id();
            name = if main { "MainThread" } else { "" }.to_owned();
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

    /// Requests missing names from the interpreter, and waits for them for at most `patience`.
    pub(crate) fn learn(&mut self, patience: Duration) {
        if self.list.iter().all(|title| title.certain) {
            return;
        }
        let known = self.names.look(patience);
        for title in &mut self.list {
            let Some(named) = known.get(&title.ident).filter(|_| !title.certain) else {
                continue;
            };
            // Python reuses the identifier of a thread that has ended.
            if title.task != 0 && named.id != 0 && named.id != u64::from(title.task) {
                continue;
            }
            title.name.clone_from(&named.name);
            title.certain = true;
        }
    }
}

/// Returns the name that the system has for a thread of this process; empty if the thread has
/// ended.
fn in_the_system(task: u32) -> String {
    let name = fs::read_to_string(format!("/proc/self/task/{task}/comm"));
    name.map_or_else(|_| String::new(), |name| name.trim_end().to_owned())
}
