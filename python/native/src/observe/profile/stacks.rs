//! A dump of the stacks of all threads.

use std::collections::HashMap;

use snakepit_grpc::pb::stack_dump::{Frame, Thread};
use snakepit_walker::{Codes, Outcome, StackReader, threads};

use super::own::Walker;
use crate::observe::traceback::{MAX_FRAMES, MAX_THREADS, Traced, cut_start};

/// Returns the threads that run Python code, the main thread first, and whether the dump is
/// complete. `None` if a stack could not be read.
pub(crate) fn stacks(walker: &Walker, main: u32) -> Option<(Vec<Traced>, bool)> {
    let (memory, python) = (&walker.memory, &walker.python);
    let mut list = Vec::new();
    if !threads(memory, python, &mut list) {
        // A thread has ended while the list was read.
        threads(memory, python, &mut list);
    }
    let tasks: HashMap<u64, u32> = list
        .iter()
        .map(|thread| (thread.address, walker.task(thread)))
        .collect();
    list.sort_by_key(|thread| tasks.get(&thread.address) != Some(&main));
    let (mut reader, mut codes) = (StackReader::default(), Codes::new(64 << 10));
    let (mut found, mut whole) = (Vec::new(), true);
    for thread in &list {
        match reader.read(memory, python, thread) {
            Outcome::Whole => {}
            Outcome::Cut => whole = false,
            Outcome::Gone => continue,
            Outcome::Unsteady => return None,
        }
        if reader.frames().is_empty() {
            continue;
        }
        if found.len() == MAX_THREADS {
            whole = false;
            break;
        }
        let mut frames = Vec::new();
        for frame in reader.frames() {
            let (number, offset) = codes.find(memory, python, frame)?;
            let code = codes.get(number)?;
            frames.push(Frame {
                file: code.file.clone(),
                line: code.line(offset),
                function: code.function.clone(),
            });
        }
        cut_start(&mut frames);
        whole &= frames.len() <= MAX_FRAMES;
        frames.truncate(MAX_FRAMES);
        let id = tasks.get(&thread.address).copied().unwrap_or(0).into();
        found.push(Traced {
            ident: thread.ident,
            thread: Thread {
                name: String::new(),
                id,
                frames,
                call: 0,
            },
        });
    }
    Some((found, whole))
}
