//! Secrets that a forked copy of the worker names: the worker passes them on to the host.
//!
//! A copy has lost the connections of its worker. It sends the value through a socket to the
//! worker's control thread, and finds the host's answer in memory that it shares with the worker.
#![expect(unsafe_code, reason = "mmap")]

use std::io;
use std::os::unix::net::UnixDatagram;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::process::clock;

/// Number of answers that are kept.
const ANSWERS: u64 = 64;

/// Time between two looks at an answer.
const STEP: Duration = Duration::from_millis(1);

/// Longest message: a number and a value.
const MAX_MESSAGE: usize = 16 << 10;

static COPIES: OnceLock<Copies> = OnceLock::new();

struct Copies {
    shared: &'static Shared,
    ours: UnixDatagram,
    theirs: UnixDatagram,
}

/// The memory that the worker and its copies share.
struct Shared {
    next: AtomicU64,
    /// Answers by number of the question: the number, and one bit that is set if the value is
    /// masked.
    answers: [AtomicU64; ANSWERS as usize],
}

/// Prepares for copies, before the first one is forked.
pub(super) fn open() -> io::Result<()> {
    let (ours, theirs) = UnixDatagram::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let size = size_of::<Shared>();
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: the kernel chooses a new place for the memory, which is never unmapped.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let memory = NonNull::new(memory.cast::<Shared>()).expect("it is not at address 0");
    // SAFETY: it is large enough, aligned to a page, and zeroed, which is valid for atomics. All
    // processes use it through atomics alone.
    let shared = unsafe { memory.as_ref() };
    let copies = Copies {
        shared,
        ours,
        theirs,
    };
    let _ = COPIES.set(copies);
    Ok(())
}

/// Sends a value from a copy to its worker, calls `wake`, and waits for the host's answer. `None`
/// if none arrives in time.
pub(super) fn ask(value: &str, patience: Duration, wake: impl FnOnce()) -> Option<bool> {
    let Copies { shared, theirs, .. } = COPIES.get()?;
    let number = shared.next.fetch_add(1, Ordering::Relaxed) + 1;
    let message = [&number.to_le_bytes()[..], value.as_bytes()].concat();
    if message.len() > MAX_MESSAGE {
        return Some(false);
    }
    let until = clock::now() + patience;
    // Without room for it, the worker is reading what other copies have sent.
    while theirs.send(&message).is_err() && clock::now() < until {
        std::thread::sleep(STEP);
    }
    wake();
    loop {
        let answer = shared.of(number).load(Ordering::Acquire);
        if answer >> 1 == number {
            return Some(answer & 1 == 1);
        }
        if clock::now() > until {
            return None;
        }
        std::thread::sleep(STEP);
    }
}

/// Passes the values that copies have sent to `take`, with their numbers. Does not block.
pub(super) fn each(mut take: impl FnMut(u64, &str)) {
    let Some(copies) = COPIES.get() else { return };
    let mut message = [0; MAX_MESSAGE];
    while let Ok(length) = copies.ours.recv(&mut message) {
        if let Some((number, value)) = message[..length].split_first_chunk()
            && let Ok(value) = std::str::from_utf8(value)
        {
            take(u64::from_le_bytes(*number), value);
        }
    }
}

/// Answers a question of a copy.
pub(super) fn answer(number: u64, hidden: bool) {
    if let Some(copies) = COPIES.get() {
        let answer = number << 1 | u64::from(hidden);
        copies.shared.of(number).store(answer, Ordering::Release);
    }
}

impl Shared {
    fn of(&self, number: u64) -> &AtomicU64 {
        let place = usize::try_from(number % ANSWERS).expect("it is small");
        &self.answers[place]
    }
}
