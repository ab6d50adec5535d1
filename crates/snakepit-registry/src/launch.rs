//! Converts a [`CommandSpec`] into the descriptors and strings of a new process.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::cookie::{COOKIES_VAR, Cookie};
use crate::error::{Error, SpawnProblem};
use crate::image::Image;
use crate::keeper::{self, Kept};
use crate::origin::{ORIGIN_VAR, Origin};
use crate::spec::{CommandSpec, Output};
use crate::stamp::Stamp;

/// The environment variable with the process id of a child's parent: its host or its shim.
pub const HOST_PID_VAR: &str = "SNAKEPIT_WORKER_HOST_PID";

/// An image and the host's ends of its pipes.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) image: Image,
    /// Write end of the death pipe; `None` for an independent process.
    pub(crate) death: Option<Kept>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

impl Launch {
    pub(crate) fn prepare(
        spec: &CommandSpec,
        cookie: Cookie,
        origin: Option<&Origin>,
    ) -> Result<Self, Error> {
        let fail = |problem| Error::spawn(&spec.program, problem);
        if !spec.program.is_absolute() {
            return Err(fail(SpawnProblem::NotAbsolute));
        }
        let text = |text: &OsStr| {
            CString::new(text.as_bytes()).map_err(|_| {
                fail(SpawnProblem::BadArgument(
                    text.to_string_lossy().into_owned(),
                ))
            })
        };
        let program = text(spec.program.as_os_str())?;
        let mut argv = vec![program.clone()];
        for arg in &spec.args {
            argv.push(text(arg)?);
        }
        let mut envp = Vec::with_capacity(spec.env.len() + 3);
        for (name, value) in environment(spec, cookie, origin) {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                let name = name.to_string_lossy().into_owned();
                return Err(fail(SpawnProblem::BadArgument(name)));
            }
            let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
            envp.push(text(OsStr::from_bytes(&entry))?);
        }
        let cwd = spec
            .cwd
            .as_deref()
            .map(|dir| text(dir.as_os_str()))
            .transpose()?;
        let system = |e| fail(classify(e, spec));
        let (stdin, death) = if spec.dependent {
            let (read, write) = keeper::pipe().map_err(system)?;
            (read, Some(write))
        } else {
            (null(false).map_err(system)?, None)
        };
        let (child_out, stdout) = output(spec.stdout).map_err(system)?;
        let (child_err, stderr) = output(spec.stderr).map_err(system)?;
        let stdio = [Some(stdin), child_out, child_err];
        Ok(Self {
            image: Image {
                program,
                argv,
                envp,
                cwd,
                stdio,
                more: Vec::new(),
                held_back: spec.hold_signals,
                stamp: Some(Stamp::of(cookie)),
            },
            death,
            stdout,
            stderr,
        })
    }
}

/// Returns the whole environment: the caller's variables, the cookies and the identity of the host.
/// The cookies of this process come first, so that an outer host still finds the processes that an
/// inner host started.
fn environment(
    spec: &CommandSpec,
    cookie: Cookie,
    origin: Option<&Origin>,
) -> Vec<(OsString, OsString)> {
    let mut cookies = std::env::var_os(COOKIES_VAR).unwrap_or_default();
    if !cookies.is_empty() {
        cookies.push(":");
    }
    cookies.push(cookie.to_string());
    let ours = [COOKIES_VAR, HOST_PID_VAR, ORIGIN_VAR];
    let given = spec
        .env
        .iter()
        .filter(|(name, _)| !ours.iter().any(|own| name == own));
    let added = [
        (COOKIES_VAR.into(), cookies),
        (HOST_PID_VAR.into(), std::process::id().to_string().into()),
    ];
    let origin = origin.map(|origin| (ORIGIN_VAR.into(), origin.value()));
    given.cloned().chain(added).chain(origin).collect()
}

/// Converts a system error into the problem with this program.
pub(crate) fn classify(error: io::Error, spec: &CommandSpec) -> SpawnProblem {
    let directory_fails = || {
        let dir = spec.cwd.as_ref()?;
        std::fs::read_dir(dir)
            .is_err()
            .then(|| SpawnProblem::WorkingDir(dir.clone()))
    };
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
            SpawnProblem::Resources(Arc::new(error))
        }
        Some(libc::ENOENT | libc::ENOTDIR) => match directory_fails() {
            Some(problem) => problem,
            None if spec.program.exists() => SpawnProblem::BadFormat,
            None => SpawnProblem::NotFound,
        },
        Some(libc::EACCES) => directory_fails().unwrap_or(SpawnProblem::NotExecutable),
        Some(libc::ENOEXEC | libc::ELIBBAD) => SpawnProblem::BadFormat,
        _ => SpawnProblem::Other(Arc::new(error)),
    }
}

/// Creates a pipe (read end, write end); both ends are closed at exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((clear_of_stdio(read)?, clear_of_stdio(write)?))
}

pub(crate) fn null(write: bool) -> io::Result<OwnedFd> {
    let file: File = OpenOptions::new()
        .read(!write)
        .write(write)
        .open(Path::new("/dev/null"))?;
    clear_of_stdio(file.into())
}

/// Moves a descriptor above the standard ones. If the host has closed its own standard descriptors,
/// new descriptors get their numbers; the child would overwrite them before they are used, or close
/// them at exec.
fn clear_of_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    clear_below(fd, 3)
}

/// Returns the descriptor, duplicated if necessary, with a number of at least `lowest`.
#[expect(
    unsafe_code,
    reason = "nix returns the new descriptor as a bare number"
)]
pub(crate) fn clear_below(fd: OwnedFd, lowest: i32) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= lowest {
        return Ok(fd);
    }
    let new = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
    // SAFETY: fcntl has just created this descriptor, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// Returns the child's descriptor and the host's end.
fn output(kind: Output) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    Ok(match kind {
        Output::Inherit => (None, None),
        Output::Null => (Some(null(true)?), None),
        Output::Pipe => {
            let (read, write) = pipe()?;
            (Some(write), Some(read))
        }
    })
}
