//! The process as others see it in `/proc`: its command line, and its environment without the
//! token.
#![expect(
    unsafe_code,
    reason = "the strings that a process was started with can be written to, by their address alone"
)]

use std::ffi::CString;
use std::fs;

use pyo3::prelude::*;
use snakepit_grpc::worker_env;

/// Removes the title from the arguments, where the host has put it after the program, and shows it
/// as the command line.
pub(crate) fn show(py: Python<'_>) -> PyResult<()> {
    let argv = py.import("sys")?.getattr("argv")?;
    if argv.len()? < 2 || std::env::var_os(worker_env::HOST_PID).is_none() {
        return Ok(());
    }
    let title: String = argv.get_item(1)?.extract()?;
    argv.del_item(1)?;
    // Without their place in memory, the arguments stay visible as they are.
    let _ = place().map(|(start, len)| write(start, len, title.as_bytes()));
    Ok(())
}

/// Returns address and length of the arguments in memory as the kernel reports them; `None` if the
/// report is wrong.
fn place() -> Option<(usize, usize)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may contain anything, also parentheses; the state after it is the third field.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
    let start: usize = fields.nth(48 - 3)?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    let shown = fs::read("/proc/self/cmdline").ok()?;
    let (first, len) = (shown.first()?, end.checked_sub(start)?);
    if start == 0 || len != shown.len() {
        return None;
    }
    // SAFETY: the kernel has copied the arguments from there just now, and they are never moved.
    let found = unsafe { *std::ptr::with_exposed_provenance::<u8>(start) };
    (found == *first).then_some((start, len))
}

fn write(start: usize, len: usize, title: &[u8]) {
    // The last byte stays zero: otherwise the kernel would continue into the environment.
    let shown = title.len().min(len.saturating_sub(1));
    let at = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: `len` bytes from there are the arguments of this process, which are not read any
    // more: the interpreter has its own copies.
    unsafe {
        at.write_bytes(0, len);
        std::ptr::copy_nonoverlapping(title.as_ptr(), at, shown);
    }
}

/// Overwrites the initial value of an environment variable, which processes of the same user can
/// read in `/proc`. The variable stays, with another value.
pub(crate) fn blot_out(name: &str) {
    let Ok(name) = CString::new(name) else { return };
    // SAFETY: the name ends with NUL. `getenv` returns a string of the environment, which may be
    // written to as long as its length stays. There is no other thread yet that could change the
    // environment.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        if !value.is_null() {
            let len = libc::strlen(value);
            value.write_bytes(b'-', len);
        }
    }
}
