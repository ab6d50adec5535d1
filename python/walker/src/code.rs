//! Code objects: the names of functions and the lines of their instructions.

use std::collections::HashMap;

use crate::Frame;
use crate::layout::{MAX_CODE, Python};
use crate::lines;
use crate::memory::{Memory, half_of, is_aligned, word, word_of};
use crate::text::{bytes, text};

/// Largest number of bytes of all line tables together. Functions that are added later report only
/// the line of their definition.
const MAX_LINES: usize = 32 << 20;

/// Flags of generators, coroutines and asynchronous generators.
const GENERATOR: u32 = 0x20 | 0x80 | 0x200;

/// Largest number of instructions of a function whose code object does not state their number.
const MAX_UNITS: u64 = 1 << 24;

/// A function: its names and its line table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Name of the function, qualified from 3.11 on.
    pub function: String,
    /// File of the function.
    pub file: String,
    /// Line at which the definition begins, decorators included.
    pub first_line: u32,
    lines: Vec<u8>,
    minor: u8,
    units: u64,
}

impl Code {
    /// Returns the line of the instruction at this offset; 0 if it has none.
    pub fn line(&self, offset: i32) -> u32 {
        lines::line(self.minor, &self.lines, self.first_line, offset.into())
    }
}

/// The functions that were seen, with numbers that do not change.
#[derive(Debug)]
pub struct Codes {
    most: usize,
    list: Vec<Code>,
    numbers: HashMap<Key, u32>,
    line_bytes: usize,
}

/// Identity of a code object. Another code object may reuse the address of one that was freed, but
/// differs in one of the other fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: u64,
    name: u64,
    filename: u64,
    lines: u64,
    first_line: u32,
    version: u32,
    units: u64,
}

impl Codes {
    /// Creates a table of at most `most` functions.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            list: Vec::new(),
            numbers: HashMap::new(),
            line_bytes: 0,
        }
    }

    /// Returns the function with this number.
    pub fn get(&self, number: u32) -> Option<&Code> {
        self.list.get(usize::try_from(number).ok()?)
    }

    /// Returns the number of the function that a frame runs, and the offset of its instruction.
    /// `None` if the memory is not a code object, or the table is full.
    pub fn find(
        &mut self,
        memory: &impl Memory,
        python: &Python,
        frame: &Frame,
    ) -> Option<(u32, i32)> {
        let (key, own_copies) = read(memory, python, frame.code)?;
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => self.add(memory, python, key)?,
        };
        let offset = offset(memory, python, frame, own_copies)?;
        let end = self.get(number)?.units.checked_mul(2)?;
        let inside = offset >= -2 && offset <= i64::try_from(end).unwrap_or(i64::MAX);
        let offset = i32::try_from(offset).ok()?;
        inside.then_some((number, offset))
    }

    fn add(&mut self, memory: &impl Memory, python: &Python, key: Key) -> Option<u32> {
        if self.list.len() >= self.most {
            return None;
        }
        let function = text(memory, python, key.name)?;
        let file = text(memory, python, key.filename)?;
        let lines = bytes(memory, python, key.lines).unwrap_or_default();
        // The code object may have been freed meanwhile.
        if read(memory, python, key.address)?.0 != key {
            return None;
        }
        let room = MAX_LINES - self.line_bytes;
        let lines = if lines.len() <= room {
            lines
        } else {
            Vec::new()
        };
        self.line_bytes += lines.len();
        let number = u32::try_from(self.list.len()).ok()?;
        self.list.push(Code {
            function,
            file,
            first_line: key.first_line,
            lines,
            minor: python.layout.minor,
            units: key.units,
        });
        self.numbers.insert(key, number);
        Some(number)
    }
}

/// Reads the head of a code object, and the address of its copies for single threads.
fn read(memory: &impl Memory, python: &Python, address: u64) -> Option<(Key, u64)> {
    let (places, object) = (&python.layout.code, &python.layout.object);
    let mut copy = [0; MAX_CODE];
    let copy = copy.get_mut(..places.reach(object))?;
    if !is_aligned(address)
        || !memory.read(address, copy)
        || word_of(copy, object.class) != python.code_type
    {
        return None;
    }
    let units = match places.instructions {
        Some(_) => word_of(copy, object.size),
        None => MAX_UNITS,
    };
    let key = Key {
        address,
        name: word_of(copy, places.name),
        filename: word_of(copy, places.filename),
        lines: word_of(copy, places.lines),
        first_line: half_of(copy, places.first_line),
        version: places.version.map_or(0, |at| half_of(copy, at)),
        units,
    };
    Some((key, places.copies.map_or(0, |at| word_of(copy, at))))
}

/// Returns the distance in bytes from the first instruction to that of a frame.
fn offset(memory: &impl Memory, python: &Python, frame: &Frame, own_copies: u64) -> Option<i64> {
    let Some(instructions) = python.layout.code.instructions else {
        // In 3.10 the frame has the number of the instruction; -1 before the first one.
        let number = u32::try_from(frame.instruction).ok()?.cast_signed();
        return i64::from(number).checked_mul(2);
    };
    let mut begin = crate::memory::at(frame.code, instructions)?;
    if frame.copy_index > 0 && own_copies != 0 {
        let index = u64::from(frame.copy_index);
        if index >= word(memory, own_copies, 0)? {
            return None;
        }
        let index = usize::try_from(index).ok()?;
        begin = word(memory, own_copies, 8 + 8 * index)?;
    }
    Some(frame.instruction.wrapping_sub(begin).cast_signed())
}

/// Returns whether the code at this address is a generator's; false if the layout has no flags.
pub(crate) fn is_generator(memory: &impl Memory, python: &Python, address: u64) -> bool {
    let flags = python.layout.code.flags;
    let flags = flags.and_then(|at| crate::memory::half(memory, address, at));
    flags.is_some_and(|flags| flags & GENERATOR != 0)
}
