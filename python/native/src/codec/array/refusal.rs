//! Errors of arrays that cannot be sent: the reason, and what to send instead.

use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use super::dtype::DType;
use crate::codec::encode::{EncodeError, named};
use crate::codec::kinds;

/// Longest name of an element type that is shown, in characters. The name of a structured type
/// lists all its fields.
const SHOWN: usize = 120;

/// Returns the error for an array whose elements cannot be sent. `format` is the format of its
/// buffer, used if the array is not one of numpy.
pub(super) fn elements(array: &Bound<'_, PyAny>, format: &str) -> EncodeError {
    let Some(dtype) = dtype(array) else {
        let kind = match format.trim_start_matches(['@', '=', '<', '>', '!', '^']) {
            "u" | "w" => "text",
            "c" | "s" | "p" => "single bytes",
            "P" | "O" => "pointers",
            "g" | "Zg" => "long floats",
            _ => "structured elements",
        };
        let help = match kind {
            "single bytes" => "send `bytes(value)`",
            "text" => "send the text itself, or convert it with `.tolist()`",
            _ => "convert it, for example with `.tolist()`",
        };
        return refused(kind, help.to_owned());
    };
    let name = name_of(&dtype);
    let kind = attribute::<char>(&dtype, "kind").unwrap_or(' ');
    let size = attribute::<usize>(&dtype, "itemsize").unwrap_or(0);
    let structured = dtype.getattr("names").is_ok_and(|names| !names.is_none());
    let help = match kind {
        _ if structured => {
            "send its fields separately, for example `{name: value[name] for name in value.dtype.names}`"
        }
        'f' if size > 8 => "convert it with `.astype(\"float64\")`",
        'c' if size > 16 => "convert it with `.astype(\"complex128\")`",
        'O' | 'U' | 'S' | 'T' | 'V' => "convert it with `.tolist()`",
        _ => "convert it, for example with `.tolist()` or `.astype(...)`",
    };
    refused(&name, help.to_owned())
}

/// Returns the error for an array in big-endian byte order.
pub(super) fn byte_order(array: &Bound<'_, PyAny>, known: Option<&DType>) -> EncodeError {
    let of = known.map(DType::name);
    let (name, of) = match (dtype(array), of) {
        (Some(dtype), Some(of)) => (name_of(&dtype), of.into_owned()),
        (Some(dtype), None) => {
            let native = dtype.call_method1("newbyteorder", ("=",));
            let native = native.unwrap_or_else(|_| dtype.clone());
            (name_of(&dtype), name_of(&native))
        }
        (None, of) => {
            let of = of.map_or_else(|| "numbers".to_owned(), |of| of.into_owned());
            return EncodeError::new(format!(
                "is an array of {of} in big-endian byte order, which cannot be sent"
            ))
            .help("swap its bytes, for example with `numpy.asarray(value).astype(...)`");
        }
    };
    let what =
        format!("is an array of {name}, which is {of} in big-endian byte order and cannot be sent");
    EncodeError::new(what).help(format!("convert it with `.astype(\"{of}\")`"))
}

fn refused(name: &str, help: String) -> EncodeError {
    let what = format!(
        "is an array of {name}, and only floats and complex numbers of up to 64 bits each, integers, bool, datetime64 and timedelta64 can be sent"
    );
    EncodeError::new(what).help(help)
}

/// Returns the `dtype` of a numpy array, or of the numpy array behind a memory view.
pub(super) fn dtype<'py>(array: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if kinds::NDARRAY.is_instance(array) {
        return array.getattr("dtype").ok();
    }
    let owner = array.cast::<PyMemoryView>().ok()?.getattr("obj").ok()?;
    let same = |owner: &Bound<'py, PyAny>| {
        let plain = PyMemoryView::from(owner).and_then(|view| view.getattr("format"));
        plain.and_then(|plain| plain.eq(array.getattr("format")?))
    };
    // The view may have been cast to another format.
    let is_view = kinds::NDARRAY.is_instance(&owner) && same(&owner).unwrap_or(false);
    is_view.then(|| owner.getattr("dtype").ok()).flatten()
}

/// Returns the name of an element type as numpy writes it: `<U3`, `float128`.
fn name_of(dtype: &Bound<'_, PyAny>) -> String {
    let name = dtype
        .str()
        .map_or_else(|_| String::new(), |name| name.to_string());
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

fn attribute<'py, T>(dtype: &Bound<'py, PyAny>, name: &str) -> Option<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    dtype.getattr(name).ok()?.extract().ok()
}

/// Rejects an instance of a subclass that carries more than its elements: a mask, a unit,
/// attributes of its own.
pub(super) fn has_no_more(value: &Bound<'_, PyAny>) -> Result<(), EncodeError> {
    let class = value.get_type();
    if kinds::NDARRAY
        .get(value.py())
        .is_ok_and(|plain| class.is(&plain))
    {
        return Ok(());
    }
    if kinds::MASKED_ARRAY.is_instance(value) {
        let what = format!("is {}, whose mask cannot be sent", named(value));
        let help = "fill the masked elements, for example with `.filled(0)`, or send the mask and the data separately";
        return Err(EncodeError::new(what).help(help));
    }
    let own = |name: &str| {
        let found = value.getattr_opt(name).ok().flatten();
        found.is_some_and(|found| found.is_truthy().unwrap_or(true))
    };
    // numpy's own subclasses (`memmap`, `matrix`, `recarray`) are other views of the same elements.
    let of_numpy = class.module().is_ok_and(|module| {
        module
            .to_str()
            .is_ok_and(|name| name.split('.').next() == Some("numpy"))
    });
    if of_numpy || !(own("__dict__") || own("__slots__")) {
        return Ok(());
    }
    let what = format!(
        "is {}, which has attributes besides its elements",
        named(value)
    );
    let help = if own("unit") {
        "send `.value`, and the unit separately"
    } else {
        "send `numpy.asarray(value)`, and its attributes separately"
    };
    Err(EncodeError::new(what).help(help))
}
