//! The stack of one thread: read twice, and accepted if both reads agree.

use crate::Frame;
use crate::chunks::Chunks;
use crate::code::is_generator;
use crate::frame::{Bytes, OWNED_BY_THREAD};
use crate::layout::{MAX_FRAME, MAX_THREAD, Python, Top};
use crate::memory::{Memory, Piece, is_aligned, word, word_of};
use crate::steps::Steps;
use crate::thread::ThreadState;

/// Largest number of frames of a stack that are kept, from the innermost on.
const MAX_FRAMES: usize = 512;

/// Largest number of frames and shims that are read before a chain counts as broken.
const MAX_STEPS: usize = 4 * MAX_FRAMES;

/// Attempts to read a stack that changes meanwhile.
const TRIES: usize = 24;

/// The result of reading a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All frames were read; none if the thread runs no Python code.
    Whole,
    /// The outermost frames are missing.
    Cut,
    /// The stack changed during every attempt.
    Unsteady,
    /// The thread does not exist any more.
    Gone,
}

/// A reader of stacks, which reuses its buffers.
#[derive(Debug, Default)]
pub struct StackReader {
    frames: Vec<Frame>,
    chunks: Chunks,
}

impl StackReader {
    /// Returns the frames that were read last, the innermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Reads the stack of a thread.
    pub fn read(&mut self, memory: &impl Memory, python: &Python, thread: &ThreadState) -> Outcome {
        for _ in 0..TRIES {
            match self.attempt(memory, python, thread) {
                Attempt::Done(Outcome::Gone) => return Outcome::Gone,
                Attempt::Done(outcome) if self.is_same(memory, python) => return outcome,
                Attempt::Done(_) | Attempt::Torn => {}
            }
        }
        self.frames.clear();
        Outcome::Unsteady
    }

    fn attempt(&mut self, memory: &impl Memory, python: &Python, thread: &ThreadState) -> Attempt {
        self.frames.clear();
        self.chunks.clear();
        let (layout, places) = (&python.layout, &python.layout.thread);
        let mut state = [0; MAX_THREAD];
        let Some(state) = state.get_mut(..places.reach()) else {
            return Attempt::Done(Outcome::Gone);
        };
        if !memory.read(thread.address, state)
            || word_of(state, places.interpreter) != thread.interpreter
        {
            return Attempt::Done(Outcome::Gone);
        }
        let Some(top) = self.top(memory, python, thread, state) else {
            return Attempt::Torn;
        };
        self.chunks.read_older(memory);
        let mut steps = Steps::at_most(MAX_STEPS);
        let mut bytes: Bytes = [0; MAX_FRAME];
        let (mut address, mut last) = (top, None);
        while address != 0 {
            if self.frames.len() >= MAX_FRAMES {
                return Attempt::Done(Outcome::Cut);
            }
            let reach = layout.frame.reach();
            if !steps.take(address) || !self.chunks.frame(memory, address, reach, &mut bytes) {
                return Attempt::Torn;
            }
            let frame = Frame::decode(layout, address, &bytes);
            if frame.owner > layout.last_owner() || (!frame.is_shim() && frame.code == 0) {
                // The frame is being cleared.
                return Attempt::Torn;
            }
            if !frame.is_shim() {
                self.frames.push(frame);
            }
            (address, last) = (frame.previous, Some(frame));
        }
        match last {
            Some(bottom) if !is_bottom(memory, python, &bottom) => Attempt::Torn,
            _ => Attempt::Done(Outcome::Whole),
        }
    }

    /// Returns the address of the innermost frame, 0 if there is none, and copies the newest chunk
    /// of frames at the same moment.
    fn top(
        &mut self,
        memory: &impl Memory,
        python: &Python,
        thread: &ThreadState,
        state: &mut [u8],
    ) -> Option<u64> {
        let places = &python.layout.thread;
        let cframe = match places.top {
            Top::Here(_) => None,
            Top::CFrame(at, inside) => {
                let cframe = word_of(state, at);
                if !is_aligned(cframe) {
                    return None;
                }
                Some((at, cframe, crate::memory::at(cframe, inside)?))
            }
        };
        let top_of = |state: &[u8]| match places.top {
            Top::Here(at) => word_of(state, at),
            Top::CFrame(..) => 0,
        };
        let Some([chunk, top, limit]) = places.chunk.map(|at| at.map(|at| word_of(state, at)))
        else {
            return Some(top_of(state));
        };
        let Some(piece) = self.chunks.newest(chunk, top, limit) else {
            // A thread without a chunk of its own runs at most generators.
            return match cframe {
                None => Some(top_of(state)),
                Some((_, _, address)) => word(memory, address, 0),
            };
        };
        let mut top = [0; 8];
        let mut pieces = vec![
            Piece {
                address: thread.address,
                into: state,
            },
            piece,
        ];
        if let Some((_, _, address)) = cframe {
            let into = &mut top[..];
            pieces.push(Piece { address, into });
        }
        if !memory.read_each(&mut pieces) {
            return None;
        }
        let moved = places.chunk.map(|[at, ..]| word_of(state, at)) != Some(chunk)
            || cframe.is_some_and(|(at, before, _)| word_of(state, at) != before)
            || word_of(state, places.interpreter) != thread.interpreter;
        if moved {
            return None;
        }
        match cframe {
            None => Some(top_of(state)),
            Some(_) => Some(u64::from_le_bytes(top)),
        }
    }

    /// Reads all frames again. Returns `false` if anything but the instruction of the innermost
    /// frame differs.
    fn is_same(&mut self, memory: &impl Memory, python: &Python) -> bool {
        let layout = &python.layout;
        let reach = layout.frame.reach();
        if !self.chunks.read_again(memory) {
            return false;
        }
        if layout.thread.chunk.is_none() {
            return self.is_same_one_by_one(memory, python);
        }
        let mut bytes: Bytes = [0; MAX_FRAME];
        self.frames.iter().enumerate().all(|(index, frame)| {
            self.chunks.frame(memory, frame.address, reach, &mut bytes)
                && same(index, frame, &Frame::decode(layout, frame.address, &bytes))
        })
    }

    /// Compares frames as [`Self::is_same`] does, for versions in which each frame is an object of
    /// its own.
    fn is_same_one_by_one(&self, memory: &impl Memory, python: &Python) -> bool {
        let layout = &python.layout;
        let reach = layout.frame.reach().min(MAX_FRAME);
        let mut copies = vec![[0; MAX_FRAME]; self.frames.len()];
        let pieces = copies.iter_mut().zip(&self.frames);
        let mut pieces: Vec<_> = pieces
            .map(|(copy, frame)| Piece {
                address: frame.address,
                into: &mut copy[..reach],
            })
            .collect();
        if !pieces.is_empty() && !memory.read_each(&mut pieces) {
            return false;
        }
        let frames = self.frames.iter().zip(&copies).enumerate();
        let mut frames = frames.map(|(index, (frame, copy))| {
            (index, frame, Frame::decode(layout, frame.address, copy))
        });
        frames.all(|(index, frame, again)| same(index, frame, &again))
    }
}

enum Attempt {
    Done(Outcome),
    /// The words that were read are inconsistent.
    Torn,
}

fn same(index: usize, frame: &Frame, again: &Frame) -> bool {
    again.code == frame.code
        && again.previous == frame.previous
        && (index == 0 || again.instruction == frame.instruction)
}

/// Returns whether a chain can end with this frame. A generator that ends or is being resumed has
/// no outer frame for a moment.
fn is_bottom(memory: &impl Memory, python: &Python, bottom: &Frame) -> bool {
    match python.layout.minor {
        ..=10 => !is_generator(memory, python, bottom.code),
        11 => bottom.owner == OWNED_BY_THREAD,
        _ => bottom.is_shim(),
    }
}
