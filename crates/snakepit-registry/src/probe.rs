//! What this kernel offers against orphans.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use nix::fcntl::OFlag;
use serde::Serialize;

use crate::cgroup;
use crate::containment::{Containment, Refusal};
use crate::inherited;
use crate::keeper;
use crate::pidfd::PidFd;
use crate::{stamp, sys};

/// The layers that this system supports. No process is started to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Support {
    /// The kernel kills a group when the host's end of a pipe closes.
    pub death_pipe: bool,
    /// Copies of the host, made by `fork` without `exec`, get neither the host's ends of these pipes
    /// nor the locks of its run.
    pub private_descriptors: bool,
    /// This process is the first one of its system, or a child subreaper: orphans fall to it, and
    /// it waits for those that its workers have left.
    pub inherits_orphans: bool,
    /// Processes can be held and signalled without a race (Linux 5.3).
    pub pidfd: bool,
    /// Processes have a number of their own until the next boot (Linux 6.9).
    pub pidfs_inode: bool,
    /// Groups can be signalled without a race (Linux 6.9).
    pub group_signal: bool,
    /// A worker can ask to be killed with the thread that started it.
    pub parent_death_signal: bool,
    /// Children can be given a mark that a cleared environment does not remove: a limit for file
    /// locks.
    pub stamp: bool,
    /// Our control group (version 2) can be divided, and killed as a whole.
    pub cgroup: bool,
    /// Process id namespaces may be created, as far as the settings say.
    pub pid_namespace: bool,
}

/// Whether a containment works here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModeSupport {
    /// The mode.
    pub mode: Containment,
    /// Why it does not, if it does not.
    pub refusal: Option<Refusal>,
}

/// How strong the protection is in sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Only the next start's sweep finds orphans.
    Sweep,
    /// The kernel kills workers with their host; old kernels leave tiny races in recognising them.
    Kernel,
    /// The kernel kills workers with their host, and nothing can be mistaken for anything.
    Full,
}

impl Support {
    /// Asks the kernel.
    pub fn probe() -> Self {
        let me = i32::try_from(std::process::id()).expect("a process id fits an i32");
        let own = PidFd::open(me).ok().flatten();
        Self {
            death_pipe: pipe_can_be_armed(me).is_ok(),
            private_descriptors: keeper::is_private(),
            inherits_orphans: inherited::falls_to_us(),
            pidfd: own.is_some(),
            pidfs_inode: own.as_ref().is_some_and(|own| own.inode().is_some()),
            group_signal: sys::has_group_signal(),
            parent_death_signal: nix::sys::prctl::get_pdeathsig().is_ok(),
            stamp: stamp::works(),
            cgroup: cgroup::own().is_ok(),
            pid_namespace: namespaces_are_allowed(),
        }
    }

    /// Tries every containment out. Unlike [`probe`](Self::probe) it starts processes, one for
    /// each strict mode, and blocks for some milliseconds.
    pub fn modes() -> Vec<ModeSupport> {
        let modes = Containment::ALL.into_iter();
        modes
            .map(|mode| ModeSupport {
                mode,
                refusal: mode.probe().err(),
            })
            .collect()
    }

    /// The protection in sum.
    pub const fn tier(&self) -> Tier {
        match (
            self.death_pipe && self.pidfd,
            self.pidfs_inode && self.group_signal,
        ) {
            (true, true) => Tier::Full,
            (true, false) => Tier::Kernel,
            (false, _) => Tier::Sweep,
        }
    }
}

/// Arms a pipe for this very process and closes the read end first, so that nothing is sent.
fn pipe_can_be_armed(me: i32) -> io::Result<()> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // A negative owner would be a group, which this process need not lead.
    let armed = sys::arm(read.as_fd(), -me);
    drop(read);
    drop(write);
    armed
}

fn namespaces_are_allowed() -> bool {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let user = number("/proc/sys/user/max_user_namespaces") != Some(0)
        && number("/proc/sys/kernel/unprivileged_userns_clone") != Some(0)
        && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != Some(1);
    let pid = number("/proc/sys/user/max_pid_namespaces").is_some_and(|max| max > 0);
    pid && (user || nix::unistd::geteuid().is_root())
}
