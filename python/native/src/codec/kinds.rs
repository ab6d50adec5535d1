//! Python types that are not builtins. A type's module is imported only when one of its values
//! occurs, so that a worker does not pay for `datetime` or `decimal` unless its tools use them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// A type by its module and its name.
pub(crate) struct Kind {
    module: &'static str,
    name: &'static str,
    class: PyOnceLock<Py<PyAny>>,
}

impl Kind {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self {
            module,
            name,
            class: PyOnceLock::new(),
        }
    }

    /// Returns the type; imports its module if necessary.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = self.class.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import(self.module)?.getattr(self.name)?.unbind())
        })?;
        Ok(class.bind(py).clone())
    }

    /// Returns whether a value is of this type. If the module is not imported, no value can be.
    pub(crate) fn is_instance(&self, value: &Bound<'_, PyAny>) -> bool {
        let py = value.py();
        if self.class.get(py).is_none() && !imported(py, self.module) {
            return false;
        }
        self.get(py)
            .and_then(|class| value.is_instance(&class))
            .unwrap_or(false)
    }
}

fn imported(py: Python<'_>, module: &str) -> bool {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let modules = MODULES.get_or_try_init(py, || {
        let modules = py.import("sys")?.getattr("modules")?;
        Ok::<_, PyErr>(modules.cast_into::<PyDict>().map_err(PyErr::from)?.unbind())
    });
    modules.is_ok_and(|modules| modules.bind(py).contains(module).unwrap_or(false))
}

pub(crate) static DATETIME: Kind = Kind::new("datetime", "datetime");
pub(crate) static DATE: Kind = Kind::new("datetime", "date");
pub(crate) static TIME: Kind = Kind::new("datetime", "time");
pub(crate) static TIMEDELTA: Kind = Kind::new("datetime", "timedelta");
pub(crate) static UUID: Kind = Kind::new("uuid", "UUID");
pub(crate) static DECIMAL: Kind = Kind::new("decimal", "Decimal");
pub(crate) static NDARRAY: Kind = Kind::new("numpy", "ndarray");
pub(crate) static PY_ARRAY: Kind = Kind::new("array", "array");
pub(crate) static ARRAY: Kind = Kind::new("snakepit_bridge._arrays.array", "Array");
pub(crate) static NUMPY_SCALAR: Kind = Kind::new("numpy", "generic");
pub(crate) static NUMPY_SPAN: Kind = Kind::new("numpy", "timedelta64");
pub(crate) static MASKED_ARRAY: Kind = Kind::new("numpy.ma", "MaskedArray");
pub(crate) static MODEL: Kind = Kind::new("pydantic", "BaseModel");
pub(crate) static ENUM: Kind = Kind::new("enum", "Enum");
