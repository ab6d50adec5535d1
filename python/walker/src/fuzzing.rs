//! A small interpreter in simulated memory, intact or damaged, which may change between any two
//! reads.

use std::cell::{Cell, RefCell};

use crate::layout::{GilOf, Layout, Python, Top};
use crate::memory::{Memory, Piece};
use crate::{Codes, MAX_THREADS, Outcome, StackReader, ThreadState, tables, threads};

/// Address (`BASE`) and size of the simulated memory.
const BASE: u64 = 0x10_0000;
const SIZE: usize = 64 << 10;

/// Bytes of one change: two for its place, eight for the new word.
const CHANGE: usize = 10;

/// Number of kinds of interpreters that [`Sketch::of`] creates.
pub const KINDS: u8 = 6;

/// Simulated memory with an interpreter.
#[derive(Debug)]
pub struct Sketch {
    bytes: RefCell<Vec<u8>>,
    /// Changes still to come, one after each read.
    changes: RefCell<Vec<u8>>,
    free: Cell<u64>,
    /// The interpreter.
    pub python: Python,
}

impl Memory for Sketch {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.change();
        let bytes = self.bytes.borrow();
        let begin = address
            .checked_sub(BASE)
            .and_then(|at| usize::try_from(at).ok());
        let end = begin.and_then(|begin| begin.checked_add(into.len()));
        let (Some(begin), Some(end)) = (begin, end) else {
            return false;
        };
        let Some(found) = bytes.get(begin..end) else {
            return false;
        };
        into.copy_from_slice(found);
        true
    }

    fn read_each(&self, pieces: &mut [Piece<'_>]) -> bool {
        pieces
            .iter_mut()
            .all(|piece| self.read(piece.address, piece.into))
    }
}

/// Reads everything of the interpreter that the input describes. The first byte selects its kind,
/// the second the number of changes that are made before reading; the other changes are made
/// meanwhile.
pub fn walk(data: &[u8]) {
    let Some(([kind, before], changes)) = data.split_first_chunk::<2>() else {
        return;
    };
    let sketch = match kind % (KINDS + 1) {
        KINDS => Sketch::noise(changes),
        kind => Sketch::of(kind),
    };
    let before = usize::from(*before).saturating_mul(CHANGE);
    let (before, after) = changes.split_at(before.min(changes.len()));
    sketch.changes.replace(before.to_vec());
    while sketch.change() {}
    sketch.changes.replace(after.to_vec());
    sketch.read_all();
}

/// An entry of a stack: the function's name, its file, and the current line.
pub type Line = (String, String, u32);

impl Sketch {
    /// Creates an interpreter with two threads. The stack of the first one is a function, called by
    /// a generator, called by another function. The other thread runs no Python code.
    ///
    /// # Panics
    /// `kind` is not less than [`KINDS`].
    pub fn of(kind: u8) -> Self {
        let sketch = Self::empty();
        let (minor, free_threaded) = match kind {
            0..=4 => (10 + kind, false),
            5 => (14, true),
            _ => panic!("{KINDS} kinds, and not {kind}"),
        };
        let runtime = sketch.take(1024);
        let layout = match minor {
            ..=12 => tables::table(minor).expect("there is one"),
            _ => {
                sketch.put_offsets(runtime, minor, free_threaded);
                Layout::find(&sketch, runtime, minor).expect("they make sense")
            }
        };
        let python = Python {
            runtime,
            code_type: sketch.take(8),
            str_type: sketch.take(8),
            bytes_type: sketch.take(8),
            layout,
        };
        let sketch = Self { python, ..sketch };
        sketch.fill();
        sketch
    }

    /// Creates an interpreter whose memory repeats these bytes.
    fn noise(data: &[u8]) -> Self {
        let mut sketch = Self::of(data.first().map_or(0, |kind| kind % KINDS));
        let words = data.chunks_exact(8).map(|word| {
            let word = u64::from_le_bytes(word.try_into().expect("it is of 8 bytes"));
            // Half of the words are addresses of other words.
            match word & 1 {
                0 => word,
                _ => BASE + (word >> 1) % (SIZE as u64) / 8 * 8,
            }
        });
        let words: Vec<u64> = words.collect();
        let mut bytes = vec![0; SIZE];
        if !words.is_empty() {
            let over = words.iter().cycle();
            for (place, word) in bytes.chunks_exact_mut(8).zip(over) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        let classes = words.iter().copied().chain([0; 3]);
        let mut classes = classes.take(3);
        let mut class = || classes.next().unwrap_or(0);
        sketch.python.code_type = class();
        sketch.python.str_type = class();
        sketch.python.bytes_type = class();
        sketch.bytes.replace(bytes);
        sketch
    }

    /// Reads threads, stacks and names; returns the threads with their stacks.
    ///
    /// # Panics
    /// A result exceeds the documented bounds.
    pub fn read_all(&self) -> Vec<(ThreadState, Outcome, Vec<Line>)> {
        // The table of offsets may have changed, too.
        let minor = self.python.layout.minor();
        let layout = Layout::find(self, self.python.runtime, minor).unwrap_or(self.python.layout);
        let python = Python {
            layout,
            ..self.python
        };
        let mut list = Vec::new();
        threads(self, &python, &mut list);
        assert!(list.len() <= MAX_THREADS);
        let mut stacks = Vec::new();
        let (mut reader, mut codes) = (StackReader::default(), Codes::new(64));
        for thread in list.iter().take(16) {
            let outcome = reader.read(self, &python, thread);
            let mut lines = Vec::new();
            for frame in reader.frames() {
                let Some((number, offset)) = codes.find(self, &python, frame) else {
                    continue;
                };
                let code = codes.get(number).expect("it was found");
                assert!(code.function.len() <= 4096 && code.file.len() <= 4096);
                lines.push((code.function.clone(), code.file.clone(), code.line(offset)));
            }
            stacks.push((*thread, outcome, lines));
        }
        stacks
    }

    fn empty() -> Self {
        let layout = tables::table(12).expect("there is one");
        Self {
            bytes: RefCell::new(vec![0; SIZE]),
            changes: RefCell::default(),
            free: Cell::new(BASE),
            python: Python {
                runtime: 0,
                code_type: 0,
                str_type: 0,
                bytes_type: 0,
                layout,
            },
        }
    }

    /// Makes the next change; returns `false` if there is none.
    fn change(&self) -> bool {
        let mut changes = self.changes.borrow_mut();
        if changes.len() < CHANGE {
            return false;
        }
        let change: Vec<u8> = changes.drain(..CHANGE).collect();
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let mut bytes = self.bytes.borrow_mut();
        // The used part is at the beginning.
        let used = usize::try_from(self.free.get() - BASE).unwrap_or(SIZE);
        let place = place % used.max(8);
        for (byte, new) in bytes[place..].iter_mut().zip(&change[2..]) {
            *byte = *new;
        }
        true
    }

    fn take(&self, size: u64) -> u64 {
        let address = self.free.get();
        self.free.set(address + size.next_multiple_of(16));
        address
    }

    fn put(&self, base: u64, offset: usize, word: u64) {
        self.put_bytes(base, offset, &word.to_le_bytes());
    }

    fn put_bytes(&self, base: u64, offset: usize, new: &[u8]) {
        let begin = usize::try_from(base - BASE).expect("it is ours") + offset;
        self.bytes.borrow_mut()[begin..begin + new.len()].copy_from_slice(new);
    }

    fn fill(&self) {
        let (python, layout) = (&self.python, &self.python.layout);
        let interpreter = self.take(1024);
        self.put(python.runtime, layout.interpreters, interpreter);
        let (busy, idle) = (self.take(1024), self.take(1024));
        self.put(interpreter, layout.interpreter.threads, busy);
        let gil = match layout.gil.of {
            GilOf::Runtime(at) => python.runtime + at as u64,
            GilOf::Interpreter(at) => {
                let gil = self.take(64);
                self.put(interpreter, at, gil);
                gil
            }
        };
        self.put(gil, layout.gil.holder, busy);
        self.put_bytes(gil, layout.gil.locked, &1_u32.to_le_bytes());
        if let Some(at) = layout.gil.enabled {
            self.put_bytes(gil, at, &1_u32.to_le_bytes());
        }
        for (number, thread, next) in [(1, busy, idle), (2, idle, 0)] {
            let places = &layout.thread;
            self.put(thread, places.next, next);
            self.put(thread, places.interpreter, interpreter);
            self.put(thread, places.ident, 100 + number);
            if let Some(at) = places.native_id {
                self.put(thread, at, 1000 + number);
            }
            if let Top::CFrame(at, _) = places.top {
                let cframe = self.take(32);
                self.put(thread, at, cframe);
            }
        }
        let chunk = self.take(2048);
        let (leaf, generator, outer, shim) = (chunk + 24, self.take(128), chunk + 152, chunk + 280);
        let places = &layout.thread;
        if let Some([at, top, limit]) = places.chunk {
            self.put(busy, at, chunk);
            self.put(busy, top, chunk + 512);
            self.put(busy, limit, chunk + 2048);
        }
        match places.top {
            Top::Here(at) => self.put(busy, at, leaf),
            Top::CFrame(at, inside) => {
                let mut cframe = [0; 8];
                self.read(busy + at as u64, &mut cframe);
                self.put(u64::from_le_bytes(cframe), inside, leaf);
            }
        }
        let bottom = if layout.minor >= 12 { shim } else { 0 };
        for (frame, function, line, previous, owner) in [
            (leaf, "leaf", 10, generator, 0_u8),
            (generator, "generator", 20, outer, 1),
            (outer, "outer", 30, bottom, 0),
        ] {
            self.put_frame(frame, function, line, previous, owner);
        }
        if bottom != 0 {
            self.put_bytes(shim, layout.frame.owner.expect("it has one"), &[3]);
        }
    }

    fn put_frame(&self, frame: u64, function: &str, line: u32, previous: u64, owner: u8) {
        let places = self.python.layout.frame;
        let code = self.put_code(function, line);
        self.put(frame, places.previous, previous);
        self.put(frame, places.code, code);
        match self.python.layout.code.instructions {
            Some(at) => self.put(frame, places.instruction, code + at as u64 + 4),
            None => self.put_bytes(frame, places.instruction, &2_u32.to_le_bytes()),
        }
        if let Some(at) = places.owner {
            self.put_bytes(frame, at, &[owner]);
        }
    }

    /// Writes a function of ten instructions, the third of which is in its second line.
    fn put_code(&self, function: &str, line: u32) -> u64 {
        let (places, object) = (self.python.layout.code, self.python.layout.object);
        let code = self.take(256);
        self.put(code, object.class, self.python.code_type);
        self.put(code, object.size, 10);
        self.put(code, places.name, self.put_text(function));
        self.put(code, places.filename, self.put_text("tools.py"));
        self.put_bytes(code, places.first_line, &line.to_le_bytes());
        let table: &[u8] = match self.python.layout.minor {
            10 => &[4, 0, 16, 1],
            _ => &[0x80 | 10 << 3 | 1, 0, 0, 0x80 | 11 << 3 | 7, 0, 0],
        };
        let lines = self.take(64);
        self.put(lines, object.class, self.python.bytes_type);
        self.put(lines, object.size, table.len() as u64);
        self.put_bytes(lines, object.bytes, table);
        self.put(code, places.lines, lines);
        code
    }

    fn put_text(&self, text: &str) -> u64 {
        let places = self.python.layout.object;
        let address = self.take(128);
        self.put(address, places.class, self.python.str_type);
        self.put(address, places.text_length, text.len() as u64);
        let state = (1 | 1 << 3 | 1 << 4) << places.text_kind;
        self.put_bytes(address, places.text_state, &u32::to_le_bytes(state));
        self.put_bytes(address, places.ascii, text.as_bytes());
        address
    }

    /// Writes the table of offsets of CPython 3.13, or of 3.14 in its order.
    fn put_offsets(&self, runtime: u64, minor: u8, free_threaded: bool) {
        let later = minor >= 14;
        let mut words = vec![
            u64::from_le_bytes(*b"xdebugpy"),
            (0x0300 | u64::from(minor)) << 16 | 0x00f0,
            u64::from(free_threaded),
        ];
        words.extend([283_320, 608, 960]);
        words.extend([1000, 72, 64, 344]);
        words.extend(later.then_some(352));
        words.extend([400, 656, 640, 648, 16, 752, 24, 768, 760]);
        words.extend(later.then_some([0, 0]).into_iter().flatten());
        words.extend([304, 0, 8, 16, 72, 152, 160, 232, 32]);
        words.extend([80, 8, 0, 56, 72, 70]);
        words.extend(later.then_some([64, 76]).into_iter().flatten());
        words.extend([208, 112, 120, 128, 136, 68, 52, 96, 104, 200]);
        words.extend(later.then_some(144));
        words.extend([16, 8, 416, 24, 88, 168, 32, 24, 16, 40, 24, 16]);
        words.extend(later.then_some([1, 2, 3, 4]).into_iter().flatten());
        words.extend([
            48, 32, 40, 24, 16, 32, 16, 24, 40, 16, 32, 64, 32, 16, 40, 240,
        ]);
        for (index, word) in words.into_iter().enumerate() {
            self.put(runtime, index * 8, word);
        }
    }
}
