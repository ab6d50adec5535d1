//! Raw reads and writes on a connected socket, blocking or not.
#![expect(
    unsafe_code,
    reason = "std has no read into spare capacity, and no write that does not wait on a blocking socket"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Reads into spare capacity. Returns the number of bytes, 0 at the end of the connection.
///
/// # Errors
/// The read fails or is interrupted.
pub(crate) fn read(fd: &OwnedFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    // SAFETY: the pointer and the length describe memory that `buffer` owns; the kernel writes at
    // most that many bytes.
    let count = unsafe { libc::recv(fd.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len(), 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel initialised `count` bytes behind the old length.
    unsafe { buffer.set_len(buffer.len() + count) };
    Ok(count)
}

/// Writes up to two parts. Returns how many bytes the kernel took. With `wait`, blocks until it
/// takes some.
pub(crate) fn write(fd: &OwnedFd, parts: [&[u8]; 2], wait: bool) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | if wait { 0 } else { libc::MSG_DONTWAIT };
    if parts[1].is_empty() {
        // SAFETY: the pointer and the length describe `parts[0]`; the kernel only reads it.
        let count = unsafe {
            libc::send(
                fd.as_raw_fd(),
                parts[0].as_ptr().cast(),
                parts[0].len(),
                flags,
            )
        };
        return usize::try_from(count).map_err(|_| io::Error::last_os_error());
    }
    let mut slices = parts.map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    // SAFETY: a zeroed header is a valid empty one; the fields that matter are set below.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: the vectors point into `parts`, which outlive the call; the kernel only reads them.
    let count = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes both parts completely, blocking. Repeats interrupted writes.
pub(crate) fn write_all(fd: &OwnedFd, mut parts: [&[u8]; 2]) -> io::Result<()> {
    while !(parts[0].is_empty() && parts[1].is_empty()) {
        match write(fd, parts, true) {
            Ok(count) => advance(&mut parts, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Drops the first `count` bytes of both parts together.
pub(crate) fn advance(parts: &mut [&[u8]; 2], count: usize) {
    let first = count.min(parts[0].len());
    parts[0] = &parts[0][first..];
    parts[1] = &parts[1][count - first..];
}

/// Returns the number of bytes that the other end has not read yet, including the kernel's
/// overhead.
pub(crate) fn unread(fd: &OwnedFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the pointer refers to the number that this request writes.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } {
        0 => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until a connection has room for a frame. Returns `false` after `patience`, or when a
/// signal arrives.
pub(crate) fn writable(fd: &impl AsRawFd, patience: Option<Duration>) -> bool {
    let mut watched = watch(fd.as_raw_fd(), libc::POLLOUT);
    // SAFETY: the pointer refers to one structure, as the number says.
    let count = unsafe { libc::poll(&raw mut watched, 1, milliseconds(patience)) };
    count > 0 && watched.revents != 0
}

/// Waits until a connection is readable or has ended. Returns `false` after `patience`, or when a
/// signal arrives.
pub(crate) fn readable(fd: &impl AsRawFd, patience: Option<Duration>) -> io::Result<bool> {
    any([watch(fd.as_raw_fd(), libc::POLLIN)], patience).map(|[readable]| readable != 0)
}

/// Returns the entry of `poll` for a descriptor; a negative descriptor is ignored.
pub(crate) const fn watch(fd: RawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// Waits until one of the descriptors has an event, `patience` is over, or a signal arrives.
/// Returns the events of each descriptor.
pub(crate) fn any<const N: usize>(
    mut watched: [libc::pollfd; N],
    patience: Option<Duration>,
) -> io::Result<[libc::c_short; N]> {
    let many = N as libc::nfds_t;
    // SAFETY: the pointer refers to `N` structures, as the number says.
    let count = unsafe { libc::poll(watched.as_mut_ptr(), many, milliseconds(patience)) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok([0; N]),
            _ => Err(error),
        };
    }
    Ok(watched.map(|watched| watched.revents))
}

/// Converts a time to milliseconds for `poll`. Rounds up: a wait that ends too early would be
/// repeated in a busy loop.
pub(crate) fn milliseconds(patience: Option<Duration>) -> i32 {
    patience.map_or(-1, |patience| {
        let whole = patience.as_nanos().div_ceil(1_000_000);
        i32::try_from(whole).unwrap_or(i32::MAX)
    })
}
