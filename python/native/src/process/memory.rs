//! Settings of the C allocator.
#![expect(unsafe_code, reason = "mallopt")]

/// Largest block that is taken from the heap; glibc allows no larger value.
const HEAP_BLOCK: i32 = 32 << 20;

/// Free memory that is kept at the end of the heap.
const KEPT: i32 = 64 << 20;

/// Makes the allocator keep freed megabytes for the next payload. A fresh page costs more than
/// copying it: with glibc's defaults, each payload of a few megabytes is mapped, faulted in page by
/// page, and returned.
pub(crate) fn keep_warm() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets numbers under the allocator's own lock; a failure changes
    // nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
