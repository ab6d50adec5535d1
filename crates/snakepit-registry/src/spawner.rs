//! The one thread that starts all children of this process.
//!
//! The thread never ends, so a `PR_SET_PDEATHSIG` that a worker requests fires when the process
//! dies, and not when a thread of some pool ends. All signals are blocked in it, so the host's
//! signal handlers run in other threads. The thread also reaps the children whose registration was
//! dropped.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::child::Child;
use crate::contained::{self, Birth};
use crate::cookie::Cookie;
use crate::error::{Error, SpawnProblem};
use crate::identity::ProcessIdentity;
use crate::image::{self, Image};
use crate::inherited;
use crate::launch::{Launch, classify};
use crate::pidfd::PidFd;
use crate::registry::Inner;
use crate::spec::CommandSpec;
use crate::store::Change;
use crate::sys;

/// Interval between two checks of abandoned children.
const REAP_POLL: Duration = Duration::from_millis(5);
/// First pause after the system was out of resources; it doubles up to `LAST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// A started and identified process.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) identity: ProcessIdentity,
    pub(crate) armed: bool,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    /// The shim above the worker, if there is one.
    pub(crate) shim: Option<ProcessIdentity>,
    /// The worker's control group, if it has one.
    pub(crate) cgroup: Option<PathBuf>,
}

/// A process that was just started.
#[derive(Debug)]
pub(crate) struct Born {
    pub(crate) pidfd: PidFd,
    pub(crate) identity: ProcessIdentity,
    pub(crate) armed: bool,
}

/// A child without a registration. Its row is deleted once it is dead.
pub(crate) struct Abandoned {
    pub(crate) child: Child,
    pub(crate) key: String,
    pub(crate) inner: Arc<Inner>,
}

enum Job {
    Start {
        image: Image,
        cookie: Cookie,
        reply: Sender<io::Result<Born>>,
    },
    Reap(Box<Abandoned>),
}

/// The channel to the thread, and the id of the process that runs the thread. Both last as long as
/// the process. A forked copy of the process starts a thread of its own.
static THREAD: Mutex<Option<(u32, Sender<Job>)>> = Mutex::new(None);

fn thread() -> Result<Sender<Job>, Error> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, sender)) = thread.as_ref()
        && *owner == process
    {
        return Ok(sender.clone());
    }
    let (sender, receiver) = unbounded();
    Builder::new()
        .name("snakepit-spawner".to_owned())
        .spawn(move || serve(&receiver))
        .map_err(|e| Error::Thread {
            name: "spawner",
            source: Arc::new(e),
        })?;
    *thread = Some((process, sender.clone()));
    Ok(sender)
}

fn serve(jobs: &Receiver<Job>) {
    // If this fails, the host's signal handlers may run here; children are not affected.
    let _ = image::block_signals();
    let mut abandoned: Vec<Box<Abandoned>> = Vec::new();
    loop {
        let job = if abandoned.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(REAP_POLL)
        };
        // A panic must not end the thread: the kernel would treat that as the host's death.
        let served = catch_unwind(AssertUnwindSafe(|| {
            match job {
                Ok(Job::Start {
                    image,
                    cookie,
                    reply,
                }) => {
                    let _ = reply.send(start(&image, cookie));
                }
                Ok(Job::Reap(child)) => abandoned.push(child),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            abandoned.retain(|one| {
                let gone = one.child.try_wait().is_some() && one.child.finished();
                if gone {
                    one.inner
                        .writer
                        .write_later(Change::Delete(one.key.clone()));
                }
                !gone
            });
            true
        }));
        if matches!(served, Ok(false)) {
            return;
        }
    }
}

/// Starts a process, opens its pidfd, identifies it and arms its death pipe. If a step fails, the
/// process is killed and reaped.
fn start(image: &Image, cookie: Cookie) -> io::Result<Born> {
    let pid = image::spawn(image)?;
    inherited::note(pid);
    born(image, cookie, pid).inspect_err(|_| {
        let pid = nix::unistd::Pid::from_raw(pid);
        // The child has not been reaped yet, so its id and its group's id are still valid.
        let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(pid, None);
    })
}

fn born(image: &Image, cookie: Cookie, pid: i32) -> io::Result<Born> {
    let vanished = || io::Error::from_raw_os_error(libc::ESRCH);
    let pidfd = PidFd::open(pid)?.ok_or_else(vanished)?;
    let armed = match &image.stdio[0] {
        Some(read_end) if cookie.dependent() => match sys::arm(read_end.as_fd(), pid) {
            Ok(()) => true,
            // The group is gone: the process has exited and waits to be reaped.
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => true,
            // The kernel cannot signal on pipes; the other layers remain.
            Err(_) => false,
        },
        _ => false,
    };
    let identity = ProcessIdentity::of(&pidfd)?;
    Ok(Born {
        pidfd,
        identity,
        armed,
    })
}

/// Starts a program. Retries while the system is out of resources, for the run's retry time.
pub(crate) fn launch(
    inner: &Inner,
    spec: &CommandSpec,
    cookie: Cookie,
    generation: u64,
) -> Result<Started, Error> {
    let birth = Birth {
        spec,
        cookie,
        generation,
        mode: contained::mode(inner, spec)?,
    };
    let deadline = crate::clock::Deadline::after(inner.config.spawn_retry);
    let mut pause = FIRST_PAUSE;
    loop {
        let passage = inner.gate.enter()?;
        let result = attempt(inner, birth);
        drop(passage);
        match result {
            Err(Error::Spawn {
                problem: SpawnProblem::Resources(_),
                ..
            }) if !deadline.passed() => {
                if !inner.gate.pause(pause.min(deadline.left())) {
                    return Err(Error::GateClosed);
                }
                pause = (pause * 2).min(LAST_PAUSE);
            }
            other => return other,
        }
    }
}

fn attempt(inner: &Inner, birth: Birth<'_>) -> Result<Started, Error> {
    let Birth { spec, cookie, .. } = birth;
    let launch = Launch::prepare(spec, cookie, inner.run.origin().as_ref())?;
    if birth.mode.is_strict() {
        return contained::start(birth, launch);
    }
    let Launch {
        image,
        death,
        stdout,
        stderr,
    } = launch;
    let born = on_thread(image, cookie)?.map_err(|e| {
        let problem = match e.raw_os_error() {
            Some(libc::ESRCH) => SpawnProblem::Vanished,
            _ => classify(e, spec),
        };
        Error::spawn(&spec.program, problem)
    })?;
    let Born {
        pidfd,
        identity,
        armed,
    } = born;
    Ok(Started {
        child: Child::new(pidfd, death),
        identity,
        armed,
        stdout,
        stderr,
        shim: None,
        cgroup: None,
    })
}

/// Lets the thread start a process.
pub(crate) fn on_thread(image: Image, cookie: Cookie) -> Result<io::Result<Born>, Error> {
    let (reply, answer) = bounded(1);
    let job = Job::Start {
        image,
        cookie,
        reply,
    };
    thread()?.send(job).map_err(|_| Error::Closed)?;
    answer.recv().map_err(|_| Error::Closed)
}

/// Hands a killed child over to the thread.
pub(crate) fn reap_later(abandoned: Abandoned) {
    if let Ok(thread) = thread() {
        // The thread exists: it has started this child.
        let _ = thread.send(Job::Reap(Box::new(abandoned)));
    }
}
