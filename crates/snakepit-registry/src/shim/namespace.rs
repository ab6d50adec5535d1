//! A process id namespace. Its first process is a second shim, and the kernel ends the namespace
//! with it.
#![expect(unsafe_code, reason = "fork")]

use std::fs;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::ForkResult;

use crate::shim::process::{Step, at, close_outputs};
use crate::shim::supervise::{self, Reach};
use crate::shim::wire::{Order, Stage};
use crate::shim::worker::die_with;
use crate::sys;

/// Creates the namespace, runs the second shim in it, and ends after that shim.
pub(super) fn run(order: &Order) -> Step<()> {
    enter()?;
    let me = sys::pidfd_open(nix::unistd::getpid().as_raw());
    let me = me.map_err(|e| (Stage::Setup, errno(&e)))?;
    let signals = supervise::child_signals()?;
    // SAFETY: this process has one thread.
    let first = match unsafe { nix::unistd::fork() }.map_err(at(Stage::Fork))? {
        ForkResult::Child => {
            drop(signals);
            die_with(&me)?;
            mount_proc()?;
            return supervise::run(order, &Reach::Namespace);
        }
        ForkResult::Parent { child } => child,
    };
    close_outputs()?;
    let mut told = false;
    while matches!(
        waitpid(first, Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
    ) {
        if !told && supervise::host_is_gone() {
            told = true;
            // The second shim is our child and not reaped, so the id is valid.
            let _ = kill(first, Signal::SIGKILL);
        }
        if told {
            let _ = waitpid(first, None);
            break;
        }
        supervise::wait_for_end(&signals);
    }
    Ok(())
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Enters a new process id namespace: alone if privileged, otherwise within a new user namespace in
/// which the user keeps its id.
fn enter() -> Step<()> {
    match unshare(CloneFlags::CLONE_NEWPID) {
        Err(Errno::EPERM) => {}
        other => return other.map_err(at(Stage::Namespaces)),
    }
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let both = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
    unshare(both).map_err(at(Stage::Namespaces))?;
    let write = |name: &str, text: String| {
        let written = fs::write(format!("/proc/self/{name}"), text);
        written.map_err(|e| (Stage::Users, errno(&e)))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {user} 1"))?;
    write("gid_map", format!("{group} {group} 1"))
}

/// Mounts `/proc` in a mount namespace of its own.
fn mount_proc() -> Step<()> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(at(Stage::Namespaces))?;
    let none = None::<&str>;
    let own = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(none, "/", none, own, none).map_err(at(Stage::Proc))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), safe, none).map_err(at(Stage::Proc))
}
