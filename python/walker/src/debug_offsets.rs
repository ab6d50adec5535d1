//! `_Py_DebugOffsets`: from 3.13 on, the interpreter states its own layout, at the beginning of its
//! runtime.

use crate::layout::{
    CodeLayout, FrameLayout, Gil, GilOf, InterpreterLayout, Layout, ObjectLayout, ThreadLayout, Top,
};
use crate::memory::{Memory, word_of};

const COOKIE: &[u8; 8] = b"xdebugpy";

/// Largest number of words of the table: cookie, version, free_threaded, and then one group of
/// words for each structure.
const MAX_WORDS: usize = 160;

/// Number of words of each group in 3.13 and in 3.14. The first word of a group is a size, if the
/// group has one.
const GROUPS: [[usize; 2]; 16] = [
    [3, 3],   // 0 runtime_state
    [13, 16], // 1 interpreter_state
    [9, 9],   // 2 thread_state
    [6, 8],   // 3 interpreter_frame
    [10, 11], // 4 code_object
    [2, 2],   // 5 pyobject
    [4, 4],   // 6 type_object
    [3, 3],   // 7 tuple_object
    [3, 3],   // 8 list_object
    [0, 4],   // 9 set_object
    [3, 3],   // 10 dict_object
    [2, 2],   // 11 float_object
    [3, 3],   // 12 long_object
    [3, 3],   // 13 bytes_object
    [4, 4],   // 14 unicode_object
    [2, 2],   // 15 gc
];

const RUNTIME: usize = 0;
const INTERPRETER: usize = 1;
const THREAD: usize = 2;
const FRAME: usize = 3;
const CODE: usize = 4;
const OBJECT: usize = 5;
const BYTES: usize = 13;
const TEXT: usize = 14;

/// Distance between the data of texts that are ASCII and of those that are not, in bytes.
const NOT_ASCII: usize = 16;

/// Reads the table at this address. `None` if it is not a table of this version.
pub(crate) fn read(memory: &impl Memory, runtime: u64, minor: u8) -> Option<Layout> {
    let later = usize::from(minor >= 14);
    let mut copy = [0; MAX_WORDS * 8];
    let words: usize = GROUPS.iter().map(|group| group[later]).sum();
    let copy = copy.get_mut(..(3 + words) * 8)?;
    if !memory.read(runtime, copy) || copy[..8] != COOKIE[..] {
        return None;
    }
    if word_of(copy, 8) >> 16 != 0x0300 | u64::from(minor) {
        return None;
    }
    let free_threaded = match word_of(copy, 16) {
        0 => false,
        1 => true,
        _ => return None,
    };
    let field = |group: usize, index: usize| -> Option<usize> {
        let before: usize = GROUPS[..group].iter().map(|group| group[later]).sum();
        let at = (3 + before + index) * 8;
        usize::try_from(word_of(copy, at)).ok()
    };
    // 3.14 has an additional word before `gc`.
    let gil = |index: usize| field(INTERPRETER, index + later);
    let (gil_base, chunk) = (gil(9)?, field(THREAD, 7)?);
    let enabled = free_threaded.then(|| gil(10)).flatten();
    let ascii = field(TEXT, 3)?;
    Some(Layout {
        minor,
        free_threaded,
        interpreters: field(RUNTIME, 2)?,
        interpreter: InterpreterLayout {
            next: field(INTERPRETER, 2)?,
            threads: field(INTERPRETER, 3)?,
        },
        gil: Gil {
            of: GilOf::Interpreter(gil(8)?),
            holder: gil(12)?.checked_sub(gil_base)?,
            locked: gil(11)?.checked_sub(gil_base)?,
            enabled,
        },
        thread: ThreadLayout {
            next: field(THREAD, 2)?,
            interpreter: field(THREAD, 3)?,
            ident: field(THREAD, 5)?,
            native_id: Some(field(THREAD, 6)?),
            top: Top::Here(field(THREAD, 4)?),
            chunk: Some([chunk, chunk.checked_add(8)?, chunk.checked_add(16)?]),
            status: Some(field(THREAD, 8)?),
        },
        frame: FrameLayout {
            previous: field(FRAME, 1)?,
            code: field(FRAME, 2)?,
            instruction: field(FRAME, 3)?,
            owner: Some(field(FRAME, 5)?),
            copy_index: match free_threaded && later == 1 {
                true => Some(field(FRAME, 7)?),
                false => None,
            },
        },
        code: CodeLayout {
            name: field(CODE, 3)?,
            filename: field(CODE, 1)?,
            lines: field(CODE, 4)?,
            first_line: field(CODE, 5)?,
            instructions: Some(field(CODE, 9)?),
            version: None,
            copies: match free_threaded && later == 1 {
                true => Some(field(CODE, 10)?),
                false => None,
            },
            flags: None,
        },
        object: ObjectLayout {
            class: field(OBJECT, 1)?,
            size: field(BYTES, 1)?,
            bytes: field(BYTES, 2)?,
            text_length: field(TEXT, 2)?,
            text_state: field(TEXT, 1)?,
            ascii,
            not_ascii: ascii.checked_add(NOT_ASCII)?,
            text_kind: if free_threaded { 8 } else { 2 },
        },
    })
}
