//! What `/proc` says about a process.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::clock::Deadline;
use crate::cookie::Cookie;

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// State letter, for example `S`, `T` or `Z`.
    pub state: char,
    /// Parent.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session.
    pub session: i32,
    /// Start time in clock ticks since boot (field 22).
    pub start_ticks: u64,
    /// End of the environment in memory (field 51); 0 while the process has none, or when this
    /// process may not know it.
    pub environ_end: u64,
}

impl Stat {
    /// Reads the text of `/proc/<pid>/stat`. A program may put anything into its name, also
    /// `) R 1 2`, so the fields are counted from the last closing bracket.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            pgid: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
            environ_end: fields
                .get(48)
                .and_then(|field| field.parse().ok())
                .unwrap_or(0),
        })
    }
}

/// `Ok(None)` when the process is gone.
fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn stat(pid: i32) -> io::Result<Option<Stat>> {
    let Some(text) = gone_is_none(fs::read(format!("/proc/{pid}/stat")))? else {
        return Ok(None);
    };
    match Stat::parse(&text) {
        Some(stat) => Ok(Some(stat)),
        None => Err(io::Error::other(format!(
            "/proc/{pid}/stat is not readable"
        ))),
    }
}

/// How long a process may be seen without an environment because it is about to run a program. It
/// may have to wait for the processor in the middle of that.
const EXEC: Duration = Duration::from_millis(500);
/// How often it is looked at in that time, at least.
const TRIES: u32 = 20;

/// The cookies of a process. An error with `PermissionDenied` means that they cannot be read.
pub(crate) fn cookies(pid: i32) -> io::Result<Option<Vec<Cookie>>> {
    let deadline = Deadline::after(EXEC);
    let mut before = None;
    // The time alone says nothing: this thread may have waited for the processor.
    for tries in 0.. {
        let Some(block) = gone_is_none(environ(pid))? else {
            return Ok(None);
        };
        if !block.is_empty() || (tries > TRIES && deadline.passed()) {
            return Ok(Some(Cookie::parse_environ(&block)));
        }
        // Each program that a process runs has its environment in another place. Only an
        // environment that is empty between two looks at the same place is an empty one.
        let place = environ_end(pid);
        if place.is_none() || place == before {
            return Ok(Some(Vec::new()));
        }
        before = place.filter(|&end| end != 0);
        if before.is_none() {
            // Soon over: the kernel is setting the new program up.
            std::thread::yield_now();
        }
    }
    unreachable!("the tries do not end before the time")
}

/// A variable of a process; `None` when there is none or it cannot be read.
pub(crate) fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    let block = environ(pid).ok()?;
    let mut entries = block.split(|&byte| byte == 0);
    let value = entries.find_map(|entry| {
        entry
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=".as_slice())
    })?;
    Some(value.to_owned())
}

/// The environment of a process, in a single read: the kernel cuts it off between two when the
/// process runs another program meanwhile.
fn environ(pid: i32) -> io::Result<Vec<u8>> {
    let path = format!("/proc/{pid}/environ");
    let mut block = vec![0; 16 << 10];
    loop {
        let length = fs::File::open(&path)?.read(&mut block)?;
        if length < block.len() {
            block.truncate(length);
            return Ok(block);
        }
        block.resize(4 * length, 0);
    }
}

/// Where the environment of a process ends, 0 while it is about to run a program. Threads of the
/// kernel and zombies have no program, hence `None`.
fn environ_end(pid: i32) -> Option<u64> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(stat(pid).ok().flatten()?.environ_end)
}

/// The limits of a process, as text.
pub(crate) fn limits(pid: i32) -> io::Result<Vec<u8>> {
    fs::read(format!("/proc/{pid}/limits"))
}

/// Device and inode of the program that a process runs.
pub(crate) fn exe(pid: i32) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/{pid}/exe"))
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}

/// Real user of a process. The owner of `/proc/<pid>` is not used: it is root for processes that
/// may not be dumped.
pub(crate) fn uid(pid: i32) -> Option<u32> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line)
        .ok()?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

pub(crate) fn pids() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// Number of a namespace of this process, for example of `pid`.
pub(crate) fn namespace(kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    let text = link.to_str()?;
    text.strip_prefix(kind)?
        .strip_prefix(":[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}
