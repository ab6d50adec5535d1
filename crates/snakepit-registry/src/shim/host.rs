//! The host's side of a shim.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixCredentials, recvmsg,
    send, setsockopt, socketpair, sockopt,
};

use crate::cgroup;
use crate::clock::Deadline;
use crate::containment::{Containment, Refusal};
use crate::cookie::COOKIES_VAR;
use crate::error::Error;
use crate::image::{self, Image};
use crate::launch::{HOST_PID_VAR, clear_below, null};
use crate::pidfd::PidFd;
use crate::shim::entry::{self, MARKER, VERSION};
use crate::shim::wire::{NOTE, Note, Order, Stage};
use crate::sys;

/// Longest time that a shim may take from its start to the start of its worker.
const BIRTH: Duration = Duration::from_secs(10);
/// Lowest number of the shim's descriptors in the host, above their numbers in the shim.
const HIGH: i32 = 10;

/// The reason no worker was started.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The mode does not work here.
    Mode(Refusal),
    /// The system has no resources, or the program cannot be executed.
    Program(io::Error),
    /// The registry cannot start processes.
    Registry(Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Program(errno.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Program(error)
    }
}

/// A shim that is about to be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) image: Image,
    control: OwnedFd,
    /// The worker's standard input, which will be armed for the worker.
    stdin: OwnedFd,
}

/// Creates the image of a shim from the image of its worker.
pub(crate) fn prepare(
    worker: Image,
    mode: Containment,
    cgroup: Option<&Path>,
) -> Result<Prepared, Failure> {
    entry::installed().map_err(Failure::Mode)?;
    let Image {
        program,
        argv,
        envp,
        cwd,
        stdio,
        held_back,
        stamp,
        ..
    } = worker;
    let cookies = format!("{COOKIES_VAR}=");
    let mut own: Vec<CString> = envp
        .iter()
        .filter(|entry| entry.as_bytes().starts_with(cookies.as_bytes()))
        .cloned()
        .collect();
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|e| Failure::Program(e.into()));
    let cgroup = cgroup.map(|dir| text(dir.as_os_str().as_bytes().to_vec()));
    // The worker's parent is the shim, which adds its own id.
    let parent = format!("{HOST_PID_VAR}=");
    let mut envp = envp;
    envp.retain(|entry| !entry.as_bytes().starts_with(parent.as_bytes()));
    let order = Order {
        mode,
        program: (!program.is_empty()).then_some(program),
        cwd,
        cgroup: cgroup.transpose()?,
        argv,
        envp,
        held_back,
    };
    own.push(text(
        [MARKER.to_bytes(), b"=", VERSION.to_bytes()].concat(),
    )?);
    // Without this variable the loader may not find the program's libraries.
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
        let mut entry = OsString::from("LD_LIBRARY_PATH=");
        entry.push(path);
        own.push(text(entry.as_bytes().to_vec())?);
    }
    let mut letter = File::from(memfd_create(c"order", MFdFlags::MFD_CLOEXEC)?);
    letter.write_all(&order.encode())?;
    let (control, far) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    setsockopt(&control, sockopt::PassCred, &true)?;
    let stdin = match &stdio[0] {
        Some(read_end) => read_end.try_clone()?,
        None => null(false)?,
    };
    let more = vec![
        clear_below(far, HIGH)?,
        clear_below(OwnedFd::from(letter), HIGH)?,
    ];
    let image = Image {
        program: c"/proc/self/exe".to_owned(),
        argv: vec![c"snakepit-shim".to_owned()],
        envp: own,
        cwd: None,
        stdio,
        more,
        // The signals are blocked until the shim blocks all signals itself.
        held_back: true,
        stamp,
    };
    Ok(Prepared {
        image,
        control,
        stdin,
    })
}

/// A worker that executes its program below a shim.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) worker: PidFd,
    pub(crate) control: OwnedFd,
    pub(crate) armed: bool,
}

impl Prepared {
    /// Splits off the image, which the starting thread needs.
    pub(crate) fn split(self) -> (Image, Waiting) {
        let waiting = Waiting {
            control: self.control,
            stdin: self.stdin,
        };
        (self.image, waiting)
    }
}

/// The host's descriptors while the shim is being started.
#[derive(Debug)]
pub(crate) struct Waiting {
    control: OwnedFd,
    stdin: OwnedFd,
}

/// Starts the worker of a started shim: opens its pidfd, moves it into its control group and arms
/// its death pipe before its first instruction.
pub(crate) fn deliver(
    waiting: Waiting,
    mode: Containment,
    cgroup: Option<&Path>,
    armed: bool,
) -> Result<Delivered, Failure> {
    let Waiting { control, stdin } = waiting;
    let deadline = Deadline::after(BIRTH);
    ready(&control, deadline)?;
    let pid = match next(&control, deadline)? {
        Some((Note::Born, pid)) => pid,
        other => return Err(failure(other)),
    };
    let vanished = || Failure::Program(io::Error::from_raw_os_error(libc::ESRCH));
    let worker = PidFd::open(pid)?.ok_or_else(vanished)?;
    if let Some(dir) = cgroup {
        cgroup::join(dir, pid).map_err(|e| {
            let dir = dir.display();
            Failure::Mode(Refusal(format!("a process cannot join {dir}: {e}")))
        })?;
    }
    // In a namespace the pipe stays armed for the shims: when they die, the kernel ends the
    // namespace.
    let armed = armed
        && (mode == Containment::PidNamespace
            || match sys::arm(stdin.as_fd(), pid) {
                Ok(()) => true,
                Err(e) => e.raw_os_error() == Some(libc::ESRCH),
            });
    send(control.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL).map_err(|_| vanished())?;
    match next(&control, deadline)? {
        Some((Note::Started, _)) => Ok(Delivered {
            worker,
            control,
            armed,
        }),
        other => Err(failure(other)),
    }
}

/// Waits for the first note, which proves that the started process is a shim and not a second copy
/// of the program.
fn ready(control: &OwnedFd, deadline: Deadline) -> Result<(), Failure> {
    match next(control, deadline)? {
        Some((Note::Ready, _)) => Ok(()),
        Some(other) => Err(failure(Some(other))),
        None => Err(Failure::Mode(Refusal(
            "this program did not become a shim when it was started again".to_owned(),
        ))),
    }
}

/// Converts an unexpected note into the failure that it means.
fn failure(note: Option<(Note, i32)>) -> Failure {
    let (stage, errno) = match note {
        Some((Note::Failed { stage, errno }, _)) => (stage, errno),
        _ => (Stage::Fork, libc::ESRCH),
    };
    let error = io::Error::from_raw_os_error(errno);
    let what = match stage {
        Stage::Exec | Stage::Fork => return Failure::Program(error),
        Stage::Setup => "the shim cannot be set up",
        Stage::Namespaces => "a process id namespace cannot be created",
        Stage::Users => "the user cannot be named in a namespace of its own",
        Stage::Proc => "`/proc` cannot be mounted in a namespace of its own",
    };
    Failure::Mode(Refusal(format!("{what}: {error}")))
}

/// Receives the next note and its sender. `None` if the other side is gone or the deadline passes.
fn next(control: &OwnedFd, deadline: Deadline) -> Result<Option<(Note, i32)>, Failure> {
    while !readable(control.as_fd(), deadline.left()) {
        if deadline.passed() {
            return Ok(None);
        }
    }
    let mut bytes = [0; NOTE];
    let mut space = nix::cmsg_space!(UnixCredentials);
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<()>(control.as_raw_fd(), &mut iov, Some(&mut space), flags)?;
    let sender = got.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmCredentials(sender) => Some(sender.pid()),
        _ => None,
    });
    let length = got.bytes;
    Ok(Note::decode(&bytes[..length]).zip(sender))
}

/// Waits at most `limit` until the descriptor is readable.
pub(super) fn readable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let limit = limit.as_micros().div_ceil(1000);
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], limit).is_ok_and(|ready| ready > 0)
}

/// Starts a shim that sets everything up but starts no worker.
pub(crate) fn probe(mode: Containment) -> Result<(), Refusal> {
    let refusal = |failure| match failure {
        Failure::Mode(refusal) => refusal,
        Failure::Program(e) => Refusal(format!("this program cannot be started again: {e}")),
        Failure::Registry(e) => Refusal(e.to_string()),
    };
    let trial = || -> Result<(), Failure> {
        let worker = Image {
            program: CString::default(),
            argv: Vec::new(),
            envp: Vec::new(),
            cwd: None,
            stdio: [Some(null(false)?), Some(null(true)?), Some(null(true)?)],
            more: Vec::new(),
            held_back: false,
            stamp: None,
        };
        let (image, waiting) = prepare(worker, mode, None)?.split();
        let pid = image::spawn(&image)?;
        drop(image);
        let deadline = Deadline::after(BIRTH);
        let answer = ready(&waiting.control, deadline).and_then(|()| {
            match next(&waiting.control, deadline)? {
                Some((Note::Started, _)) => Ok(()),
                other => Err(failure(other)),
            }
        });
        drop(waiting);
        let pid = nix::unistd::Pid::from_raw(pid);
        // The shim is our own child, and no other code reaps it.
        let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(pid, None);
        answer
    };
    trial().map_err(refusal)
}
