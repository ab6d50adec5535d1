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

/// How long a shim may take from its start to the start of its worker.
const BIRTH: Duration = Duration::from_secs(10);
/// Where its own descriptors are before they get their numbers in the shim.
const HIGH: i32 = 10;

/// Why there is no worker.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The mode does not work.
    Mode(Refusal),
    /// The system has no room, or the program cannot be run.
    Program(io::Error),
    /// The registry cannot start anything.
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
    /// The worker's standard input, to be armed for the worker.
    stdin: OwnedFd,
}

/// Makes the image of a shim from that of its worker.
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
    // The parent of the worker is the shim, which names itself.
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
    // Without it the loader may not find what the program needs.
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
        // Until it blocks all signals.
        held_back: true,
        stamp,
    };
    Ok(Prepared {
        image,
        control,
        stdin,
    })
}

/// A worker that runs its program below a shim.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) worker: PidFd,
    pub(crate) control: OwnedFd,
    pub(crate) armed: bool,
}

impl Prepared {
    /// Splits off what the starting thread needs.
    pub(crate) fn split(self) -> (Image, Waiting) {
        let waiting = Waiting {
            control: self.control,
            stdin: self.stdin,
        };
        (self.image, waiting)
    }
}

/// The host's ends while the shim is being started.
#[derive(Debug)]
pub(crate) struct Waiting {
    control: OwnedFd,
    stdin: OwnedFd,
}

/// Leads the worker of a started shim to its program: it is held, joins its control group and
/// is armed before its first instruction.
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
    // In a namespace it stays armed for the shims, with which the kernel ends everything.
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

/// Waits for the first note: what was started is a shim, and no second copy of the program.
fn ready(control: &OwnedFd, deadline: Deadline) -> Result<(), Failure> {
    match next(control, deadline)? {
        Some((Note::Ready, _)) => Ok(()),
        Some(other) => Err(failure(Some(other))),
        None => Err(Failure::Mode(Refusal(
            "this program did not become a shim when it was started again".to_owned(),
        ))),
    }
}

/// What a note means that is not the expected one.
fn failure(note: Option<(Note, i32)>) -> Failure {
    let (stage, errno) = match note {
        Some((Note::Failed { stage, errno }, _)) => (stage, errno),
        _ => (Stage::Fork, libc::ESRCH),
    };
    let error = io::Error::from_raw_os_error(errno);
    let what = match stage {
        Stage::Exec | Stage::Fork => return Failure::Program(error),
        Stage::Setup => "the shim cannot be set up",
        Stage::Namespaces => "a process id namespace cannot be made",
        Stage::Users => "the user cannot be named in a namespace of its own",
        Stage::Proc => "`/proc` cannot be mounted in a namespace of its own",
    };
    Failure::Mode(Refusal(format!("{what}: {error}")))
}

/// The next note and its sender; `None` when the other side is gone or silent for too long.
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

/// Waits until something can be read.
pub(super) fn readable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let limit = limit.as_micros().div_ceil(1000);
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], limit).is_ok_and(|ready| ready > 0)
}

/// Starts a shim that sets everything up and starts no worker.
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
        // Our child, and nobody else reaps it.
        let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(pid, None);
        answer
    };
    trial().map_err(refusal)
}
