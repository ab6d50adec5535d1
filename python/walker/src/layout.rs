//! Layouts of interpreters: the offsets of the fields that reading stacks requires.

use std::fmt;

use crate::debug_offsets;
use crate::memory::Memory;
use crate::tables;

/// Largest number of bytes of each structure that are read.
pub(crate) const MAX_THREAD: usize = 1024;
pub(crate) const MAX_FRAME: usize = 128;
pub(crate) const MAX_CODE: usize = 512;
const MAX_OBJECT: usize = 128;

/// Largest offset in the state of the runtime or of an interpreter.
const MAX_STATE: usize = 4 << 20;

/// An interpreter in the memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Python {
    /// Address of `_PyRuntime`.
    pub runtime: u64,
    /// Address of `PyCode_Type`.
    pub code_type: u64,
    /// Address of `PyUnicode_Type`.
    pub str_type: u64,
    /// Address of `PyBytes_Type`.
    pub bytes_type: u64,
    /// Offsets of the fields.
    pub layout: Layout,
}

/// Offsets of fields in the structures of an interpreter, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(crate) minor: u8,
    pub(crate) free_threaded: bool,
    /// Offset, in the runtime, of the first interpreter.
    pub(crate) interpreters: usize,
    pub(crate) interpreter: InterpreterLayout,
    pub(crate) gil: Gil,
    pub(crate) thread: ThreadLayout,
    pub(crate) frame: FrameLayout,
    pub(crate) code: CodeLayout,
    pub(crate) object: ObjectLayout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InterpreterLayout {
    pub(crate) next: usize,
    pub(crate) threads: usize,
}

/// Offsets that tell which thread has the GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gil {
    pub(crate) of: GilOf,
    pub(crate) holder: usize,
    pub(crate) locked: usize,
    /// Offset of the flag that says whether there is a GIL, in a build that can run without it.
    pub(crate) enabled: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GilOf {
    /// One GIL for all, at this offset in the runtime.
    Runtime(usize),
    /// One GIL for each interpreter, whose state has its address at this offset.
    Interpreter(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadLayout {
    pub(crate) next: usize,
    pub(crate) interpreter: usize,
    /// Identifier of the thread in Python.
    pub(crate) ident: usize,
    /// Id of the thread in the system, if its state has it.
    pub(crate) native_id: Option<usize>,
    pub(crate) top: Top,
    /// Addresses of the newest chunk of frames, of the end of its used part, and of its own end.
    pub(crate) chunk: Option<[usize; 3]>,
    pub(crate) status: Option<usize>,
}

/// The place of the pointer to the innermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// The pointer is at this offset in the thread's state.
    Here(usize),
    /// The pointer is in a structure on the C stack: the offset of its address in the thread's
    /// state, and the offset within it.
    CFrame(usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLayout {
    pub(crate) previous: usize,
    pub(crate) code: usize,
    pub(crate) instruction: usize,
    pub(crate) owner: Option<usize>,
    /// Index of the thread's own copy of the code.
    pub(crate) copy_index: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeLayout {
    pub(crate) name: usize,
    pub(crate) filename: usize,
    pub(crate) lines: usize,
    pub(crate) first_line: usize,
    /// Offset of the instructions, which are a part of the object.
    pub(crate) instructions: Option<usize>,
    pub(crate) version: Option<usize>,
    /// Address of the threads' own copies.
    pub(crate) copies: Option<usize>,
    /// Flags, for versions in which they are needed.
    pub(crate) flags: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectLayout {
    pub(crate) class: usize,
    pub(crate) size: usize,
    pub(crate) bytes: usize,
    pub(crate) text_length: usize,
    pub(crate) text_state: usize,
    pub(crate) ascii: usize,
    pub(crate) not_ascii: usize,
    /// Number of bits before the kind in the state of a text.
    pub(crate) text_kind: u32,
}

/// The reason why an interpreter has no known layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// This version of CPython has no table on this machine.
    Version(u8),
    /// The interpreter's own table of offsets is implausible.
    Offsets,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(minor) => write!(f, "the layout of CPython 3.{minor} is not known here"),
            Self::Offsets => f.write_str("the offsets in `_PyRuntime` are implausible"),
        }
    }
}

impl std::error::Error for Unknown {}

impl Layout {
    /// Returns the layout of CPython 3.`minor`, whose runtime is at this address.
    ///
    /// # Errors
    /// [`Unknown`] if the version has no table, or its own table is implausible.
    pub fn find(memory: &impl Memory, runtime: u64, minor: u8) -> Result<Self, Unknown> {
        let found = match minor {
            ..=12 => tables::of(minor).ok_or(Unknown::Version(minor))?,
            13 | 14 => debug_offsets::read(memory, runtime, minor).ok_or(Unknown::Offsets)?,
            _ => return Err(Unknown::Version(minor)),
        };
        found.checked().ok_or(Unknown::Offsets)
    }

    /// Returns the minor version of CPython.
    pub const fn minor(&self) -> u8 {
        self.minor
    }

    /// Returns whether the build can run without the GIL.
    pub const fn free_threaded(&self) -> bool {
        self.free_threaded
    }

    /// Returns the layout if all fields lie within the parts that are copied.
    pub(crate) fn checked(self) -> Option<Self> {
        let gil = [self.gil.holder, self.gil.locked];
        let far = [
            self.interpreters,
            self.interpreter.next,
            self.interpreter.threads,
            match self.gil.of {
                GilOf::Runtime(at) | GilOf::Interpreter(at) => at,
            },
        ];
        let object = &self.object;
        let near = [
            object.class,
            object.size,
            object.bytes,
            object.text_length,
            object.text_state,
            object.ascii,
            object.not_ascii,
        ];
        let fits = far.into_iter().chain(gil).all(|at| at < MAX_STATE)
            && self.gil.enabled.is_none_or(|at| at < MAX_STATE)
            && near.into_iter().all(|at| at < MAX_OBJECT)
            && self.thread.reach() <= MAX_THREAD
            && self.frame.reach() <= MAX_FRAME
            && self.code.reach(object) <= MAX_CODE;
        fits.then_some(self)
    }

    /// Returns the largest valid owner of a frame.
    pub(crate) const fn last_owner(&self) -> u8 {
        if self.minor >= 14 { 4 } else { 3 }
    }
}

/// Returns the end of the last of these words.
fn end<const N: usize>(places: [usize; N]) -> usize {
    let furthest = places.into_iter().max().unwrap_or(0);
    furthest.saturating_add(8)
}

impl ThreadLayout {
    /// Returns the number of bytes of a thread's state that are read.
    pub(crate) fn reach(&self) -> usize {
        let (Top::Here(top) | Top::CFrame(top, _)) = self.top;
        let own = [self.next, self.interpreter, self.ident, top];
        let chunk = self.chunk.map_or(0, end);
        let native = end([self.native_id.unwrap_or(0), self.status.unwrap_or(0)]);
        end(own).max(chunk).max(native)
    }
}

impl FrameLayout {
    /// Returns the number of bytes of a frame that are read.
    pub(crate) fn reach(&self) -> usize {
        let own = [self.previous, self.code, self.instruction];
        let more = [self.owner.unwrap_or(0), self.copy_index.unwrap_or(0)];
        end(own).max(end(more))
    }
}

impl CodeLayout {
    /// Returns the number of bytes of a code object that are read.
    pub(crate) fn reach(&self, object: &ObjectLayout) -> usize {
        let own = [self.name, self.filename, self.lines, self.first_line];
        let more = [
            self.version.unwrap_or(0),
            self.copies.unwrap_or(0),
            self.flags.unwrap_or(0),
            object.class,
            object.size,
        ];
        end(own).max(end(more))
    }
}
