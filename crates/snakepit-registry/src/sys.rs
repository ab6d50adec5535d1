//! The few system calls that neither the standard library nor nix wraps.
#![expect(unsafe_code, reason = "raw system calls; each has its own SAFETY text")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use crate::child::Exit;

/// Sends a signal to the process group whose id is the process of the pidfd (Linux 6.9).
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
const F_SETSIG: libc::c_int = 10;
/// `f_type` of the file system that pidfds live on since Linux 6.9.
const PIDFS_MAGIC: libc::c_long = 0x5049_4446;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A descriptor of a process; it is closed at exec.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just returned this descriptor, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn send(fd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is documented to mean "as kill(2) would fill it".
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            info,
            flags,
        )
    })?;
    Ok(())
}

/// Signals the process behind a pidfd; 0 only checks.
pub(crate) fn pidfd_signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(fd, signal, 0)
}

/// Signals the group led by the process behind a pidfd, also when the leader is gone already.
pub(crate) fn pidfd_signal_group(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(fd, signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

/// Whether this kernel signals groups through a pidfd.
pub(crate) fn has_group_signal() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let me = i32::try_from(std::process::id()).expect("a process id fits an i32");
        let Ok(fd) = pidfd_open(me) else { return false };
        let answer = pidfd_signal_group(std::os::fd::AsFd::as_fd(&fd), 0);
        // ESRCH only says that this process leads no group.
        answer.is_ok() || answer.is_err_and(|e| e.raw_os_error() == Some(libc::ESRCH))
    })
}

/// How the child behind a pidfd has ended; `None` while it runs. It is reaped unless `keep`. The
/// ends by real-time signals are the reason that this is not nix.
pub(crate) fn wait_exit(fd: BorrowedFd<'_>, keep: bool) -> io::Result<Option<Exit>> {
    let id = fd.as_raw_fd().unsigned_abs();
    let flags = libc::WEXITED | libc::WNOHANG | if keep { libc::WNOWAIT } else { 0 };
    // SAFETY: all zeros is a valid siginfo, and the call fills it.
    let info = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        check(libc::waitid(libc::P_PIDFD, id, &raw mut info, flags).into())?;
        info
    };
    // SAFETY: after waitid these fields are those of a child's end, or zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(status),
        _ => Exit::Signal(status),
    };
    Ok((pid != 0).then_some(exit))
}

/// The number that identifies a process until the next boot; `None` before Linux 6.9.
pub(crate) fn pidfs_inode(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut fs = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the buffer has the size of a statfs and is only read after the call succeeded.
    if unsafe { libc::fstatfs(fd.as_raw_fd(), fs.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: fstatfs has filled the buffer.
    if unsafe { fs.assume_init() }.f_type as libc::c_long != PIDFS_MAGIC {
        return None;
    }
    nix::sys::stat::fstat(fd).ok().map(|stat| stat.st_ino)
}

/// Asks the kernel to send SIGKILL to a process group as soon as the other end of a pipe closes.
pub(crate) fn arm(read_end: BorrowedFd<'_>, pgid: i32) -> io::Result<()> {
    notify(read_end, -pgid, libc::SIGKILL)
}

/// Asks the kernel to signal a process, or a group by its negative number, when something
/// happens to a pipe or socket: data arrive, or the other end closes.
pub(crate) fn notify(fd: BorrowedFd<'_>, owner: i32, signal: i32) -> io::Result<()> {
    let fd = fd.as_raw_fd();
    let control = |command: libc::c_int, argument: libc::c_int| {
        // SAFETY: these commands of fcntl take an integer and touch no memory of ours.
        check(unsafe { libc::fcntl(fd, command, argument) }.into())
    };
    control(libc::F_SETOWN, owner)?;
    control(F_SETSIG, signal)?;
    let flags = control(libc::F_GETFL, 0)?;
    control(libc::F_SETFL, flags as libc::c_int | libc::O_ASYNC)?;
    Ok(())
}
