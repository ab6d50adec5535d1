//! Reading of this process's memory through the kernel: an address without memory is an error and
//! not a crash.
#![expect(unsafe_code, reason = "process_vm_readv")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use snakepit_walker::{Memory, Piece, Python, ThreadState};

/// Largest number of pieces that one system call copies.
const MAX_PIECES: usize = 600;

/// The memory and the layout that reading stacks requires. Only [`check`](super::check) creates it.
#[derive(Debug)]
pub(crate) struct Walker {
    pub(crate) memory: OwnMemory,
    pub(crate) python: Python,
    /// Offset, from `pthread_t`, of the thread id of the system; needed for versions of CPython
    /// whose thread states lack it.
    pub(crate) task_at: Option<u64>,
}

impl Walker {
    /// Returns the id of a thread in the system; 0 if unknown.
    pub(crate) fn task(&self, thread: &ThreadState) -> u32 {
        let Some(at) = self.task_at.filter(|_| thread.native_id == 0) else {
            return thread.native_id;
        };
        let mut number = [0; 4];
        let address = thread.ident.checked_add(at);
        let read = address.is_some_and(|address| self.memory.read(address, &mut number));
        if read { u32::from_ne_bytes(number) } else { 0 }
    }
}

/// Memory of this process.
#[derive(Debug)]
pub(crate) struct OwnMemory {
    process: libc::pid_t,
    /// `/proc/self/mem`, used if the system call is forbidden.
    file: Option<File>,
}

impl OwnMemory {
    /// Opens the memory: tries the system call, then the file.
    ///
    /// # Errors
    /// Neither of them works.
    pub(crate) fn open() -> io::Result<Self> {
        let known = 0x5eed_u64;
        let works = |memory: &Self| {
            let mut copy = [0; 8];
            let address = (&raw const known) as u64;
            memory.read(address, &mut copy) && u64::from_ne_bytes(copy) == known
        };
        // SAFETY: it takes no arguments and cannot fail.
        let process = unsafe { libc::getpid() };
        let by_call = Self {
            process,
            file: None,
        };
        if works(&by_call) {
            return Ok(by_call);
        }
        let refused = io::Error::last_os_error();
        let by_file = Self {
            process,
            file: Some(File::open("/proc/self/mem")?),
        };
        if works(&by_file) {
            return Ok(by_file);
        }
        Err(refused)
    }

    fn copy(&self, pieces: &mut [Piece<'_>]) -> bool {
        let mut here = [EMPTY; MAX_PIECES];
        let mut there = [EMPTY; MAX_PIECES];
        let (Some(here), Some(there)) =
            (here.get_mut(..pieces.len()), there.get_mut(..pieces.len()))
        else {
            return false;
        };
        let mut wanted = 0_usize;
        for (index, piece) in pieces.iter_mut().enumerate() {
            let length = piece.into.len();
            here[index] = libc::iovec {
                iov_base: piece.into.as_mut_ptr().cast(),
                iov_len: length,
            };
            there[index] = libc::iovec {
                iov_base: piece.address as *mut libc::c_void,
                iov_len: length,
            };
            wanted = wanted.saturating_add(length);
        }
        // SAFETY: the first vectors describe buffers that `pieces` borrows exclusively. The others
        // may be any numbers: the kernel checks them, and fails where there is no memory.
        let copied = unsafe {
            libc::process_vm_readv(
                self.process,
                here.as_ptr(),
                here.len() as libc::c_ulong,
                there.as_ptr(),
                there.len() as libc::c_ulong,
                0,
            )
        };
        usize::try_from(copied).is_ok_and(|copied| copied == wanted)
    }
}

const EMPTY: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

impl Memory for OwnMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        match &self.file {
            Some(file) => file.read_exact_at(into, address).is_ok(),
            None => {
                let length = into.len();
                let here = libc::iovec {
                    iov_base: into.as_mut_ptr().cast(),
                    iov_len: length,
                };
                let there = libc::iovec {
                    iov_base: address as *mut libc::c_void,
                    iov_len: length,
                };
                // SAFETY: as in `copy`, with one vector each.
                let copied = unsafe {
                    libc::process_vm_readv(self.process, &raw const here, 1, &raw const there, 1, 0)
                };
                usize::try_from(copied).is_ok_and(|copied| copied == length)
            }
        }
    }

    fn read_each(&self, pieces: &mut [Piece<'_>]) -> bool {
        if self.file.is_some() {
            return pieces
                .iter_mut()
                .all(|piece| self.read(piece.address, piece.into));
        }
        self.copy(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_copy_what_is_there_and_survive_what_is_not() {
        let by_call = OwnMemory::open().unwrap();
        let by_file = OwnMemory {
            process: by_call.process,
            file: Some(File::open("/proc/self/mem").unwrap()),
        };
        let data = [7_u8; 40];
        let at = data.as_ptr() as u64;
        for memory in [by_call, by_file] {
            let (mut first, mut second) = ([0; 8], [0; 40]);
            let mut pieces = [
                Piece {
                    address: at,
                    into: &mut first,
                },
                Piece {
                    address: at,
                    into: &mut second,
                },
            ];
            assert!(memory.read_each(&mut pieces));
            assert_eq!((first, second), ([7; 8], data));
            for nowhere in [0, 8, u64::MAX, u64::MAX - 7, 1 << 63] {
                assert!(!memory.read(nowhere, &mut first));
                let mut pieces = [Piece {
                    address: nowhere,
                    into: &mut second,
                }];
                assert!(!memory.read_each(&mut pieces));
            }
        }
    }
}
