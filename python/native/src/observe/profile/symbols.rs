//! Addresses of CPython's data in this process. They are looked up at run time, since one binary
//! serves all versions.
#![expect(unsafe_code, reason = "dlsym")]

use std::ffi::CStr;

/// Returns the address of a symbol of the interpreter. `None` if its build hides it.
pub(crate) fn address(name: &CStr) -> Option<u64> {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found as u64)
}
