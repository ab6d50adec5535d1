//! Turns a program into a shim without the help of its `main`.
//!
//! The host starts its own program again, with a variable in the environment and a socket at
//! descriptor 3. A function that the loader calls before `main` checks for both and never returns
//! if they are there. Without the variable its cost is one look-up in the environment.
#![expect(
    unsafe_code,
    reason = "a constructor is called by the loader, and may use C alone"
)]

use std::ffi::CStr;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::containment::Refusal;
use crate::shim::process;

/// The environment variable that requests a shim. Workers do not inherit it.
pub(crate) const MARKER: &CStr = c"SNAKEPIT_SHIM";
/// The variable's value: the version of the protocol between host and shim.
pub(crate) const VERSION: &CStr = c"1";
/// Descriptor of the socket to the host.
pub(crate) const CONTROL: i32 = 3;
/// Descriptor of the memory file with the order.
pub(crate) const ORDER: i32 = 4;

/// `true` once the loader has called the constructor in this process.
static CALLED: AtomicBool = AtomicBool::new(false);

/// Runs before all constructors of the program that have no priority, and before its `main`.
// SAFETY: the section holds pointers to functions of the C calling convention, and the loader
// calls them with arguments that such a function may ignore.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static CONSTRUCTOR: extern "C" fn() = enter;

extern "C" fn enter() {
    CALLED.store(true, Ordering::Relaxed);
    // SAFETY: the name ends with NUL, and no other thread exists that could change the
    // environment.
    let value = unsafe { libc::getenv(MARKER.as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: the string that getenv returns ends with NUL.
    let value = unsafe { CStr::from_ptr(value) };
    // A program that runs with more rights than its caller must not obey the caller's order.
    // SAFETY: the call takes a number.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if value == VERSION && !secure && is_socket(CONTROL) {
        process::run();
    }
}

fn is_socket(fd: i32) -> bool {
    // SAFETY: all zeros is a valid `stat`, and the pointer refers to a place of its size.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &raw mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK
    }
}

/// Checks that this program, started again, becomes a shim: the constructor was called, and it lies
/// in the file that `/proc/self/exe` names. In a library that another program has loaded, it does
/// not.
pub(crate) fn installed() -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal(why));
    if !CALLED.load(Ordering::Relaxed) {
        return refuse("the program was linked without the constructor of the shim".to_owned());
    }
    let (Ok(exe), Ok(maps)) = (
        fs::read_link("/proc/self/exe"),
        fs::read_to_string("/proc/self/maps"),
    ) else {
        return refuse("/proc is not readable".to_owned());
    };
    let address = enter as extern "C" fn() as usize;
    let holds = |line: &&str| {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        range.is_some_and(|(from, to)| {
            let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
            (number(from)..number(to)).contains(&address)
        })
    };
    let line = maps.lines().find(holds).unwrap_or_default();
    let file = line.find('/').map(|at| &line[at..]);
    if file.is_some_and(|file| exe.as_os_str() == file) {
        return Ok(());
    }
    refuse(format!(
        "the shim lies in {}, and the program is {}",
        file.unwrap_or("no file"),
        exe.display()
    ))
}
