//! How the C allocator keeps memory.
#![expect(unsafe_code, reason = "mallopt")]

/// Blocks up to this size come from the heap, the largest value that glibc takes.
const HEAP_BLOCK: i32 = 32 << 20;

/// Free memory at the end of the heap that is kept.
const KEPT: i32 = 64 << 20;

/// Keeps freed megabytes for the next payload. A fresh page costs more than copying it: with
/// glibc's own settings each payload of a few megabytes is mapped, faulted in page by page, and
/// given back.
pub(crate) fn keep_warm() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets numbers under the allocator's own lock; a refusal changes
    // nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
