//! The main function of a shim.
#![expect(
    unsafe_code,
    reason = "two descriptors come by number, and the process ends without destructors"
)]

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::socket::{MsgFlags, send};

use crate::containment::Containment;
use crate::shim::entry::{CONTROL, ORDER};
use crate::shim::namespace;
use crate::shim::supervise::{self, Reach};
use crate::shim::wire::{Note, Order, Stage};
use crate::sys;

/// What a part of the shim's work answers.
pub(super) type Step<T> = Result<T, (Stage, Errno)>;

/// Says in which part something failed.
pub(super) fn at(stage: Stage) -> impl Fn(Errno) -> (Stage, Errno) {
    move |errno| (stage, errno)
}

/// The socket to the host.
pub(super) fn control() -> BorrowedFd<'static> {
    // SAFETY: the constructor has seen a socket there, and nothing closes it.
    unsafe { BorrowedFd::borrow_raw(CONTROL) }
}

/// Standard input: the death pipe, whose other end only the host has.
pub(super) fn death() -> BorrowedFd<'static> {
    // SAFETY: the host gives a standard input, and nothing closes it.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Tells the host. When it is gone, nobody has to know.
pub(super) fn tell(note: Note) {
    let _ = send(
        control().as_raw_fd(),
        &note.encode(),
        MsgFlags::MSG_NOSIGNAL,
    );
}

/// Ends the process. The program's exit handlers belong to its `main`, which never ran.
pub(super) fn leave() -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(0) }
}

/// Closes the outputs: their readers wait for the end of the worker and of what it starts.
pub(super) fn close_outputs() -> Step<()> {
    let null = File::options().write(true).open("/dev/null");
    let null = null.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)));
    let null = null.map_err(at(Stage::Setup))?;
    nix::unistd::dup2_stdout(&null).map_err(at(Stage::Setup))?;
    nix::unistd::dup2_stderr(&null).map_err(at(Stage::Setup))
}

/// Does what the host orders, and never returns.
pub(super) fn run() -> ! {
    if let Err((stage, errno)) = work() {
        let errno = errno as i32;
        tell(Note::Failed { stage, errno });
    }
    leave()
}

fn work() -> Step<()> {
    let setup = at(Stage::Setup);
    // Signals to everybody, as a service manager sends them, are for the worker to answer.
    SigSet::all().thread_block().map_err(&setup)?;
    prctl::set_name(c"snakepit-shim").map_err(&setup)?;
    fcntl(control(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(&setup)?;
    let order = read_order().ok_or((Stage::Setup, Errno::EBADMSG))?;
    // A shim that was stopped would not see its host's end; the kernel wakes it then.
    let me = nix::unistd::getpid().as_raw();
    let _ = sys::notify(control().as_fd(), me, libc::SIGCONT);
    tell(Note::Ready);
    if order.mode == Containment::PidNamespace {
        return namespace::run(&order);
    }
    prctl::set_child_subreaper(true).map_err(&setup)?;
    supervise::run(&order, &Reach::of(&order))
}

fn read_order() -> Option<Order> {
    // SAFETY: the host has put the order there, and nothing else owns the descriptor.
    let mut file = unsafe { File::from_raw_fd(ORDER) };
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.read_to_end(&mut bytes).ok()?;
    Order::decode(&bytes)
}
