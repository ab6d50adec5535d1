//! A mark on a worker and on all its descendants that survives a cleared environment.
//!
//! The mark is the soft limit for file locks (`RLIMIT_LOCKS`). Linux has not enforced this limit
//! since 2.4.25, but children still inherit it and programs keep it, even if their environment,
//! session, group and parent change. `/proc/<pid>/limits` shows it for every process.

use std::io;

use crate::cookie::Cookie;
use crate::run_id::RunId;
use crate::{procfs, sys};

/// The bit that every stamp has: 2^62 locks, a limit that no administrator chooses.
const OURS: u64 = 1 << 62;
/// Number of bits for the run.
const RUN: u32 = 41;
const DEPENDENT: u64 = 1 << WORKER;
/// Number of bits for the worker's number in its run.
pub(crate) const WORKER: u32 = 20;

/// A cookie reduced to 62 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// Returns the stamp that belongs to a cookie.
    pub const fn of(cookie: Cookie) -> Self {
        let run = cookie.run().low_bits(RUN) << (WORKER + 1);
        let dependent = if cookie.dependent() { DEPENDENT } else { 0 };
        let worker = cookie.nonce() & ((1 << WORKER) - 1);
        Self(OURS | run | dependent | worker)
    }

    /// Interprets a soft limit as a stamp. `None` if the limit has another origin.
    pub const fn from_limit(limit: u64) -> Option<Self> {
        if limit >> 62 == 1 {
            Some(Self(limit))
        } else {
            None
        }
    }

    /// Parses the text of `/proc/<pid>/limits`.
    pub fn parse_limits(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|&byte| byte == b'\n');
        let line = lines.find_map(|line| line.strip_prefix(b"Max file locks"))?;
        let soft = std::str::from_utf8(line).ok()?;
        Self::from_limit(soft.split_ascii_whitespace().next()?.parse().ok()?)
    }

    /// Returns the soft limit that encodes the stamp.
    pub const fn limit(self) -> u64 {
        self.0
    }

    /// Returns `true` if the stamp has the bits of this run.
    pub const fn is_of(self, run: RunId) -> bool {
        (self.0 ^ OURS) >> (WORKER + 1) == run.low_bits(RUN)
    }

    /// Returns `true` if the process dies with its host.
    pub const fn dependent(self) -> bool {
        self.0 & DEPENDENT != 0
    }
}

/// Returns `true` if children can be stamped here: this process could set its own limit to a stamp.
pub(crate) fn works() -> bool {
    let none = Stamp(OURS).limit();
    let hard = sys::file_lock_limits(0).map(|(_, hard)| hard);
    hard.is_ok_and(|hard| hard > none) && procfs::limits(std::process::id().cast_signed()).is_ok()
}

/// Returns the stamp of a process that has not ended. An error if the limits cannot be read.
pub(crate) fn of_process(pid: i32) -> io::Result<Option<Stamp>> {
    let Some(stamp) = Stamp::parse_limits(&procfs::limits(pid)?) else {
        return Ok(None);
    };
    // Unlike its environment, the limits of a process exist until it has been reaped.
    let lives = procfs::stat(pid)?.is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'));
    Ok(lives.then_some(stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_run_worker_and_whether_it_is_dependent() {
        let run = RunId::random().expect("randomness");
        let other = RunId::random().expect("randomness");
        for (dependent, number) in [(true, 1), (false, 1), (true, (1 << WORKER) - 1)] {
            let cookie = Cookie::numbered(run, dependent, number).expect("randomness");
            let stamp = Stamp::of(cookie);
            assert_eq!(stamp.dependent(), dependent);
            assert!(stamp.is_of(run) && !stamp.is_of(other));
            assert_eq!(Stamp::from_limit(stamp.limit()), Some(stamp));
            let again = Cookie::numbered(run, dependent, number).expect("randomness");
            assert_eq!(Stamp::of(again), stamp);
            let next = Cookie::numbered(run, dependent, number - 1).expect("randomness");
            assert_ne!(Stamp::of(next), stamp);
            let line = format!(
                "Max file locks            {}  unlimited   locks",
                stamp.limit()
            );
            let text = format!("Limit  Soft Limit\nMax locked memory  1  2 bytes\n{line}     \n");
            assert_eq!(Stamp::parse_limits(text.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn limits_of_others_are_no_stamps() {
        for limit in ["unlimited", "0", "65536", "9223372036854775808", "x", ""] {
            let text = format!("Max file locks            {limit}            unlimited  locks\n");
            assert_eq!(Stamp::parse_limits(text.as_bytes()), None, "{limit}");
        }
        assert_eq!(Stamp::parse_limits(b""), None);
    }
}
