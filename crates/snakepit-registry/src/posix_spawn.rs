//! One call of `posix_spawn`.
//!
//! The standard library hands the calling thread's signal mask and the ignored signals down to
//! the child, and forks as soon as anything has to run in it. `posix_spawn` with attributes resets
//! both in the kernel's child and never runs code of ours between fork and exec.
#![expect(
    unsafe_code,
    reason = "posix_spawn takes C structures; each call has its SAFETY text"
)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use crate::sys;

/// Everything a child needs, in the form that C wants.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) program: CString,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    /// What becomes descriptors 0, 1 and 2; `None` leaves the host's.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    /// What becomes descriptors 3 and up. Their own numbers must be beyond that.
    pub(crate) more: Vec<OwnedFd>,
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}

/// Frees the file actions at the end.
struct Actions(libc::posix_spawn_file_actions_t);

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised by `posix_spawn_file_actions_init`, and not used afterwards.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// Frees the attributes at the end.
struct Attributes(libc::posix_spawnattr_t);

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `posix_spawnattr_init`, and not used afterwards.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

fn actions(image: &Image) -> io::Result<Actions> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the call initialises the structure that it is given.
    check(unsafe { libc::posix_spawn_file_actions_init(raw.as_mut_ptr()) })?;
    // SAFETY: initialised just above.
    let mut actions = Actions(unsafe { raw.assume_init() });
    if let Some(cwd) = &image.cwd {
        // SAFETY: the structure is initialised; the path is NUL-terminated and copied by the call.
        check(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&raw mut actions.0, cwd.as_ptr())
        })?;
    }
    for (target, source) in (0..).zip(&image.stdio) {
        let Some(source) = source else { continue };
        // SAFETY: the structure is initialised; the descriptors are only numbers here.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, source.as_raw_fd(), target)
        })?;
    }
    for (target, source) in (3..).zip(&image.more) {
        // SAFETY: as above.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, source.as_raw_fd(), target)
        })?;
    }
    close_others(&mut actions, 3 + image.more.len())?;
    Ok(actions)
}

type AddCloseFrom =
    unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, libc::c_int) -> libc::c_int;

/// Closes every descriptor above those that are meant for it in the child, where the C library can do that
/// (glibc 2.34): libraries such as LMDB open files without asking for it. Elsewhere the flags of
/// the descriptors decide, and all of this crate's own have it.
fn close_others(actions: &mut Actions, from: usize) -> io::Result<()> {
    // SAFETY: the name is NUL-terminated; looking a symbol up has no other effect.
    let symbol = unsafe {
        libc::dlsym(
            libc::RTLD_DEFAULT,
            c"posix_spawn_file_actions_addclosefrom_np".as_ptr(),
        )
    };
    if symbol.is_null() {
        return Ok(());
    }
    // SAFETY: this is the type that glibc declares for the function of this name.
    let add = unsafe { std::mem::transmute::<*mut libc::c_void, AddCloseFrom>(symbol) };
    let from = libc::c_int::try_from(from).unwrap_or(libc::c_int::MAX);
    // SAFETY: the structure is initialised, and the call only adds to it.
    check(unsafe { add(&raw mut actions.0, from) })
}

/// `POSIX_SPAWN_SETSID` of glibc 2.26 and of musl, which libc does not name everywhere.
const SETSID: libc::c_int = 0x80;

/// Own process group without a controlling terminal; empty signal mask, every signal at its default.
///
/// A host that has a terminal gets rid of it for the worker by a session of its own. Without one it
/// does not make a session, because `CONFIG_SCHED_AUTOGROUP` (sched(7)) schedules each session as a
/// group of its own, and calls between two groups on one processor are slower.
fn attributes() -> io::Result<Attributes> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the call initialises the structure that it is given.
    check(unsafe { libc::posix_spawnattr_init(raw.as_mut_ptr()) })?;
    // SAFETY: initialised just above.
    let mut attributes = Attributes(unsafe { raw.assume_init() });
    let (mut none, mut all) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let apart = if sys::has_terminal() {
        SETSID
    } else {
        libc::POSIX_SPAWN_SETPGROUP
    };
    let flags = apart | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
    // SAFETY: the sets are filled before they are read, and all structures outlive the calls.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigfillset(all.as_mut_ptr());
        // These two cannot have another action, and asking for it makes the spawn fail.
        libc::sigdelset(all.as_mut_ptr(), libc::SIGKILL);
        libc::sigdelset(all.as_mut_ptr(), libc::SIGSTOP);
        check(libc::posix_spawnattr_setpgroup(&raw mut attributes.0, 0))?;
        check(libc::posix_spawnattr_setsigmask(
            &raw mut attributes.0,
            none.as_ptr(),
        ))?;
        check(libc::posix_spawnattr_setsigdefault(
            &raw mut attributes.0,
            all.as_ptr(),
        ))?;
        check(libc::posix_spawnattr_setflags(
            &raw mut attributes.0,
            flags as libc::c_short,
        ))?;
    }
    Ok(attributes)
}

/// A list of strings as C wants it. It borrows them.
pub(crate) fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect()
}

/// Starts the program as leader of its own process group, without a controlling terminal, and returns
/// its process id. When the program cannot be executed, the error says why and no process is left.
pub(crate) fn spawn(image: &Image) -> io::Result<i32> {
    let actions = actions(image)?;
    let attributes = attributes()?;
    let (argv, envp) = (pointers(&image.argv), pointers(&image.envp));
    let mut pid = 0;
    // SAFETY: all strings are NUL-terminated and live until the call returns, both lists end with
    // a null pointer, and the call changes neither them nor the strings.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            image.program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    })?;
    Ok(pid)
}

/// Blocks every signal in the calling thread, so that no handler of the host runs on it.
pub(crate) fn block_signals() -> io::Result<()> {
    let all = nix::sys::signal::SigSet::all();
    Ok(all.thread_block()?)
}
