//! Facts about processes, read from `/proc`.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::clock::Deadline;
use crate::cookie::Cookie;

/// The fields of `/proc/<pid>/stat` that this crate uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// State letter, for example `S`, `T` or `Z`.
    pub state: char,
    /// Process id of the parent.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session.
    pub session: i32,
    /// Start time in clock ticks since boot (field 22).
    pub start_ticks: u64,
    /// Start of the program in memory (field 26). 0 until an exec has set up the new program, which
    /// follows the environment; 1 if this process may not read the field.
    pub code_start: u64,
    /// End of the environment in memory (field 51). 0 while the process has no environment, or if
    /// this process may not read the field.
    pub environ_end: u64,
}

impl Stat {
    /// Parses the text of `/proc/<pid>/stat`. A program's name may contain any text, even `) R 1
    /// 2`, so the fields are counted from the last closing bracket.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let address = |index| {
            fields
                .get(index)
                .and_then(|field: &&str| field.parse().ok())
        };
        Some(Self {
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            pgid: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
            code_start: address(23).unwrap_or(0),
            environ_end: address(48).unwrap_or(0),
        })
    }
}

/// Converts the error for a process that is gone into `Ok(None)`.
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

/// Longest time that a process may be seen without an environment because it is in the middle of an
/// exec. It may have to wait for the processor meanwhile.
const EXEC: Duration = Duration::from_millis(500);
/// Smallest number of further reads in that time.
const TRIES: u32 = 20;

/// Returns the cookies of a process. An error of kind `PermissionDenied` means that its environment
/// cannot be read.
pub(crate) fn cookies(pid: i32) -> io::Result<Option<Vec<Cookie>>> {
    let deadline = Deadline::after(EXEC);
    let mut before = None;
    // The time alone proves nothing: this thread may have waited for the processor.
    for tries in 0.. {
        let Some(block) = gone_is_none(environ(pid))? else {
            return Ok(None);
        };
        if !block.is_empty() || (tries > TRIES && deadline.passed()) {
            return Ok(Some(Cookie::parse_environ(&block)));
        }
        // Each program that a process executes has its environment at another address. An
        // environment counts as empty only if it is empty between two reads of the same address.
        let place = environ_end(pid);
        if place.is_none() || place == before {
            return Ok(Some(Vec::new()));
        }
        before = place.filter(|&end| end != 0);
        if before.is_none() {
            // This state is short: the kernel is setting up the new program.
            std::thread::yield_now();
        }
    }
    unreachable!("the tries do not end before the time")
}

/// Returns an environment variable of a process. `None` if it is not set or cannot be read.
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

/// Reads the environment of a process in a single read. With two reads the kernel truncates the
/// text if the process executes another program in between.
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

/// Returns the end address of a process's environment; 0 while the process is in the middle of an
/// exec. `None` for kernel threads and zombies, which have no program.
///
/// An exec sets the end of the environment twice, first to its start, and after the second time the
/// addresses of the program (`create_elf_tables` and its caller in Linux's `fs/binfmt_elf.c`).
fn environ_end(pid: i32) -> Option<u64> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let stat = stat(pid).ok().flatten()?;
    Some(if stat.code_start == 0 {
        0
    } else {
        stat.environ_end
    })
}

/// Returns the limits of a process as text.
pub(crate) fn limits(pid: i32) -> io::Result<Vec<u8>> {
    fs::read(format!("/proc/{pid}/limits"))
}

/// Returns device and inode of the program that a process executes.
pub(crate) fn exe(pid: i32) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/{pid}/exe"))
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}

/// Returns the real user of a process. The owner of `/proc/<pid>` is not suitable: it is root for
/// processes that may not be dumped.
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

/// Returns the number of a namespace of this process; `kind` is for example `pid`.
pub(crate) fn namespace(kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    let text = link.to_str()?;
    text.strip_prefix(kind)?
        .strip_prefix(":[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}
