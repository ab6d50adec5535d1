//! Layout tables of interpreters without their own: CPython 3.10, 3.11 and 3.12, all patch versions
//! alike.

use crate::layout::{
    CodeLayout, FrameLayout, Gil, GilOf, InterpreterLayout, Layout, ObjectLayout, ThreadLayout, Top,
};

/// Returns the layout of this version; `None` on machines for which there is no table.
pub(crate) fn of(minor: u8) -> Option<Layout> {
    // Locks that lie before a field differ in size on other machines.
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    table(minor)
}

/// Returns the table for x86-64.
pub(crate) fn table(minor: u8) -> Option<Layout> {
    Some(match minor {
        10 => V10,
        11 => V11,
        12 => V12,
        _ => return None,
    })
}

const HOLDER: usize = 8;
const LOCKED: usize = 16;

const OBJECT: ObjectLayout = ObjectLayout {
    class: 8,
    size: 16,
    bytes: 32,
    text_length: 16,
    text_state: 32,
    ascii: 48,
    not_ascii: 72,
    text_kind: 2,
};

const V10: Layout = Layout {
    minor: 10,
    free_threaded: false,
    interpreters: 32,
    interpreter: InterpreterLayout {
        next: 0,
        threads: 8,
    },
    gil: gil(GilOf::Runtime(352)),
    thread: ThreadLayout {
        next: 8,
        interpreter: 16,
        ident: 176,
        native_id: None,
        top: Top::Here(24),
        chunk: None,
        status: None,
    },
    frame: FrameLayout {
        previous: 24,
        code: 32,
        instruction: 96,
        owner: None,
        copy_index: None,
    },
    code: CodeLayout {
        name: 112,
        filename: 104,
        lines: 120,
        first_line: 40,
        instructions: None,
        version: None,
        copies: None,
        flags: Some(36),
    },
    object: OBJECT,
};

const V11: Layout = Layout {
    minor: 11,
    free_threaded: false,
    interpreters: 40,
    interpreter: InterpreterLayout {
        next: 0,
        threads: 16,
    },
    gil: gil(GilOf::Runtime(360)),
    thread: ThreadLayout {
        next: 8,
        interpreter: 16,
        ident: 152,
        native_id: Some(160),
        top: Top::CFrame(56, 8),
        chunk: Some([296, 304, 312]),
        status: None,
    },
    frame: FrameLayout {
        previous: 48,
        code: 32,
        instruction: 56,
        owner: Some(69),
        copy_index: None,
    },
    code: CodeLayout {
        name: 128,
        filename: 112,
        lines: 136,
        first_line: 72,
        instructions: Some(184),
        version: None,
        copies: None,
        flags: None,
    },
    object: OBJECT,
};

const V12: Layout = Layout {
    minor: 12,
    free_threaded: false,
    interpreters: 40,
    interpreter: InterpreterLayout {
        next: 0,
        threads: 72,
    },
    gil: gil(GilOf::Interpreter(384)),
    thread: ThreadLayout {
        next: 8,
        interpreter: 16,
        ident: 136,
        native_id: Some(144),
        top: Top::CFrame(56, 0),
        chunk: Some([232, 240, 248]),
        status: None,
    },
    frame: FrameLayout {
        previous: 8,
        code: 0,
        instruction: 56,
        owner: Some(70),
        copy_index: None,
    },
    code: CodeLayout {
        name: 128,
        filename: 112,
        lines: 136,
        first_line: 68,
        instructions: Some(192),
        version: Some(92),
        copies: None,
        flags: None,
    },
    object: ObjectLayout {
        ascii: 40,
        not_ascii: 56,
        ..OBJECT
    },
};

const fn gil(of: GilOf) -> Gil {
    Gil {
        of,
        holder: HOLDER,
        locked: LOCKED,
        enabled: None,
    }
}
