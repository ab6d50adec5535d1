//! The threads of all interpreters of a process.

use crate::layout::{GilOf, MAX_THREAD, Python};
use crate::memory::{Memory, half, half_of, word, word_of};
use crate::steps::Steps;

/// Largest number of threads of all interpreters that are listed.
pub const MAX_THREADS: usize = 4096;

const MAX_INTERPRETERS: usize = 64;

/// Bit of a thread's status: the thread is attached to its interpreter.
const ACTIVE: u32 = 1 << 4;

/// A thread that an interpreter knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadState {
    /// Address of its state.
    pub address: u64,
    /// Address of its interpreter's state.
    pub interpreter: u64,
    /// Identifier in Python: that of `pthread_self`.
    pub ident: u64,
    /// Id in the system; 0 if its state does not have it.
    pub native_id: u32,
    /// The thread has the GIL; without a GIL, it is attached to its interpreter and may run Python
    /// code.
    pub holds_gil: bool,
}

/// Lists the threads. Returns `false` if the list may be incomplete, because it changed or is too
/// long.
pub fn threads(memory: &impl Memory, python: &Python, into: &mut Vec<ThreadState>) -> bool {
    into.clear();
    let layout = &python.layout;
    let Some(mut interpreter) = word(memory, python.runtime, layout.interpreters) else {
        return false;
    };
    let mut steps = Steps::at_most(MAX_INTERPRETERS);
    let mut whole = true;
    while interpreter != 0 {
        if !steps.take(interpreter) {
            return false;
        }
        whole &= of_interpreter(memory, python, interpreter, into);
        match word(memory, interpreter, layout.interpreter.next) {
            Some(next) => interpreter = next,
            None => return false,
        }
    }
    whole
}

fn of_interpreter(
    memory: &impl Memory,
    python: &Python,
    interpreter: u64,
    into: &mut Vec<ThreadState>,
) -> bool {
    let (layout, places) = (&python.layout, &python.layout.thread);
    let holder = gil_holder(memory, python, interpreter);
    let mut steps = Steps::at_most(MAX_THREADS - into.len());
    let Some(mut thread) = word(memory, interpreter, layout.interpreter.threads) else {
        return false;
    };
    let mut copy = [0; MAX_THREAD];
    let Some(copy) = copy.get_mut(..places.reach()) else {
        return false;
    };
    while thread != 0 {
        // The state of a thread that has ended may be freed while the list is read.
        if !steps.take(thread)
            || !memory.read(thread, copy)
            || word_of(copy, places.interpreter) != interpreter
        {
            return false;
        }
        let native_id = places.native_id.map_or(0, |at| word_of(copy, at));
        let active = places.status.map_or(0, |at| half_of(copy, at)) & ACTIVE != 0;
        into.push(ThreadState {
            address: thread,
            interpreter,
            ident: word_of(copy, places.ident),
            native_id: u32::try_from(native_id).unwrap_or(0),
            holds_gil: match holder {
                Holder::Thread(holder) => holder == thread,
                Holder::NoGil => active,
            },
        });
        thread = word_of(copy, places.next);
    }
    true
}

enum Holder {
    /// The address of the holder's state; 0 if no thread holds the GIL.
    Thread(u64),
    /// The interpreter runs without a GIL.
    NoGil,
}

fn gil_holder(memory: &impl Memory, python: &Python, interpreter: u64) -> Holder {
    let places = &python.layout.gil;
    let gil = match places.of {
        GilOf::Runtime(at) => crate::memory::at(python.runtime, at),
        GilOf::Interpreter(at) => word(memory, interpreter, at),
    };
    let Some(gil) = gil.filter(|gil| *gil != 0) else {
        return Holder::Thread(0);
    };
    if let Some(enabled) = places.enabled
        && half(memory, gil, enabled) == Some(0)
    {
        return Holder::NoGil;
    }
    if half(memory, gil, places.locked) != Some(1) {
        return Holder::Thread(0);
    }
    Holder::Thread(word(memory, gil, places.holder).unwrap_or(0))
}
