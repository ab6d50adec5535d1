//! Starts a worker below a shim.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::cgroup;
use crate::clock::Deadline;
use crate::containment::{Containment, Refusal};
use crate::cookie::Cookie;
use crate::error::{Error, SpawnProblem};
use crate::identity::ProcessIdentity;
use crate::keeper::Kept;
use crate::launch::{Launch, classify};
use crate::pidfd::{PidFd, Scope};
use crate::registry::Inner;
use crate::shim::{self, Delivered, Failure, Shim};
use crate::spawner::{self, Born, Started};
use crate::spec::CommandSpec;
use crate::sys;

/// Longest time that a failed shim may take to die.
const END: Duration = Duration::from_secs(1);

/// Returns the containment of a worker: its own, or else the registry's. An independent worker is
/// not contained.
pub(crate) fn mode(inner: &Inner, spec: &CommandSpec) -> Result<Containment, Error> {
    match spec.containment {
        Some(mode) if mode.is_strict() && !spec.dependent => Err(Error::Containment {
            mode,
            refusal: Refusal("a process that outlives its host cannot be contained".to_owned()),
        }),
        Some(mode) => Ok(mode),
        None if spec.dependent => Ok(inner.config.containment),
        None => Ok(Containment::Group),
    }
}

/// The worker to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth<'a> {
    pub(crate) spec: &'a CommandSpec,
    pub(crate) cookie: Cookie,
    pub(crate) generation: u64,
    pub(crate) mode: Containment,
}

/// Starts the shim, and the worker below it.
pub(crate) fn start(birth: Birth<'_>, launch: Launch) -> Result<Started, Error> {
    let Birth { spec, mode, .. } = birth;
    begin(birth, launch).map_err(|failure| match failure {
        Failure::Registry(error) => error,
        Failure::Mode(refusal) => Error::Containment { mode, refusal },
        Failure::Program(e) if e.raw_os_error() == Some(libc::ESRCH) => {
            Error::spawn(&spec.program, SpawnProblem::Vanished)
        }
        Failure::Program(e) => Error::spawn(&spec.program, classify(e, spec)),
    })
}

fn begin(birth: Birth<'_>, launch: Launch) -> Result<Started, Failure> {
    let Birth { cookie, mode, .. } = birth;
    let dir = match mode {
        Containment::Cgroup => Some(group(birth)?),
        _ => None,
    };
    let mut cleanup = Cleanup {
        shim: None,
        death: launch.death,
        dir,
    };
    let (image, waiting) = shim::prepare(launch.image, mode, cleanup.dir.as_deref())?.split();
    let Born {
        pidfd,
        identity: shim,
        armed,
    } = spawner::on_thread(image, cookie).map_err(Failure::Registry)??;
    cleanup.shim = Some(pidfd.try_clone()?);
    let delivered = shim::deliver(waiting, mode, cleanup.dir.as_deref(), armed)?;
    let Delivered {
        worker,
        control,
        armed,
    } = delivered;
    let identity = ProcessIdentity::of(&worker)?;
    let (death, dir) = cleanup.disarm();
    let guardian = Shim::new(pidfd, control, (mode, cookie), dir.clone());
    Ok(Started {
        child: crate::child::Child::new(worker, death).below(guardian),
        identity,
        armed,
        stdout: launch.stdout,
        stderr: launch.stderr,
        shim: Some(shim),
        cgroup: dir,
    })
}

fn group(birth: Birth<'_>) -> Result<PathBuf, Failure> {
    let parent = cgroup::own().map_err(Failure::Mode)?;
    let (run, generation) = (birth.cookie.run(), birth.generation);
    cgroup::create(&parent, run, generation).map_err(|e| {
        let parent = parent.display();
        Failure::Mode(Refusal(format!(
            "a control group cannot be created in {parent}: {e}"
        )))
    })
}

/// Ends the shim together with its worker if a step fails.
struct Cleanup {
    shim: Option<PidFd>,
    death: Option<Kept>,
    dir: Option<PathBuf>,
}

impl Cleanup {
    fn disarm(mut self) -> (Option<Kept>, Option<PathBuf>) {
        self.shim = None;
        (self.death.take(), self.dir.take())
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(shim) = &self.shim {
            // The worker dies with the shim. If the signal is refused, the wait takes its full
            // time.
            let _ = shim.signal(Scope::Group, libc::SIGKILL);
            shim.wait(END);
            let _ = sys::wait_exit(shim.as_fd(), false);
        }
        if let Some(dir) = &self.dir {
            cgroup::end(dir, Deadline::after(END));
        }
    }
}
