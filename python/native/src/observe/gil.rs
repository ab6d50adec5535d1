//! The state of the GIL, and the import that has switched it on.
//!
//! A free-threaded interpreter starts without the GIL. An extension module that does not declare
//! that it can do without switches it on for the rest of the process, and the slots of the worker
//! take turns from then on. The host is notified once, with the name of the module.

use std::sync::{Arc, OnceLock};

use prost::Message as _;
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::link::reports::Reports;

/// Longest module name that is reported, in bytes; the host bounds the heads of frames.
const MAX_NAME: usize = 512;

/// The state of this process's GIL.
#[derive(Debug, Default)]
pub(crate) struct Gil {
    reenabled_by: OnceLock<String>,
}

impl Gil {
    /// Returns the module whose import has switched the GIL on; empty if there is none.
    pub(crate) fn reenabled_by(&self) -> &str {
        self.reenabled_by.get().map_or("", String::as_str)
    }
}

/// Returns whether the GIL is on. Only a free-threaded build can run without it.
pub(crate) fn is_enabled(py: Python<'_>) -> PyResult<bool> {
    match py.import("sys")?.getattr_opt("_is_gil_enabled")? {
        Some(ask) => ask.call0()?.extract(),
        None => Ok(true),
    }
}

/// Limits the length of a name. The host finds a part of a secret before a cut by the `…` there.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let mut ends = (0..=MAX_NAME).rev();
    let end = ends.find(|end| name.is_char_boundary(*end));
    format!("{}…", &name[..end.unwrap_or(0)])
}

/// The callback that Python code calls with the name of the module.
#[pyclass(frozen)]
#[derive(Debug)]
struct Report {
    gil: Arc<Gil>,
    reports: Arc<Reports>,
}

#[pymethods]
impl Report {
    fn __call__(&self, module: &str) {
        if self.gil.reenabled_by.set(shortened(module)).is_err() {
            return;
        }
        let message = pb::GilEnabled {
            module: self.gil.reenabled_by().to_owned(),
        };
        let head = message.encode_to_vec();
        let mut header = Header::new(Kind::GilEnabled, 0);
        header.head_len = u32::try_from(head.len()).expect("the name is bounded");
        self.reports.send(&[&header.encode()[..], &head].concat());
    }
}

/// Watches the imports of extension modules, if the GIL is off now.
pub(crate) fn watch(py: Python<'_>, reports: Arc<Reports>) -> PyResult<Arc<Gil>> {
    let gil = Arc::<Gil>::default();
    if !is_enabled(py)? {
        let report = Report {
            gil: Arc::clone(&gil),
            reports,
        };
        let report = Bound::new(py, report)?;
        let module = py.import("snakepit_bridge._observe.gil")?;
        module.call_method1("watch", (report,))?;
    }
    Ok(gil)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_cut_has_a_mark() {
        let long = "é".repeat(MAX_NAME);
        let cut = format!("{}…", "é".repeat(MAX_NAME / 2));
        assert_eq!((&*shortened(&long), &*shortened("a.b")), (&*cut, "a.b"));
    }
}
