//! Control groups (version 2) of workers: created, joined, killed and removed by path.
//!
//! Their names begin with the run id. A group whose name does not is never killed.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstatat};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, access};

use crate::clock::Deadline;
use crate::containment::Refusal;
use crate::run_id::RunId;

/// Mount points of the version 2 hierarchy: alone, or beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Interval between two checks of a group that was killed.
const POLL: Duration = Duration::from_millis(1);

/// Returns the control group of this process if child groups can be created in it.
pub(crate) fn own() -> Result<PathBuf, Refusal> {
    let refuse = |why: &str| Refusal(why.to_owned());
    let groups = fs::read_to_string("/proc/self/cgroup")
        .map_err(|e| Refusal(format!("/proc/self/cgroup cannot be read: {e}")))?;
    let own = groups
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .ok_or_else(|| refuse("this process is not in a control group of version 2 (cgroup v2)"))?;
    let dir = ROOTS
        .iter()
        .map(|root| Path::new(root).join(own))
        .find(|dir| dir.join("cgroup.procs").exists())
        .ok_or_else(|| refuse("the control group of this process is not visible"))?;
    let writable = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
    if !writable(&dir) || !writable(&dir.join("cgroup.procs")) {
        let dir = dir.display();
        return Err(Refusal(format!("the control group {dir} is not writable")));
    }
    Ok(dir)
}

/// Creates a control group, checks that it can be killed, and removes it.
pub(crate) fn probe() -> Result<(), Refusal> {
    let failed = |e: io::Error| Refusal(format!("a control group cannot be created: {e}"));
    let run = RunId::random().map_err(failed)?;
    let dir = create(&own()?, run, 0).map_err(failed)?;
    let killable = dir.join("cgroup.kill").exists();
    remove(&dir).map_err(failed)?;
    if killable {
        Ok(())
    } else {
        let why = "this kernel cannot kill control groups (Linux 5.14)";
        Err(Refusal(why.to_owned()))
    }
}

fn prefix(run: RunId) -> String {
    format!("snakepit-{run}-")
}

/// Creates the control group of one worker.
pub(crate) fn create(parent: &Path, run: RunId, generation: u64) -> io::Result<PathBuf> {
    let dir = parent.join(format!("{}{generation}", prefix(run)));
    fs::create_dir(&dir)?;
    Ok(dir)
}

/// Returns the real path of a control group if it belongs to a worker of this run: a directory in
/// the version 2 hierarchy that has our form of name. The path from a record is untrusted.
fn checked(dir: &Path, run: RunId) -> Option<PathBuf> {
    let name = dir.file_name()?.to_str()?;
    let number = name.strip_prefix(&prefix(run))?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let held = open(dir, flags, Mode::empty()).ok()?;
    if fstatfs(&held).ok()?.filesystem_type() != CGROUP2_SUPER_MAGIC {
        return None;
    }
    // From here on the path has no links, so no part of it can be exchanged for another place.
    let real = fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).ok()?;
    let killable = fstatat(&held, "cgroup.kill", AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    (killable && real.file_name()? == name).then_some(real)
}

/// Returns the control groups in our own group, in which a host creates those of its workers.
pub(crate) fn beside() -> Vec<PathBuf> {
    own().map_or_else(|_| Vec::new(), |dir| below(&dir))
}

/// Returns the control groups of a run: of the recorded ones, and of those beside our own group,
/// because a host can die before it records one.
pub(crate) fn of_run<'a>(run: RunId, known: impl Iterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = known.filter_map(|dir| checked(dir, run)).collect();
    found.sort();
    found.dedup();
    found
}

/// Moves a process into a control group.
pub(crate) fn join(dir: &Path, pid: i32) -> io::Result<()> {
    fs::write(dir.join("cgroup.procs"), pid.to_string())
}

/// Kills all processes in a control group and below, including stopped and frozen ones.
pub(crate) fn kill(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("cgroup.kill"), "1")
}

/// Returns the processes in a control group and below.
pub(crate) fn processes(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let own = text.lines().filter_map(|line| line.parse().ok());
    own.chain(below(dir).iter().flat_map(|dir| processes(dir)))
        .collect()
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

/// Removes an empty control group and the groups below it. Succeeds if the group is gone.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    for inner in below(dir) {
        remove(&inner)?;
    }
    match fs::remove_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Kills and removes a control group. Returns the processes that were in it, then those that did
/// not die before the deadline.
pub(crate) fn end(dir: &Path, deadline: Deadline) -> (Vec<i32>, Vec<i32>) {
    let found = processes(dir);
    let mut left = found.clone();
    // If the kill is refused, its processes are reported as left over.
    let _ = kill(dir);
    while !left.is_empty() {
        left = processes(dir);
        if deadline.passed() {
            break;
        }
        if !left.is_empty() {
            std::thread::sleep(POLL);
        }
    }
    // A group that cannot be removed is left to the next sweep.
    let _ = remove(dir);
    (found, left)
}
