//! The kinds of values that can be sent, with samples of each. The tables of `docs/values.md` are
//! made from it, and its tests send the samples.
//!
//! To add a kind, add a [`Row`]: its cells as they stand on the page, and samples of it. Each
//! sample goes from Python to Rust and back, and from Rust to Python and back. An expression of
//! Python may use `np`, `pd`, `pl` and `pa`; the row names the library that it needs.

use snakepit::{FrozenSet, Tensor, Value};

use crate::values_frames::{PANDAS, POLARS, PYARROW};

/// A row of the tables: one kind of values.
pub(crate) struct Row {
    /// The value in Python.
    pub(crate) python: &'static str,
    /// The value on the wire.
    pub(crate) wire: &'static str,
    /// The value in Python after the way back.
    pub(crate) back: &'static str,
    /// The value as a `Value`.
    pub(crate) value: &'static str,
    /// The value as a type of Rust.
    pub(crate) typed: &'static str,
    /// The library of Python that the samples need.
    pub(crate) library: Option<&'static str>,
    pub(crate) samples: &'static [Sample],
}

/// A value of a row.
pub(crate) struct Sample {
    /// Python expression of the value.
    pub(crate) sent: &'static str,
    /// Python expression of the value that comes back, if it differs.
    pub(crate) back: Option<&'static str>,
    /// The value in Rust; the host sends the same.
    pub(crate) value: fn() -> Value,
}

pub(crate) const fn same(sent: &'static str, value: fn() -> Value) -> Sample {
    Sample {
        sent,
        back: None,
        value,
    }
}

const fn other(sent: &'static str, back: &'static str, value: fn() -> Value) -> Sample {
    Sample {
        sent,
        back: Some(back),
        value,
    }
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::List(items.into())
}

fn map<const N: usize>(pairs: [(Value, Value); N]) -> Value {
    Value::Map(pairs.into())
}

fn set<const N: usize>(items: [Value; N]) -> Value {
    FrozenSet::new(items).into()
}

pub(crate) fn array(dtype: &str, shape: &[usize], data: &[u8]) -> Value {
    let dtype = snakepit::DType::parse(dtype).unwrap();
    Tensor::new(dtype, shape, data.to_vec()).unwrap().into()
}

/// All kinds.
pub(crate) const ROWS: &[Row] = &[
    Row {
        python: "`None`",
        wire: "nil",
        back: "`None`",
        value: "`Null`",
        typed: "`()`, `Option`",
        library: None,
        samples: &[same("None", || Value::Null)],
    },
    Row {
        python: "`bool`",
        wire: "bool",
        back: "`bool`",
        value: "`Bool`",
        typed: "`bool`",
        library: None,
        samples: &[same("True", || true.into())],
    },
    Row {
        python: "`int`, −2^63 … 2^64−1",
        wire: "int",
        back: "`int`",
        value: "`Int`, `UInt`",
        typed: "integers",
        library: None,
        samples: &[
            same("-2**63", || i64::MIN.into()),
            same("2**64 - 1", || u64::MAX.into()),
        ],
    },
    Row {
        python: "`float`, NaN and ±Inf included",
        wire: "float 64",
        back: "`float`",
        value: "`Float`",
        typed: "`f64`",
        library: None,
        samples: &[
            same("0.1", || 0.1.into()),
            same("-0.0", || (-0.0).into()),
            same("math.inf", || f64::INFINITY.into()),
            same("math.nan", || f64::NAN.into()),
        ],
    },
    Row {
        python: "`str` (valid UTF-8; lone surrogates refused)",
        wire: "str",
        back: "`str`",
        value: "`Str`",
        typed: "`String`",
        library: None,
        samples: &[same("'äß€'", || "äß€".into())],
    },
    Row {
        python: "`bytes`, `bytearray`, `memoryview` of bytes",
        wire: "bin",
        back: "`bytes`",
        value: "`Bytes`",
        typed: "`serde_bytes`, `snakepit::Bytes`",
        library: None,
        samples: &[
            same(r"b'\x00\xff'", || Value::Bytes(vec![0, 255].into())),
            other("memoryview(b'ab')", "b'ab'", || {
                Value::Bytes(vec![97, 98].into())
            }),
        ],
    },
    Row {
        python: "`list`, `tuple`, named tuple, `set`",
        wire: "array",
        back: "`list`",
        value: "`List`",
        typed: "`Vec`, tuples",
        library: None,
        samples: &[
            same("[1, [None]]", || list([1.into(), list([Value::Null])])),
            other("(1, Pair(2, 3))", "[1, [2, 3]]", || {
                list([1.into(), list([2.into(), 3.into()])])
            }),
            other("{1}", "[1]", || list([1.into()])),
        ],
    },
    Row {
        python: "`frozenset`, whose items can be keys",
        wire: "array, whose first item is ext 9 without data",
        back: "`frozenset`; in it, a list or tuple is a `tuple`",
        value: "`FrozenSet`",
        typed: "`Vec`, `HashSet`, `BTreeSet`",
        library: None,
        samples: &[
            same("frozenset()", || set([])),
            same("frozenset([1, (2, frozenset(['a']))])", || {
                set([1.into(), list([2.into(), set(["a".into()])])])
            }),
        ],
    },
    Row {
        python: "`dict`, its subclasses in the order of their `items()`; keys of any kind of this table that can be one",
        wire: "map",
        back: "`dict`; a list or tuple as a key is a `tuple`",
        value: "`Map`",
        typed: "maps, structs",
        library: None,
        samples: &[
            same("{'b': 1, 'a': 2}", || {
                map([("b".into(), 1.into()), ("a".into(), 2.into())])
            }),
            same("{1: 'a', '1': 'b', None: 'c'}", || {
                map([
                    (1.into(), "a".into()),
                    ("1".into(), "b".into()),
                    (Value::Null, "c".into()),
                ])
            }),
            same("{(1, (2, 'x')): {frozenset([3]): True}}", || {
                let key = list([1.into(), list([2.into(), "x".into()])]);
                map([(key, map([(set([3.into()]), true.into())]))])
            }),
            other("collections.OrderedDict(b=1)", "{'b': 1}", || {
                map([("b".into(), 1.into())])
            }),
        ],
    },
    Row {
        python: "dataclass instance; model of pydantic (`model_dump()`), attrs or msgspec",
        wire: "map of its fields",
        back: "`dict` (or the class, when the parameter is annotated with it)",
        value: "`Map`",
        typed: "structs",
        library: None,
        samples: &[other("Point(1.0, 2.5)", "{'x': 1.0, 'y': 2.5}", || {
            map([("x".into(), 1.0.into()), ("y".into(), 2.5.into())])
        })],
    },
    Row {
        python: "`Enum` member",
        wire: "its value",
        back: "the value (or the member, when annotated)",
        value: "",
        typed: "",
        library: None,
        samples: &[other("Color.RED", "'red'", || "red".into())],
    },
    Row {
        python: "`datetime`",
        wire: "ext 1, ISO 8601 text with offset if aware",
        back: "`datetime`",
        value: "`DateTime`",
        typed: "`snakepit::DateTime`",
        library: None,
        samples: &[
            same("datetime.datetime(2020, 2, 29, 1, 2, 3, 4)", || {
                Value::DateTime("2020-02-29T01:02:03.000004".into())
            }),
            same(
                "datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)",
                || Value::DateTime("2020-01-01T00:00:00+00:00".into()),
            ),
        ],
    },
    Row {
        python: "`date`",
        wire: "ext 2, ISO 8601 text",
        back: "`date`",
        value: "`Date`",
        typed: "`snakepit::Date`",
        library: None,
        samples: &[same("datetime.date(1, 1, 1)", || {
            Value::Date("0001-01-01".into())
        })],
    },
    Row {
        python: "`time`",
        wire: "ext 3, ISO 8601 text",
        back: "`time`",
        value: "`Time`",
        typed: "`snakepit::Time`",
        library: None,
        samples: &[same("datetime.time(23, 59)", || {
            Value::Time("23:59:00".into())
        })],
    },
    Row {
        python: "`timedelta` within 64 bits of microseconds, else refused",
        wire: "ext 4, i64 microseconds, big-endian",
        back: "`timedelta`",
        value: "`Duration`",
        typed: "`snakepit::TimeDelta`",
        library: None,
        samples: &[same("datetime.timedelta(days=-1, microseconds=1)", || {
            Value::Duration(-86_399_999_999)
        })],
    },
    Row {
        python: "`UUID`",
        wire: "ext 5, 16 bytes",
        back: "`UUID`",
        value: "`Uuid`",
        typed: "`snakepit::Uuid`",
        library: None,
        samples: &[same("uuid.UUID(int=7)", || {
            Value::Uuid(7_u128.to_be_bytes())
        })],
    },
    Row {
        python: "`Decimal`",
        wire: "ext 6, text as `str(d)`",
        back: "`Decimal`",
        value: "`Decimal`",
        typed: "`snakepit::Decimal`",
        library: None,
        samples: &[same("decimal.Decimal('1.50')", || {
            Value::Decimal("1.50".into())
        })],
    },
    Row {
        python: "scalars of numpy: numbers, `bool_`, `datetime64` and `timedelta64` that a class of `datetime` can hold",
        wire: "as the Python value that equals them",
        back: "that value",
        value: "",
        typed: "",
        library: Some("numpy"),
        samples: &[
            other("np.float32(0.5)", "0.5", || 0.5.into()),
            other("{np.int8(-3): np.bool_(True)}", "{-3: True}", || {
                map([((-3).into(), true.into())])
            }),
            other(
                "np.datetime64('2020-02-29')",
                "datetime.date(2020, 2, 29)",
                || Value::Date("2020-02-29".into()),
            ),
            other(
                "np.timedelta64(3000, 'ns')",
                "datetime.timedelta(0, 0, 3)",
                || Value::Duration(3),
            ),
        ],
    },
    Row {
        python: "`numpy.ndarray` of the element types below, of any size and layout",
        wire: "ext 7, see below",
        back: "`numpy.ndarray` in C order, or `snakepit_bridge.Array` without numpy",
        value: "`Array`",
        typed: "`snakepit::Tensor`, `NdArray`, nested `Vec`",
        library: Some("numpy"),
        samples: &[
            same("np.zeros((0, 3))", || array("float64", &[0, 3], &[])),
            same("np.array(True)", || array("bool", &[], &[1])),
            same("np.array([[1, 2], [3, 4]], 'u1')", || {
                array("uint8", &[2, 2], &[1, 2, 3, 4])
            }),
            other(
                "np.array([[1, 2], [3, 4]], 'u1', order='F')[::-1]",
                "np.array([[3, 4], [1, 2]], 'u1')",
                || array("uint8", &[2, 2], &[3, 4, 1, 2]),
            ),
        ],
    },
    Row {
        python: "`array.array`, typed `memoryview`, `snakepit_bridge.Array`",
        wire: "ext 7",
        back: "as an array of numpy",
        value: "`Array`",
        typed: "`snakepit::Tensor`",
        library: Some("numpy"),
        samples: &[
            other(
                "array.array('h', [1, -1])",
                "np.array([1, -1], 'i2')",
                || array("int16", &[2], &[1, 0, 255, 255]),
            ),
            other(
                "Array('float16', 'e', [1], b'\\x00\\x3c')",
                "np.array([1], 'f2')",
                || array("float16", &[1], &[0, 0x3c]),
            ),
        ],
    },
    Row {
        python: "`pandas.DataFrame`, `pandas.Series`",
        wire: "ext 16, see below",
        back: "the same class, or that of the annotation ([data frames](dataframes.md))",
        value: "`DataFrame`",
        typed: "`snakepit::DataFrame`, `RecordBatch`es of it (feature `arrow`)",
        library: Some("pandas"),
        samples: PANDAS,
    },
    Row {
        python: "`polars.DataFrame`, `polars.Series`",
        wire: "ext 16",
        back: "the same class, or that of the annotation",
        value: "`DataFrame`",
        typed: "`snakepit::DataFrame`",
        library: Some("polars"),
        samples: POLARS,
    },
    Row {
        python: "`pyarrow.Table`, `RecordBatch`, `Array`, `ChunkedArray`, `RecordBatchReader`; other objects with `__arrow_c_stream__`, as a table",
        wire: "ext 16",
        back: "the same class, or that of the annotation; `pyarrow.Table` for a frame made in Rust",
        value: "`DataFrame`",
        typed: "`snakepit::DataFrame`",
        library: Some("pyarrow"),
        samples: PYARROW,
    },
];
