//! Detects the features of this kernel that protect against orphans.

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

/// The layers that this system supports, found without starting a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Support {
    /// The kernel can kill a group when the host's end of a pipe closes.
    pub death_pipe: bool,
    /// Copies of the host that `fork` makes without `exec` inherit neither the host's ends of these
    /// pipes nor the locks of its run.
    pub private_descriptors: bool,
    /// This process is the first one of its system or a child subreaper: orphans are reparented to
    /// it, and it reaps those that its workers have left.
    pub inherits_orphans: bool,
    /// Processes can be held and signalled without a race (Linux 5.3).
    pub pidfd: bool,
    /// Processes have a number that is unique until the next boot (Linux 6.9).
    pub pidfs_inode: bool,
    /// Groups can be signalled without a race (Linux 6.9).
    pub group_signal: bool,
    /// A worker can request to be killed together with the thread that started it.
    pub parent_death_signal: bool,
    /// Children can be given a mark that survives a cleared environment: a limit for file locks.
    pub stamp: bool,
    /// Child groups can be created in our control group (version 2) and killed as a whole.
    pub cgroup: bool,
    /// The kernel's settings permit process id namespaces.
    pub pid_namespace: bool,
}

/// The result of testing a containment mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModeSupport {
    /// The mode.
    pub mode: Containment,
    /// The reason the mode does not work. `None` if it works.
    pub refusal: Option<Refusal>,
}

/// The overall strength of the protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Orphans are found only by the sweep of the next host.
    Sweep,
    /// The kernel kills workers with their host. On this older kernel, identification has small
    /// races.
    Kernel,
    /// The kernel kills workers with their host, and identification has no races.
    Full,
}

impl Support {
    /// Queries the kernel.
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

    /// Tests every containment mode. Unlike [`probe`](Self::probe), starts one process for each
    /// strict mode and blocks for some milliseconds.
    pub fn modes() -> Vec<ModeSupport> {
        let modes = Containment::ALL.into_iter();
        modes
            .map(|mode| ModeSupport {
                mode,
                refusal: mode.probe().err(),
            })
            .collect()
    }

    /// Returns the overall strength of the protection.
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

/// Arms a pipe for this process and closes the read end first, so that no signal is sent.
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
