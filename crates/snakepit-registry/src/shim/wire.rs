//! The protocol between host and shim: an order at the start, then notes.

use std::ffi::{CStr, CString};

use crate::child::Exit;
use crate::containment::Containment;

/// The host's order to a shim. It is passed in a memory file, which has no limit of size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) mode: Containment,
    /// The worker's program. `None` tests the mode and starts nothing.
    pub(crate) program: Option<CString>,
    pub(crate) cwd: Option<CString>,
    /// Control group of the worker.
    pub(crate) cgroup: Option<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    /// `true` if SIGTERM, SIGINT and SIGHUP stay blocked until the worker unblocks them.
    pub(crate) held_back: bool,
}

/// A step of the shim's work that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The shim's own set-up.
    Setup,
    /// Creating the namespaces.
    Namespaces,
    /// Mapping the user into the new namespace.
    Users,
    /// Mounting `/proc` of the new namespace.
    Proc,
    /// Starting a process.
    Fork,
    /// Executing the program: `execve` or `chdir` failed.
    Exec,
}

/// A report from the shim, or from the worker before its program, to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The shim runs.
    Ready,
    /// The worker exists and waits for the host's go-ahead. The worker sends this note itself, so
    /// that the kernel attaches its process id.
    Born,
    /// The worker executes its program.
    Started,
    /// No worker was started.
    Failed { stage: Stage, errno: i32 },
    /// The worker has ended.
    Ended(Exit),
    /// No descendant is left; `killed` counts the ones that the shim had to kill.
    Empty { killed: u32 },
}

/// Byte before an optional string that is present.
const THERE: u8 = b'+';
/// Size of a note in bytes.
pub(crate) const NOTE: usize = 9;

const STAGES: [Stage; 6] = [
    Stage::Setup,
    Stage::Namespaces,
    Stage::Users,
    Stage::Proc,
    Stage::Fork,
    Stage::Exec,
];

impl Note {
    pub(crate) fn encode(self) -> [u8; NOTE] {
        let (kind, first, second) = match self {
            Self::Ready => (1, 0, 0),
            Self::Born => (2, 0, 0),
            Self::Started => (3, 0, 0),
            Self::Failed { stage, errno } => (4, stage as i32, errno),
            Self::Ended(Exit::Code(code)) => (5, 0, code),
            Self::Ended(Exit::Signal(signal)) => (5, 1, signal),
            Self::Ended(Exit::Unknown) => (5, 2, 0),
            Self::Empty { killed } => (6, 0, killed.cast_signed()),
        };
        let mut bytes = [kind; NOTE];
        bytes[1..5].copy_from_slice(&i32::to_le_bytes(first));
        bytes[5..].copy_from_slice(&i32::to_le_bytes(second));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (first, second) = (word(1)?, word(5)?);
        Some(match (bytes[0], first) {
            (1, _) => Self::Ready,
            (2, _) => Self::Born,
            (3, _) => Self::Started,
            (4, stage) => Self::Failed {
                stage: *STAGES.get(usize::try_from(stage).ok()?)?,
                errno: second,
            },
            (5, 0) => Self::Ended(Exit::Code(second)),
            (5, 1) => Self::Ended(Exit::Signal(second)),
            (5, 2) => Self::Ended(Exit::Unknown),
            (6, _) => Self::Empty {
                killed: second.cast_unsigned(),
            },
            _ => return None,
        })
    }
}

impl Order {
    /// Encodes the order: the mode, whether signals are blocked, the number of arguments, then all
    /// strings with their NUL bytes. The environment takes the rest. A byte before each optional
    /// string says whether it is present.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mode = Containment::ALL.iter().position(|&one| one == self.mode);
        let mode = mode.and_then(|at| u8::try_from(at).ok()).unwrap_or(0);
        let mut bytes = vec![mode, u8::from(self.held_back)];
        let args = u32::try_from(self.argv.len()).unwrap_or(u32::MAX);
        bytes.extend(args.to_le_bytes());
        for one in [&self.program, &self.cwd, &self.cgroup] {
            bytes.extend(one.as_ref().map(|_| THERE));
            bytes.extend(one.as_deref().unwrap_or_default().to_bytes_with_nul());
        }
        for one in self.argv.iter().chain(&self.envp) {
            bytes.extend(one.as_bytes_with_nul());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mode = *Containment::ALL.get(usize::from(*bytes.first()?))?;
        let args = u32::from_le_bytes(bytes.get(2..6)?.try_into().ok()?);
        let held_back = *bytes.get(1)? == 1;
        let mut rest = bytes.get(6..)?;
        let mut next = || {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[text.count_bytes() + 1..];
            Some(text.to_owned())
        };
        let (program, cwd, cgroup) = (next()?, next()?, next()?);
        let given = |text: CString| {
            let text = text.as_bytes().strip_prefix(&[THERE])?;
            CString::new(text).ok()
        };
        let argv = (0..args).map(|_| next()).collect::<Option<_>>()?;
        let envp = std::iter::from_fn(next).collect();
        Some(Self {
            mode,
            program: given(program),
            cwd: given(cwd),
            cgroup: given(cgroup),
            argv,
            envp,
            held_back,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = CString> {
        proptest::collection::vec(1..=u8::MAX, 0..20)
            .prop_map(|bytes| CString::new(bytes).expect("no NUL"))
    }

    fn texts() -> impl Strategy<Value = Vec<CString>> {
        proptest::collection::vec(text(), 0..8)
    }

    proptest! {
        #[test]
        fn an_order_arrives_as_it_was_sent(
            mode in proptest::sample::select(&Containment::ALL),
            program in proptest::option::of(text()),
            cwd in proptest::option::of(text()),
            cgroup in proptest::option::of(text()),
            argv in texts(),
            envp in texts(),
            held_back: bool,
        ) {
            let order = Order { mode, program, cwd, cgroup, argv, envp, held_back };
            let bytes = order.encode();
            prop_assert_eq!(Order::decode(&bytes), Some(order));
        }

        #[test]
        fn a_note_arrives_as_it_was_sent(stage in proptest::sample::select(&STAGES), number: i32) {
            let exits = [Exit::Code(number), Exit::Signal(number), Exit::Unknown];
            let plain = [Note::Ready, Note::Born, Note::Started];
            let killed = number.cast_unsigned();
            let rest = [Note::Failed { stage, errno: number }, Note::Empty { killed }];
            let all = exits.map(Note::Ended).into_iter().chain(plain).chain(rest);
            for note in all {
                prop_assert_eq!(Note::decode(&note.encode()), Some(note));
            }
        }

        #[test]
        fn noise_is_no_order_and_no_note_that_panics(bytes: Vec<u8>) {
            let _ = (Order::decode(&bytes), Note::decode(&bytes));
        }
    }
}
