//! The few system calls that neither the standard library nor nix wraps.
#![expect(unsafe_code, reason = "raw system calls; each has its own SAFETY text")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use crate::child::Exit;

/// Flag that sends a signal to the process group led by the process of the pidfd (Linux 6.9).
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

/// Opens a pidfd, which is closed at exec.
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

/// Signals the process behind a pidfd; signal 0 only checks.
pub(crate) fn pidfd_signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(fd, signal, 0)
}

/// Signals the group led by the process behind a pidfd, even if the leader is gone.
pub(crate) fn pidfd_signal_group(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(fd, signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

/// Sets the soft limit for file locks of a process and keeps its hard limit. `pid` 0 is this
/// process.
pub(crate) fn limit_file_locks(pid: i32, soft: u64) -> io::Result<()> {
    let (_, hard) = file_lock_limits(pid)?;
    let new = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: both pointers refer to structures of this function, or are null, which means none.
    check(
        unsafe {
            libc::prlimit64(
                pid,
                libc::RLIMIT_LOCKS,
                &raw const new,
                std::ptr::null_mut(),
            )
        }
        .into(),
    )?;
    Ok(())
}

/// Returns the soft and the hard limit for file locks of a process. `pid` 0 is this process.
pub(crate) fn file_lock_limits(pid: i32) -> io::Result<(u64, u64)> {
    let mut old = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call fills the structure that it is given; the other pointer means no change.
    check(
        unsafe { libc::prlimit64(pid, libc::RLIMIT_LOCKS, std::ptr::null(), &raw mut old) }.into(),
    )?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// The fields after the common part of a `siginfo_t` for a queued signal.
#[repr(C)]
struct Queued {
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: *mut libc::c_void,
}

/// Signals the process behind a pidfd with a value that the signal's handler can read.
pub(crate) fn pidfd_queue(fd: BorrowedFd<'_>, signal: i32, value: usize) -> io::Result<()> {
    let queued = Queued {
        pid: nix::unistd::getpid().as_raw(),
        uid: nix::unistd::getuid().as_raw(),
        value: std::ptr::without_provenance_mut(value),
    };
    // The three numbers of the common part come first.
    let offset = (3 * size_of::<libc::c_int>()).next_multiple_of(align_of::<Queued>());
    // SAFETY: all zeros is a valid siginfo; the fields of a queued signal lie within it, at an
    // offset that its C declaration fixes. The kernel only reads it.
    check(unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        info.si_signo = signal;
        info.si_code = libc::SI_QUEUE;
        let at = (&raw mut info).cast::<u8>().add(offset);
        at.cast::<Queued>().write_unaligned(queued);
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            &raw const info,
            0,
        )
    })?;
    Ok(())
}

/// Returns `true` if this kernel signals groups through a pidfd.
pub(crate) fn has_group_signal() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let me = i32::try_from(std::process::id()).expect("a process id fits an i32");
        let Ok(fd) = pidfd_open(me) else { return false };
        let answer = pidfd_signal_group(std::os::fd::AsFd::as_fd(&fd), 0);
        // ESRCH only means that this process leads no group.
        answer.is_ok() || answer.is_err_and(|e| e.raw_os_error() == Some(libc::ESRCH))
    })
}

/// Returns the exit of the child behind a pidfd. `None` while it runs. The child is reaped unless
/// `keep` is set. Not done with nix, which cannot represent an end by a real-time signal.
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

/// Returns the number that identifies a process until the next boot. `None` before Linux 6.9.
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

/// Requests that the kernel sends SIGKILL to a process group as soon as the other end of a pipe
/// closes.
pub(crate) fn arm(read_end: BorrowedFd<'_>, pgid: i32) -> io::Result<()> {
    notify(read_end, -pgid, libc::SIGKILL)
}

/// Requests that the kernel signals a process, or a group by its negative number, when data arrive
/// at a pipe or socket or its other end closes.
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

/// Takes ownership of a descriptor that was just created for this process and that has no other
/// owner.
pub(crate) fn adopt(fd: std::os::fd::RawFd) -> OwnedFd {
    // SAFETY: the callers pass a descriptor that a system call has just returned.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gives the calling thread a descriptor table of its own that holds only `keep` and standard
/// descriptors that lead to `/dev/null`.
pub(crate) fn own_descriptors(keep: i32) -> io::Result<()> {
    const CLOSE_RANGE_UNSHARE: libc::c_uint = 1 << 1;
    let keep = keep.unsigned_abs();
    let close = |first: u32, last: u32, flags: libc::c_uint| {
        // SAFETY: the call takes three numbers. Nothing of this thread uses what it closes: from
        // the first one on the table belongs to this thread, which has opened nothing yet.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
    };
    match close(keep + 1, u32::MAX, CLOSE_RANGE_UNSHARE) {
        Ok(_) if keep > 3 => drop(close(3, keep - 1, 0)),
        Ok(_) => {}
        Err(_) => {
            // Linux before 5.9, or a filter of system calls that does not know this one.
            // SAFETY: the call takes a number.
            check(unsafe { libc::unshare(libc::CLONE_FILES) }.into())?;
            for number in open_descriptors().filter(|&fd| fd > 2 && fd.unsigned_abs() != keep) {
                // SAFETY: the descriptor is in this thread's own table, and nothing here uses it.
                unsafe { libc::close(number) };
            }
        }
    }
    // SAFETY: the path ends with NUL, and the descriptors belong to this thread alone.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for standard in 0..3 {
            libc::dup2(null, standard);
        }
        if null > 2 {
            libc::close(null);
        }
    }
    Ok(())
}

/// Returns the descriptors of the calling thread, or all numbers that they may have if the list
/// cannot be read.
fn open_descriptors() -> Box<dyn Iterator<Item = i32>> {
    let Ok(entries) = std::fs::read_dir("/proc/thread-self/fd") else {
        return Box::new(0..1 << 16);
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
    Box::new(numbers.collect::<Vec<i32>>().into_iter())
}

/// Locks an open file. `WouldBlock` if another process has locked it.
pub(crate) fn lock_exclusive(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes two numbers.
    check(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }.into())?;
    Ok(())
}

/// Returns `true` if this process has a controlling terminal (tty(4)), or may have one.
pub(crate) fn has_terminal() -> bool {
    // SAFETY: the path ends with NUL.
    let fd = unsafe {
        libc::open(
            c"/dev/tty".as_ptr(),
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return io::Error::last_os_error().raw_os_error() != Some(libc::ENXIO);
    }
    // SAFETY: the descriptor was opened here and has no other owner.
    unsafe { libc::close(fd) };
    true
}
