//! Types of the elements of arrays, by numpy's names.

use std::borrow::Cow;
use std::fmt;

use super::{TimeStep, TimeUnit};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $size:literal;)*) => {
        /// Type of the elements of a [`Tensor`](crate::value::Tensor).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DType {
            $($(#[$doc])* $name,)*
            /// Moments, counted in steps since the beginning of 1970. The smallest number is
            /// not-a-time.
            DateTime64(TimeStep),
            /// Time spans, counted in steps. The smallest number is not-a-time.
            TimeDelta64(TimeStep),
        }

        impl DType {
            /// Every element type; those of times with steps of one unit.
            pub const ALL: &'static [Self] = &[
                $(Self::$name,)*
                Self::DateTime64(TimeStep::of(TimeUnit::Day)),
                Self::DateTime64(TimeStep::of(TimeUnit::Second)),
                Self::DateTime64(TimeStep::of(TimeUnit::Millisecond)),
                Self::DateTime64(TimeStep::of(TimeUnit::Microsecond)),
                Self::DateTime64(TimeStep::of(TimeUnit::Nanosecond)),
                Self::TimeDelta64(TimeStep::of(TimeUnit::Day)),
                Self::TimeDelta64(TimeStep::of(TimeUnit::Second)),
                Self::TimeDelta64(TimeStep::of(TimeUnit::Millisecond)),
                Self::TimeDelta64(TimeStep::of(TimeUnit::Microsecond)),
                Self::TimeDelta64(TimeStep::of(TimeUnit::Nanosecond)),
            ];

            /// Returns the number of the type on the wire; the step of a time is sent beside it.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                    Self::DateTime64(_) => DATETIME,
                    Self::TimeDelta64(_) => TIMEDELTA,
                }
            }

            /// Returns the type with this number; `step` is used for times only.
            pub(crate) fn from_wire(code: u8, step: Option<TimeStep>) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    DATETIME => step.map(Self::DateTime64),
                    TIMEDELTA => step.map(Self::TimeDelta64),
                    _ => None,
                }
            }

            /// Returns the name in numpy: `float32`, `datetime64[ns]`.
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $(Self::$name => Cow::Borrowed($text),)*
                    Self::DateTime64(step) => Cow::Owned(format!("datetime64{step}")),
                    Self::TimeDelta64(step) => Cow::Owned(format!("timedelta64{step}")),
                }
            }

            /// Returns the type with this name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)*
                    _ => {
                        if let Some(step) = name.strip_prefix("datetime64") {
                            return TimeStep::parse(step).map(Self::DateTime64);
                        }
                        let step = name.strip_prefix("timedelta64")?;
                        TimeStep::parse(step).map(Self::TimeDelta64)
                    }
                }
            }

            /// Returns the size of one element in bytes.
            pub const fn size(self) -> usize {
                match self {
                    $(Self::$name => $size,)*
                    Self::DateTime64(_) | Self::TimeDelta64(_) => 8,
                }
            }
        }
    };
}

const DATETIME: u8 = 15;
const TIMEDELTA: u8 = 16;

dtypes! {
    /// 32-bit floating point.
    Float32 = 1, "float32", 4;
    /// 64-bit floating point.
    Float64 = 2, "float64", 8;
    /// 8-bit signed.
    Int8 = 3, "int8", 1;
    /// 16-bit signed.
    Int16 = 4, "int16", 2;
    /// 32-bit signed.
    Int32 = 5, "int32", 4;
    /// 64-bit signed.
    Int64 = 6, "int64", 8;
    /// 8-bit unsigned.
    UInt8 = 7, "uint8", 1;
    /// 16-bit unsigned.
    UInt16 = 8, "uint16", 2;
    /// 32-bit unsigned.
    UInt32 = 9, "uint32", 4;
    /// 64-bit unsigned.
    UInt64 = 10, "uint64", 8;
    /// Truth values, one byte each: 0 is false, everything else true.
    Bool = 11, "bool", 1;
    /// 16-bit floating point. In Rust `half::f16`, with the feature `half`.
    Float16 = 12, "float16", 2;
    /// Pairs of 32-bit floating point. In Rust `Complex<f32>`, with the feature `num-complex`.
    Complex64 = 13, "complex64", 8;
    /// Pairs of 64-bit floating point. In Rust `Complex<f64>`, with the feature `num-complex`.
    Complex128 = 14, "complex128", 16;
}

impl DType {
    /// Returns the step of a time; `None` for other types.
    pub const fn step(self) -> Option<TimeStep> {
        match self {
            Self::DateTime64(step) | Self::TimeDelta64(step) => Some(step),
            _ => None,
        }
    }

    /// Returns how many numbers an element consists of.
    pub(crate) const fn parts(self) -> usize {
        match self {
            Self::Complex64 | Self::Complex128 => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_known_by_name_and_number() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_wire(dtype.code(), dtype.step()), Some(*dtype));
            assert_eq!(DType::parse(&dtype.name()), Some(*dtype));
        }
        for name in [
            "",
            "float128",
            "datetime64[",
            "datetime64[x]",
            "datetime64[0s]",
            "datetime64[2]",
            "timedelta64s",
        ] {
            assert_eq!(DType::parse(name), None, "{name}");
        }
        assert_eq!(DType::from_wire(0, None), None);
        assert_eq!(DType::from_wire(DATETIME, None), None);
        let quarter = DType::parse("timedelta64[15m]").unwrap();
        assert_eq!(quarter.to_string(), "timedelta64[15m]");
        assert_eq!(DType::parse("timedelta64").unwrap().name(), "timedelta64");
    }
}
