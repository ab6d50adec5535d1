//! Encoding of dates and times. What Python's own classes cannot hold is rejected: nanoseconds, and
//! the not-a-time of pandas.

use pyo3::prelude::*;

use super::refusal::{EncodeError, failed, named};
use crate::codec::decode::loses_offset;
use crate::codec::kinds::{self, Kind};
use crate::codec::msgpack::{Token, ext, write};

/// Appends a date, a time or a time span; returns `false` for other values.
pub(super) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
    // A datetime is an instance of `date` too.
    for (kind, code) in [
        (&kinds::DATETIME, ext::DATETIME),
        (&kinds::DATE, ext::DATE),
        (&kinds::TIME, ext::TIME),
    ] {
        if kind.is_instance(value) {
            exact(value, kind, "nanosecond")?;
            has_offset(value)?;
            let text = iso(value, kind).map_err(|error| failed(value, &error))?;
            if loses_offset(&text) {
                let what = format!("is {} with an offset of less than a second", named(value));
                return Err(EncodeError::new(what).help("send `value.isoformat()`"));
            }
            write(out, Token::Ext(code, text.as_bytes()));
            return Ok(true);
        }
    }
    if !kinds::TIMEDELTA.is_instance(value) {
        return Ok(false);
    }
    exact(value, &kinds::TIMEDELTA, "nanoseconds")?;
    let total = micros(value).map_err(|error| failed(value, &error))?;
    let total = i64::try_from(total).map_err(|_| {
        EncodeError::new("is a timedelta outside of 64 bits of microseconds")
            .help("send `value.total_seconds()`")
    })?;
    write(out, Token::Ext(ext::TIMEDELTA, &total.to_be_bytes()));
    Ok(true)
}

/// Rejects an instance of a subclass that is not a time, or is finer than its base class can hold.
fn exact(value: &Bound<'_, PyAny>, kind: &Kind, finer: &str) -> Result<(), EncodeError> {
    let class = kind.get(value.py());
    if class.is_ok_and(|class| value.get_type().is(&class)) {
        return Ok(());
    }
    // `pandas.NaT` is an instance of `datetime`; like NaN, it is not equal to itself.
    if !value.eq(value).unwrap_or(false) {
        let what = format!("is {value}, which is not a time");
        return Err(EncodeError::new(what).help("send None instead"));
    }
    let rest = value
        .getattr_opt(finer)
        .ok()
        .flatten()
        .and_then(|rest| rest.extract::<i64>().ok());
    if rest.is_none_or(|rest| rest == 0) {
        return Ok(());
    }
    let what = format!(
        "is {} with nanoseconds, and microseconds are the finest that can be sent",
        named(value)
    );
    Err(EncodeError::new(what).help(
        "round it, `value.round(\"us\")`, or send `numpy.asarray(value.to_numpy())`, which keeps them",
    ))
}

/// Refuses a time whose zone has no offset without a date: it would be read as one without a zone.
fn has_offset(value: &Bound<'_, PyAny>) -> Result<(), EncodeError> {
    let lost = || -> PyResult<bool> {
        let zone = value.getattr_opt("tzinfo")?.filter(|zone| !zone.is_none());
        Ok(zone.is_some() && value.call_method0("utcoffset")?.is_none())
    };
    if !lost().map_err(|error| failed(value, &error))? {
        return Ok(());
    }
    let what = format!("is {} whose zone has no offset by itself", named(value));
    Err(EncodeError::new(what).help("send `[value.replace(tzinfo=None), str(value.tzinfo)]`"))
}

/// Returns the ISO 8601 text that the base class writes; a subclass may write another.
fn iso(value: &Bound<'_, PyAny>, kind: &Kind) -> PyResult<String> {
    let method = kind.get(value.py())?.getattr("isoformat")?;
    method.call1((value,))?.extract()
}

fn micros(value: &Bound<'_, PyAny>) -> PyResult<i128> {
    let part = |name: &str| value.getattr(name)?.extract::<i64>();
    // The longest timedelta is 1e9 days, which does not fit 64 bits of microseconds.
    Ok(i128::from(part("days")?) * 86_400_000_000
        + i128::from(part("seconds")?) * 1_000_000
        + i128::from(part("microseconds")?))
}
