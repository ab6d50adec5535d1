//! The identity of a process, so that a recycled process id is never mistaken for it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::cookie::Cookie;
use crate::pidfd::PidFd;
use crate::procfs;
use crate::stamp::{self, Stamp};

/// The scope in which process ids and start times can be compared: one boot and its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// Random number of the kernel's boot.
    pub boot_id: String,
    /// Number of the process id namespace.
    pub pid_ns: u64,
    /// Number of the time namespace; 0 when the kernel has none.
    pub time_ns: u64,
}

impl Scene {
    /// The scene of this process.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn here() -> io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        let pid_ns = procfs::namespace("pid")
            .ok_or_else(|| io::Error::other("/proc/self/ns/pid is not readable"))?;
        Ok(Self {
            boot_id,
            pid_ns,
            time_ns: procfs::namespace("time").unwrap_or(0),
        })
    }

    /// Returns `true` if process ids recorded in `other` can be compared with ids in this scene.
    pub fn comparable(&self, other: &Self) -> bool {
        self == other
    }
}

/// The identity of a process, recorded while it was known to be ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: i32,
    /// Process group.
    pub pgid: i32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Number of the process in pidfs, unique until the next boot (Linux 6.9).
    pub pidfs_inode: Option<u64>,
    /// Real user.
    pub uid: u32,
    /// Device and inode of the program.
    pub exe: Option<(u64, u64)>,
}

/// The observed facts about a process that is held by a pidfd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The facts that a record holds, as they are now.
    pub identity: ProcessIdentity,
    /// The cookies in its environment. `None` if the environment cannot be read.
    pub cookies: Option<Vec<Cookie>>,
    /// The stamp.
    pub stamp: Option<Stamp>,
}

/// The result of comparing a process with a recorded identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The process is the recorded one, beyond doubt.
    Ours,
    /// The process is the recorded one as far as can be seen: its environment cannot be read, and
    /// everything else matches.
    OursByReducedRule,
    /// A different process that has the same process id.
    Stranger,
    /// The comparison is inconclusive. The process must not be signalled.
    Unknown,
}

impl ProcessIdentity {
    /// Returns the identity of a process that this host has just started. If the process has exited
    /// already, the identity holds only what the pidfd knows; no sweep will ever need more.
    pub(crate) fn of(held: &PidFd) -> io::Result<Self> {
        let pid = held.pid();
        Ok(Observation::of(held)?.map_or_else(
            || Self {
                pid,
                pgid: pid,
                start_ticks: 0,
                pidfs_inode: held.inode(),
                uid: nix::unistd::getuid().as_raw(),
                exe: None,
            },
            |seen| seen.identity,
        ))
    }

    /// Compares a record with an observed process. Matching numbers are never enough: the process
    /// must carry the cookie or its stamp, or its environment must be unreadable while everything
    /// else matches. Pure. The order of the rules is part of the contract.
    pub fn judge(&self, cookie: Cookie, seen: &Observation) -> Ownership {
        let now = &seen.identity;
        if self.pid != now.pid {
            return Ownership::Stranger;
        }
        let inodes = self.pidfs_inode.zip(now.pidfs_inode);
        let unique = inodes.is_some();
        if inodes.is_some_and(|(recorded, found)| recorded != found)
            || self.start_ticks != now.start_ticks
        {
            return Ownership::Stranger;
        }
        let program = self.exe.is_some() && self.exe == now.exe;
        match &seen.cookies {
            Some(cookies) if cookies.contains(&cookie) => Ownership::Ours,
            _ if seen.stamp == Some(Stamp::of(cookie)) => Ownership::Ours,
            // A program can overwrite its environment, and a record can hold the numbers of a
            // process that was never ours: nothing is proven either way.
            Some(cookies) if cookies.is_empty() => Ownership::Unknown,
            Some(_) => Ownership::Stranger,
            None if self.uid == now.uid && self.pgid == now.pgid && (unique || program) => {
                Ownership::OursByReducedRule
            }
            None => Ownership::Unknown,
        }
    }
}

impl Observation {
    /// Observes a held process. `None` if the process has exited. The exit is checked after all
    /// reads, so every fact belongs to the held process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn of(held: &PidFd) -> io::Result<Option<Self>> {
        let pid = held.pid();
        let Some(stat) = procfs::stat(pid)? else {
            return Ok(None);
        };
        let cookies = match procfs::cookies(pid) {
            Ok(Some(cookies)) => Some(cookies),
            Ok(None) => return Ok(None),
            Err(_) => None,
        };
        let Some(uid) = procfs::uid(pid) else {
            return Ok(None);
        };
        let exe = procfs::exe(pid);
        let stamp = stamp::of_process(pid).ok().flatten();
        if held.exited() {
            return Ok(None);
        }
        let identity = ProcessIdentity {
            pid,
            pgid: stat.pgid,
            start_ticks: stat.start_ticks,
            pidfs_inode: held.inode(),
            uid,
            exe,
        };
        Ok(Some(Self {
            identity,
            cookies,
            stamp,
        }))
    }

    /// Returns `true` if the process is the worker with this cookie or descends from it.
    pub(crate) fn is_of(&self, cookie: Cookie) -> bool {
        let cookies = self.cookies.as_deref().unwrap_or_default();
        cookies.contains(&cookie) || self.stamp == Some(Stamp::of(cookie))
    }
}
