//! Who a process is, so that a recycled process id is never mistaken for it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::cookie::Cookie;
use crate::pidfd::PidFd;
use crate::procfs;
use crate::stamp::{self, Stamp};

/// Where process ids and start times mean something: this boot and these namespaces.
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

    /// Whether process ids of the other scene can be compared with ours.
    pub fn comparable(&self, other: &Self) -> bool {
        self == other
    }
}

/// What was recorded about a process when it was known to be ours.
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

/// What is seen of a process that is held by a pidfd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The same facts as were recorded.
    pub identity: ProcessIdentity,
    /// Its cookies; `None` when its environment cannot be read.
    pub cookies: Option<Vec<Cookie>>,
    /// Its stamp.
    pub stamp: Option<Stamp>,
}

/// Whether a process is the one that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, beyond doubt.
    Ours,
    /// It is, as far as can be seen: its environment is not readable, everything else fits.
    OursByReducedRule,
    /// It is another process with the same number.
    Stranger,
    /// It cannot be told; it must not be signalled.
    Unknown,
}

impl ProcessIdentity {
    /// Who a process is that this host has just started. It may have exited by now; then nobody
    /// will ever have to recognise it.
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

    /// Compares a record with what is seen. Numbers alone never make a process ours: it carries
    /// the cookie or its stamp, or its environment cannot be read and everything else fits. Pure;
    /// the order of the rules is part of the promise.
    pub fn judge(&self, cookie: Cookie, seen: &Observation) -> Verdict {
        let now = &seen.identity;
        if self.pid != now.pid {
            return Verdict::Stranger;
        }
        let inodes = self.pidfs_inode.zip(now.pidfs_inode);
        let unique = inodes.is_some();
        if inodes.is_some_and(|(recorded, found)| recorded != found)
            || self.start_ticks != now.start_ticks
        {
            return Verdict::Stranger;
        }
        let program = self.exe.is_some() && self.exe == now.exe;
        match &seen.cookies {
            Some(cookies) if cookies.contains(&cookie) => Verdict::Ours,
            _ if seen.stamp == Some(Stamp::of(cookie)) => Verdict::Ours,
            // A program can overwrite its environment, and anybody can write down the numbers of
            // somebody else's process: there is no proof either way.
            Some(cookies) if cookies.is_empty() => Verdict::Unknown,
            Some(_) => Verdict::Stranger,
            None if self.uid == now.uid && self.pgid == now.pgid && (unique || program) => {
                Verdict::OursByReducedRule
            }
            None => Verdict::Unknown,
        }
    }
}

impl Observation {
    /// Looks at a held process; `None` when it has exited. Everything seen belongs to the held
    /// process, because it is checked at the end that it had not exited before.
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

    /// Whether it descends from the worker with this cookie, or is it.
    pub(crate) fn is_of(&self, cookie: Cookie) -> bool {
        let cookies = self.cookies.as_deref().unwrap_or_default();
        cookies.contains(&cookie) || self.stamp == Some(Stamp::of(cookie))
    }
}
