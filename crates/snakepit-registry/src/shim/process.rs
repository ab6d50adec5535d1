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

/// The result of a step of the shim's work.
pub(super) type Step<T> = Result<T, (Stage, Errno)>;

/// Adds the stage to an error.
pub(super) fn at(stage: Stage) -> impl Fn(Errno) -> (Stage, Errno) {
    move |errno| (stage, errno)
}

/// Returns the socket to the host.
pub(super) fn control() -> BorrowedFd<'static> {
    // SAFETY: the constructor has seen a socket there, and nothing closes it.
    unsafe { BorrowedFd::borrow_raw(CONTROL) }
}

/// Returns standard input: the death pipe, whose other end only the host has.
pub(super) fn death() -> BorrowedFd<'static> {
    // SAFETY: the host gives a standard input, and nothing closes it.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Sends a note to the host. An error is ignored: a host that is gone needs no notes.
pub(super) fn send_note(note: Note) {
    let _ = send(
        control().as_raw_fd(),
        &note.encode(),
        MsgFlags::MSG_NOSIGNAL,
    );
}

/// Ends the process without the program's exit handlers, because its `main` never ran.
pub(super) fn leave() -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(0) }
}

/// Closes the outputs, so that their readers see the end of the worker and its descendants.
pub(super) fn close_outputs() -> Step<()> {
    let null = File::options().write(true).open("/dev/null");
    let null = null.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)));
    let null = null.map_err(at(Stage::Setup))?;
    nix::unistd::dup2_stdout(&null).map_err(at(Stage::Setup))?;
    nix::unistd::dup2_stderr(&null).map_err(at(Stage::Setup))
}

/// Executes the host's order and never returns.
pub(super) fn run() -> ! {
    if let Err((stage, errno)) = work() {
        let errno = errno as i32;
        send_note(Note::Failed { stage, errno });
    }
    leave()
}

fn work() -> Step<()> {
    let setup = at(Stage::Setup);
    // Signals to all processes, as a service manager sends them, are left to the worker.
    SigSet::all().thread_block().map_err(&setup)?;
    prctl::set_name(c"snakepit-shim").map_err(&setup)?;
    fcntl(control(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(&setup)?;
    let order = read_order().ok_or((Stage::Setup, Errno::EBADMSG))?;
    // A stopped shim would miss the end of its host, so the kernel is requested to wake it then.
    let me = nix::unistd::getpid().as_raw();
    let _ = sys::notify(control().as_fd(), me, libc::SIGCONT);
    send_note(Note::Ready);
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
