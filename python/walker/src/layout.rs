//! Where an interpreter keeps what its stacks are made of.

use std::fmt;

use crate::debug_offsets;
use crate::memory::Memory;
use crate::tables;

/// Bytes of each structure that are read at most.
pub(crate) const MAX_THREAD: usize = 1024;
pub(crate) const MAX_FRAME: usize = 128;
pub(crate) const MAX_CODE: usize = 512;
const MAX_OBJECT: usize = 128;

/// Furthest place in the state of the runtime or an interpreter.
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
    /// Where things are.
    pub layout: Layout,
}

/// The places of fields in structures, in bytes from their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(crate) minor: u8,
    pub(crate) free_threaded: bool,
    /// Of the first interpreter, in the runtime.
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

/// Where it is said which thread has the GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gil {
    pub(crate) of: GilOf,
    pub(crate) holder: usize,
    pub(crate) locked: usize,
    /// Whether there is a GIL at all, in a build that can do without.
    pub(crate) enabled: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GilOf {
    /// One for all, at this place of the runtime.
    Runtime(usize),
    /// One for each interpreter, which has its address here.
    Interpreter(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadLayout {
    pub(crate) next: usize,
    pub(crate) interpreter: usize,
    /// The thread's number in Python.
    pub(crate) ident: usize,
    /// The thread's number in the system, where its state has it.
    pub(crate) native_id: Option<usize>,
    pub(crate) top: Top,
    /// Of the newest piece of the stack of frames, of the end of what is used there, and of the end
    /// of it.
    pub(crate) chunk: Option<[usize; 3]>,
    pub(crate) status: Option<usize>,
}

/// Where the innermost frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// Here in the thread's state.
    Here(usize),
    /// In a structure on the C stack: where its address is, and the place in it.
    CFrame(usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLayout {
    pub(crate) previous: usize,
    pub(crate) code: usize,
    pub(crate) instruction: usize,
    pub(crate) owner: Option<usize>,
    /// Of the index of the thread's own copy of the code.
    pub(crate) copy_index: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeLayout {
    pub(crate) name: usize,
    pub(crate) filename: usize,
    pub(crate) lines: usize,
    pub(crate) first_line: usize,
    /// Of the instructions, which lie in the object itself.
    pub(crate) instructions: Option<usize>,
    pub(crate) version: Option<usize>,
    /// Of the address of the threads' own copies.
    pub(crate) copies: Option<usize>,
    /// Of the flags, where they are needed.
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
    /// Bits before the kind in the state of a text.
    pub(crate) text_kind: u32,
}

/// Why there is no layout for an interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// This version has none here.
    Version(u8),
    /// What the interpreter says of itself makes no sense.
    Offsets,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(minor) => write!(f, "the layout of CPython 3.{minor} is not known here"),
            Self::Offsets => f.write_str("the offsets in `_PyRuntime` make no sense"),
        }
    }
}

impl std::error::Error for Unknown {}

impl Layout {
    /// The layout of CPython 3.`minor`, whose runtime is at this address.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn find(memory: &impl Memory, runtime: u64, minor: u8) -> Result<Self, Unknown> {
        let found = match minor {
            ..=12 => tables::of(minor).ok_or(Unknown::Version(minor))?,
            13 | 14 => debug_offsets::read(memory, runtime, minor).ok_or(Unknown::Offsets)?,
            _ => return Err(Unknown::Version(minor)),
        };
        found.checked().ok_or(Unknown::Offsets)
    }

    /// The minor version of CPython.
    pub const fn minor(&self) -> u8 {
        self.minor
    }

    /// The build can run without the GIL.
    pub const fn free_threaded(&self) -> bool {
        self.free_threaded
    }

    /// Itself, if all that is read fits into the copies.
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

    /// The highest number of an owner of frames.
    pub(crate) const fn last_owner(&self) -> u8 {
        if self.minor >= 14 { 4 } else { 3 }
    }
}

/// The end of the furthest of these words.
fn end<const N: usize>(places: [usize; N]) -> usize {
    let furthest = places.into_iter().max().unwrap_or(0);
    furthest.saturating_add(8)
}

impl ThreadLayout {
    /// Bytes of a thread's state that are read.
    pub(crate) fn reach(&self) -> usize {
        let (Top::Here(top) | Top::CFrame(top, _)) = self.top;
        let own = [self.next, self.interpreter, self.ident, top];
        let chunk = self.chunk.map_or(0, end);
        let native = end([self.native_id.unwrap_or(0), self.status.unwrap_or(0)]);
        end(own).max(chunk).max(native)
    }
}

impl FrameLayout {
    /// Bytes of a frame that are read.
    pub(crate) fn reach(&self) -> usize {
        let own = [self.previous, self.code, self.instruction];
        let more = [self.owner.unwrap_or(0), self.copy_index.unwrap_or(0)];
        end(own).max(end(more))
    }
}

impl CodeLayout {
    /// Bytes of a code object that are read.
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
