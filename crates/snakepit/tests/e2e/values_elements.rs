//! The element types of arrays with samples of each, and what is refused: further tables of
//! `docs/values.md`.

use snakepit::{Tensor, Value};

use crate::values_table::{Sample, array, same};

/// A value that is rejected.
pub(crate) struct Refused {
    pub(crate) sent: &'static str,
    pub(crate) library: Option<&'static str>,
    /// Parts of the message and of the help.
    pub(crate) says: &'static [&'static str],
}

fn ticks(dtype: &str, numbers: &[i64]) -> Value {
    let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    array(dtype, &[numbers.len()], &data)
}

/// Element types of arrays: numpy's names, their sizes, and what they are in Rust.
pub(crate) const ELEMENTS: &[(&str, &str, &[Sample])] = &[
    (
        "`float32`",
        "`f32`",
        &[same("np.array([1.5, np.nan], 'f4')", || {
            Tensor::from(vec![1.5, f32::from_bits(0x7fc0_0000)]).into()
        })],
    ),
    (
        "`float64`",
        "`f64`",
        &[same("np.array([0.1, -np.inf])", || {
            Tensor::from(vec![0.1, f64::NEG_INFINITY]).into()
        })],
    ),
    (
        "`int8`",
        "`i8`",
        &[same("np.array([-128], 'i1')", || {
            Tensor::from(vec![i8::MIN]).into()
        })],
    ),
    (
        "`int16`",
        "`i16`",
        &[same("np.array([-2**15], 'i2')", || {
            Tensor::from(vec![i16::MIN]).into()
        })],
    ),
    (
        "`int32`",
        "`i32`",
        &[same("np.array([-2**31], 'i4')", || {
            Tensor::from(vec![i32::MIN]).into()
        })],
    ),
    (
        "`int64`",
        "`i64`",
        &[same("np.array([-2**63])", || {
            Tensor::from(vec![i64::MIN]).into()
        })],
    ),
    (
        "`uint8`",
        "`u8`",
        &[same("np.array([255], 'u1')", || {
            Tensor::from(vec![u8::MAX]).into()
        })],
    ),
    (
        "`uint16`",
        "`u16`",
        &[same("np.array([2**16 - 1], 'u2')", || {
            Tensor::from(vec![u16::MAX]).into()
        })],
    ),
    (
        "`uint32`",
        "`u32`",
        &[same("np.array([2**32 - 1], 'u4')", || {
            Tensor::from(vec![u32::MAX]).into()
        })],
    ),
    (
        "`uint64`",
        "`u64`",
        &[same("np.array([2**64 - 1], 'u8')", || {
            Tensor::from(vec![u64::MAX]).into()
        })],
    ),
    (
        "`bool`",
        "`bool`",
        &[same("np.array([True, False])", || {
            Tensor::from(vec![true, false]).into()
        })],
    ),
    (
        "`float16`",
        "`half::f16` (feature `half`)",
        &[same("np.array([1.5, -2], 'f2')", || {
            array("float16", &[2], &[0, 0x3e, 0, 0xc0])
        })],
    ),
    (
        "`complex64`",
        "`num_complex::Complex<f32>` (feature `num-complex`)",
        &[same("np.array([1 - 2j], 'c8')", || {
            array("complex64", &[1], &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0])
        })],
    ),
    (
        "`complex128`",
        "`num_complex::Complex<f64>` (feature `num-complex`)",
        &[same("np.array([[0.5j]])", || {
            array(
                "complex128",
                &[1, 1],
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
            )
        })],
    ),
    (
        "`datetime64[unit]`",
        "`i64`, the numbers of the steps",
        &[
            same("np.array(['1970-01-02', 'NaT'], 'datetime64[D]')", || {
                ticks("datetime64[D]", &[1, i64::MIN])
            }),
            same("np.array([1], 'datetime64[ns]')", || {
                ticks("datetime64[ns]", &[1])
            }),
            same("np.array([1], 'datetime64[25s]')", || {
                ticks("datetime64[25s]", &[1])
            }),
        ],
    ),
    (
        "`timedelta64[unit]`",
        "`i64`, the numbers of the steps",
        &[
            same("np.array([-1], 'timedelta64[ms]')", || {
                ticks("timedelta64[ms]", &[-1])
            }),
            same("np.array([1], 'timedelta64')", || {
                ticks("timedelta64", &[1])
            }),
        ],
    ),
];

/// Values that are rejected, and texts of the messages.
pub(crate) const REFUSED: &[Refused] = &[
    Refused {
        sent: "2**64",
        library: None,
        says: &["64 bits", "decimal.Decimal(value)"],
    },
    Refused {
        sent: r"'\udc80'",
        library: None,
        says: &[r"the lone surrogate '\udc80'", "value.encode("],
    },
    Refused {
        sent: "datetime.time(1, tzinfo=__import__('zoneinfo').ZoneInfo('Asia/Tokyo'))",
        library: None,
        says: &["no offset by itself", "value.replace(tzinfo=None)"],
    },
    Refused {
        sent: "1 + 2j",
        library: None,
        says: &["complex", "[value.real, value.imag]"],
    },
    Refused {
        sent: "frozenset([Color])",
        library: None,
        says: &["Enum", "name of the class"],
    },
    Refused {
        sent: "{'red': 1, Color.RED: 2}",
        library: None,
        says: &["two keys that are sent as 'red'", "list(value.items())"],
    },
    Refused {
        sent: "np.ma.masked_array([1], mask=[True])",
        library: Some("numpy"),
        says: &["mask cannot be sent", ".filled(0)"],
    },
    Refused {
        sent: "np.zeros(1, 'longdouble')",
        library: Some("numpy"),
        says: &["float128", ".astype(\"float64\")"],
    },
    Refused {
        sent: "np.zeros(1, '>f8')",
        library: Some("numpy"),
        says: &[">f8", ".astype(\"float64\")"],
    },
    Refused {
        sent: "np.array(['abc'])",
        library: Some("numpy"),
        says: &["<U3", ".tolist()"],
    },
    Refused {
        sent: "np.array([b'abc'])",
        library: Some("numpy"),
        says: &["|S3", ".tolist()"],
    },
    Refused {
        sent: "np.array([{}])",
        library: Some("numpy"),
        says: &["object", ".tolist()"],
    },
    Refused {
        sent: "np.zeros(1, [('a', 'i4'), ('b', 'f8')])",
        library: Some("numpy"),
        says: &["[('a', '<i4'), ('b', '<f8')]", "value.dtype.names"],
    },
    Refused {
        sent: "np.timedelta64(1, 'ns')",
        library: Some("numpy"),
        says: &["timedelta64[ns]", "numpy.asarray(value)"],
    },
    Refused {
        sent: "np.datetime64('20000-01-01')",
        library: Some("numpy"),
        says: &["datetime64[D]", "numpy.asarray(value)"],
    },
    Refused {
        sent: "np.timedelta64(5)",
        library: Some("numpy"),
        says: &["timedelta64", "numpy.asarray(value)"],
    },
    Refused {
        sent: "pd.NaT",
        library: Some("pandas"),
        says: &["not a time", "None"],
    },
    Refused {
        sent: "pd.Timestamp(1, unit='ns')",
        library: Some("pandas"),
        says: &["nanoseconds", "value.to_numpy()"],
    },
    Refused {
        sent: "pd.Period('2024-01')",
        library: Some("pandas"),
        says: &["Period", "str(value)"],
    },
    Refused {
        sent: "pd.DataFrame({'a': [{1}]})",
        library: Some("pandas"),
        says: &[
            "$.x[0]['a']",
            "objects of the type builtins.set",
            ".map(sorted)",
        ],
    },
    Refused {
        sent: "pl.LazyFrame({'a': [1]})",
        library: Some("polars"),
        says: &[
            "a lazy query of polars, which has no data",
            "value.collect()",
        ],
    },
    Refused {
        sent: "pa.scalar(1)",
        library: Some("pyarrow"),
        says: &["pyarrow.lib.Int64Scalar", "value.as_py()"],
    },
];
