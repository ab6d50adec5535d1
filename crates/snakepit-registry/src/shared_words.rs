//! A file mapped into memory as atomic words that outlive the process.
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

/// Words that this process writes and that others can read in a file, even after this process was
/// killed. All words are zero at first.
///
/// Truncating the file while it is mapped crashes this process, so the file must lie in a directory
/// that only this user can access.
pub struct SharedWords {
    words: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the type hands out only shared references to atomics, and owns the mapping that holds
// them.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Allocates space for `len` words in an empty file and maps it.
    pub(crate) fn map(file: &File, len: usize) -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let bytes = len
            .checked_mul(size_of::<AtomicU64>())
            .filter(|it| *it > 0)
            .ok_or_else(invalid)?;
        let size = libc::off_t::try_from(bytes).map_err(|_| invalid())?;
        // SAFETY: the call takes integers and touches no memory of ours. It reserves the disk
        // space, because a write to a mapped page without disk space would crash the process.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the address, so no mapping of ours is replaced. The file is as
        // long as the mapping.
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
        // SAFETY: the mapping is `len` words long, page-aligned, and lives as long as `self`; every
        // bit pattern is a valid atomic word.
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
