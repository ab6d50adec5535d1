//! Descriptors that forked copies of this process do not inherit.
//!
//! A `fork` without `exec` copies every descriptor of the process: a copy that outlives its host
//! would keep the death pipes open and the locks held. So these descriptors belong to a thread that
//! has a descriptor table of its own. That thread never forks, and its table disappears with the
//! process, however the process ends. Where the system forbids such a table (`seccomp`), the
//! descriptors are in the shared table, and [`is_private`] returns `false`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use crossbeam::channel::bounded;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use crate::launch::clear_below;
use crate::{image, sys};

/// The requests to the thread: create a pipe, take a lock, close a descriptor.
const PIPE: u8 = b'p';
const LOCK: u8 = b'l';
const CLOSE: u8 = b'c';
/// Bytes of a message: an operation and a number.
const MESSAGE: usize = 5;

/// The write end of a pipe, or a lock, kept by the thread. Closed on drop.
#[derive(Debug)]
pub(crate) struct Kept {
    place: Place,
    /// The process that owns it. Dropping it in a forked copy closes nothing.
    owner: u32,
}

#[derive(Debug)]
enum Place {
    /// The descriptor's number in the thread's table.
    Private(RawFd),
    /// A pipe in the table of the process.
    Pipe(#[expect(dead_code, reason = "held to be closed")] OwnedFd),
    /// A lock in the table of the process.
    Lock(#[expect(dead_code, reason = "held for its lock")] Flock<File>),
}

/// The keeper thread of a process, or the fact that it cannot have one.
#[derive(Debug)]
struct Thread {
    process: u32,
    /// The socket for requests. `None` if the thread cannot have a table of its own.
    socket: Option<OwnedFd>,
}

static THREAD: Mutex<Option<Thread>> = Mutex::new(None);

/// Creates a pipe: its read end, and its write end, which copies do not inherit.
pub(crate) fn pipe() -> io::Result<(OwnedFd, Kept)> {
    match ask(PIPE, None)? {
        Some((number, Some(read))) => {
            Ok((clear_below(read, 3)?, Kept::new(Place::Private(number))))
        }
        Some((number, None)) => {
            // The table of the process had no room for the read end.
            drop(Kept::new(Place::Private(number)));
            Err(io::Error::from_raw_os_error(libc::EMFILE))
        }
        None => {
            let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
            let write = clear_below(write, 3)?;
            Ok((read, Kept::new(Place::Pipe(write))))
        }
    }
}

/// Locks a file for this process alone and for no copy of it. `None` if the lock is taken.
pub(crate) fn lock(file: &File) -> io::Result<Option<Kept>> {
    let held = match ask(LOCK, Some(file)) {
        Ok(Some((number, _))) => Place::Private(number),
        Ok(None) => match Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Place::Lock(lock),
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, e)) => return Err(e.into()),
        },
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(Some(Kept::new(held)))
}

/// Returns `true` if copies of this process inherit none of the kept descriptors. Starts the thread
/// if it does not run yet.
pub(crate) fn is_private() -> bool {
    thread().is_ok_and(|thread| thread.as_ref().is_some_and(|it| it.socket.is_some()))
}

impl Kept {
    fn new(place: Place) -> Self {
        let owner = std::process::id();
        Self { place, owner }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Place::Private(number) = self.place else {
            return;
        };
        if self.owner == std::process::id()
            && let Ok(thread) = thread()
            && let Some(socket) = thread.as_ref().and_then(|thread| thread.socket.as_ref())
        {
            // The thread always reads, so this fails only while the process ends, which closes the
            // descriptor as well.
            let _ = send(socket, CLOSE, number, None);
        }
    }
}

/// Returns the thread. Starts it if there is none, also in a forked copy of the process that
/// started it.
fn thread() -> io::Result<MutexGuard<'static, Option<Thread>>> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if thread
        .as_ref()
        .is_none_or(|thread| thread.process != process)
    {
        let socket = start()?;
        *thread = Some(Thread { process, socket });
    }
    Ok(thread)
}

/// Starts the thread. `None` if it cannot have a descriptor table of its own.
fn start() -> io::Result<Option<OwnedFd>> {
    let (near, far) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    let far = clear_below(far, 3)?;
    let number = far.as_raw_fd();
    let (reply, answer) = bounded(1);
    Builder::new()
        .name("snakepit-keeper".to_owned())
        .spawn(move || {
            // The host's signal handlers would find none of their descriptors in this table.
            let _ = image::block_signals();
            let own = sys::own_descriptors(number);
            let alone = own.is_ok();
            let _ = reply.send(own);
            if alone {
                serve(&far);
            }
        })?;
    match answer.recv() {
        Ok(Ok(())) => {
            // Closes the thread's end in the table of the process; the thread has its own copy.
            drop(sys::adopt(number));
            Ok(Some(near))
        }
        // The thread has closed its end in the table that all threads share.
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

/// Sends a request to the thread. `None` if there is no thread with a table of its own.
fn ask(what: u8, file: Option<&File>) -> io::Result<Option<(RawFd, Option<OwnedFd>)>> {
    let thread = thread()?;
    let Some(socket) = thread.as_ref().and_then(|thread| thread.socket.as_ref()) else {
        return Ok(None);
    };
    send(socket, what, 0, file.map(AsRawFd::as_raw_fd))?;
    let (_, answer, fd) = receive(socket)?;
    if answer < 0 {
        return Err(io::Error::from_raw_os_error(-answer));
    }
    Ok(Some((answer, fd)))
}

/// Serves requests until the process ends. If this returned, all kept descriptors would be closed.
fn serve(socket: &OwnedFd) {
    let mut kept: BTreeMap<RawFd, OwnedFd> = BTreeMap::new();
    loop {
        // A panic must not end the thread: that would kill every child.
        let _ = catch_unwind(AssertUnwindSafe(|| turn(socket, &mut kept)));
    }
}

fn turn(socket: &OwnedFd, kept: &mut BTreeMap<RawFd, OwnedFd>) {
    let Ok((what, number, fd)) = receive(socket) else {
        return;
    };
    let made = match what {
        CLOSE => {
            kept.remove(&number);
            return;
        }
        PIPE => nix::unistd::pipe2(OFlag::O_CLOEXEC)
            .map(|(read, write)| (write, Some(read)))
            .map_err(io::Error::from),
        _ => fd
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))
            .and_then(|fd| Ok((own_lock(&fd)?, None))),
    };
    let sent = match made {
        Ok((own, other)) => {
            let number = own.as_raw_fd();
            let sent = send(socket, what, number, other.as_ref().map(AsRawFd::as_raw_fd));
            if sent.is_ok() {
                kept.insert(number, own);
            }
            sent
        }
        Err(e) => Err(e),
    };
    if let Err(e) = sent {
        let code = e.raw_os_error().unwrap_or(libc::EIO);
        let _ = send(socket, what, -code, None);
    }
}

/// Opens the file again, so that no other descriptor shares its lock, and locks it.
fn own_lock(fd: &OwnedFd) -> io::Result<OwnedFd> {
    // In this thread `/proc/self` names the descriptors of the main thread.
    let again = File::open(format!("/proc/thread-self/fd/{}", fd.as_raw_fd()))?;
    sys::lock_exclusive(again.as_fd())?;
    Ok(again.into())
}

fn send(socket: &OwnedFd, what: u8, number: i32, fd: Option<RawFd>) -> io::Result<()> {
    let mut bytes = [what; MESSAGE];
    bytes[1..].copy_from_slice(&number.to_ne_bytes());
    let fds = fd.map(|fd| [fd]);
    let rights: Vec<_> = fds
        .iter()
        .map(|fds| ControlMessage::ScmRights(fds))
        .collect();
    loop {
        let parts = [IoSlice::new(&bytes)];
        match sendmsg::<()>(
            socket.as_raw_fd(),
            &parts,
            &rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Err(Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

fn receive(socket: &OwnedFd) -> io::Result<(u8, i32, Option<OwnedFd>)> {
    let mut bytes = [0; MESSAGE];
    let mut space = nix::cmsg_space!(RawFd);
    let (length, fd) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
            Ok(got) => {
                let fd = got.cmsgs()?.find_map(|message| match message {
                    ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                    _ => None,
                });
                break (got.bytes, fd.map(sys::adopt));
            }
        }
    };
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (what, number) = (bytes[0], [bytes[1], bytes[2], bytes[3], bytes[4]]);
    Ok((what, i32::from_ne_bytes(number), fd))
}
