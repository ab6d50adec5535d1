//! A file as words in memory that outlive the process.
#![expect(
    unsafe_code,
    reason = "a mapping of memory; each block has its own SAFETY text"
)]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

/// Words that a process writes and others can read in its file, also after it was killed. All zero at first.
///
/// Whoever cuts the file off while it is mapped ends this process: it must lie in a directory of this user alone.
pub struct SharedWords {
    words: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: it gives out shared references to atomics alone, and owns the mapping that they lie in.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Gives an empty file room for so many words, and maps it.
    pub(crate) fn map(file: &File, len: usize) -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let bytes = len
            .checked_mul(size_of::<AtomicU64>())
            .filter(|it| *it > 0)
            .ok_or_else(invalid)?;
        let size = libc::off_t::try_from(bytes).map_err(|_| invalid())?;
        // SAFETY: the call takes integers and touches no memory of ours. It reserves the room: a write to a mapped page that the disk has
        // no room for would end the process.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the place, so nothing of ours is replaced; the file is as long as the mapping.
        let mapped =
            unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(mapped.cast()).ok_or_else(invalid)?;
        Ok(Self { words, len })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is `len` words long, page-aligned, and lives as long as `self`; every pattern of bits is an atomic word.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.len) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference into it outlives `self`.
        unsafe {
            libc::munmap(
                self.words.as_ptr().cast(),
                self.len * size_of::<AtomicU64>(),
            )
        };
    }
}

impl fmt::Debug for SharedWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWords")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn what_is_written_is_in_the_file_at_once_and_stays_there() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let words = SharedWords::map(file.as_file(), 1000).expect("it is mapped");
        assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        words[999].store(0x0102_0304_0506_0708, Ordering::Relaxed);
        let read = || std::fs::read(file.path()).expect("it is there");
        let last = 0x0102_0304_0506_0708_u64.to_ne_bytes();
        assert_eq!((read().len(), &read()[7992..]), (8000, &last[..]));
        drop(words);
        assert_eq!(&read()[7992..], &last[..]);
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for words in [0, usize::MAX, usize::MAX / 16] {
            SharedWords::map(file.as_file(), words).expect_err("it has no such size");
        }
        let (_, writer) = std::io::pipe().expect("a pipe");
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        SharedWords::map(&pipe, 8).expect_err("a pipe has no size");
    }
}
