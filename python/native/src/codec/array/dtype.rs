//! Types of the elements of arrays: their numbers on the wire, and their names.

use std::borrow::Cow;

/// Type of the elements of an array; `code` is its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DType {
    pub(super) code: u8,
    pub(super) size: usize,
    /// Name in numpy, without the unit of a time.
    name: &'static str,
    /// Format in the buffer protocol; for a time, the format of its numbers.
    pub(super) format: &'static str,
    /// Step of a time; `None` for other types.
    pub(super) step: Option<Step>,
}

/// Step of a time: an index into [`UNITS`], and the number of these units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) unit: u8,
    pub(super) count: u32,
}

/// Units of times; the index is the number on the wire.
const UNITS: [&str; 14] = [
    "", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as",
];

const MOMENT: DType = dtype(15, 8, "datetime64", "q");
const SPAN: DType = dtype(16, 8, "timedelta64", "q");

const PLAIN: [DType; 14] = [
    dtype(1, 4, "float32", "f"),
    dtype(2, 8, "float64", "d"),
    dtype(3, 1, "int8", "b"),
    dtype(4, 2, "int16", "h"),
    dtype(5, 4, "int32", "i"),
    dtype(6, 8, "int64", "q"),
    dtype(7, 1, "uint8", "B"),
    dtype(8, 2, "uint16", "H"),
    dtype(9, 4, "uint32", "I"),
    dtype(10, 8, "uint64", "Q"),
    dtype(11, 1, "bool", "?"),
    dtype(12, 2, "float16", "e"),
    dtype(13, 8, "complex64", "Zf"),
    dtype(14, 16, "complex128", "Zd"),
];

const fn dtype(code: u8, size: usize, name: &'static str, format: &'static str) -> DType {
    DType {
        code,
        size,
        name,
        format,
        step: None,
    }
}

impl DType {
    /// Returns the type with this number on the wire; `step` is used for times only.
    pub(super) fn of_wire(code: u8, step: Step) -> Option<Self> {
        let time = |kind: Self| {
            let step = step.checked()?;
            Some(Self {
                step: Some(step),
                ..kind
            })
        };
        match code {
            15 => time(MOMENT),
            16 => time(SPAN),
            _ => PLAIN.iter().find(|dtype| dtype.code == code).copied(),
        }
    }

    /// Returns the type with this name in numpy.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        for kind in [MOMENT, SPAN] {
            if let Some(step) = name.strip_prefix(kind.name) {
                let step = Some(Step::of_name(step)?);
                return Some(Self { step, ..kind });
            }
        }
        PLAIN.iter().find(|dtype| dtype.name == name).copied()
    }

    /// Returns the type of a buffer's elements, and whether they have the byte order of the wire.
    pub(super) fn of_buffer(format: &str, size: usize) -> Option<(Self, bool)> {
        let (order, kind) = match format.as_bytes() {
            [order @ (b'@' | b'=' | b'<' | b'>' | b'!' | b'^'), rest @ ..] => (*order, rest),
            whole => (b'@', whole),
        };
        let family: &[&str] = match kind {
            b"f" | b"d" => &["f", "d"],
            b"b" | b"h" | b"i" | b"l" | b"q" | b"n" => &["b", "h", "i", "q"],
            b"B" | b"H" | b"I" | b"L" | b"Q" | b"N" => &["B", "H", "I", "Q"],
            b"?" => &["?"],
            b"e" => &["e"],
            b"Zf" | b"Zd" => &["Zf", "Zd"],
            _ => return None,
        };
        let found = PLAIN
            .iter()
            .find(|dtype| dtype.size == size && family.contains(&dtype.format))?;
        let same = cfg!(target_endian = "little") && !matches!(order, b'>' | b'!');
        Some((*found, same || size == 1))
    }

    /// Returns the name in numpy.
    pub(super) fn name(&self) -> Cow<'static, str> {
        match self.step {
            None => Cow::Borrowed(self.name),
            Some(Step { unit: 0, .. }) => Cow::Borrowed(self.name),
            Some(Step { unit, count: 1 }) => {
                Cow::Owned(format!("{}[{}]", self.name, UNITS[usize::from(unit)]))
            }
            Some(Step { unit, count }) => {
                let unit = UNITS[usize::from(unit)];
                Cow::Owned(format!("{}[{count}{unit}]", self.name))
            }
        }
    }
}

impl Step {
    fn checked(self) -> Option<Self> {
        let known = usize::from(self.unit) < UNITS.len();
        let fits = self.count > 0 && i32::try_from(self.count).is_ok();
        (known && fits && (self.unit > 0 || self.count == 1)).then_some(self)
    }

    /// Parses a step such as `[25s]`; the empty text is the step without a unit.
    fn of_name(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { unit: 0, count: 1 });
        }
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let sign = inner.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let unit = UNITS.iter().skip(1).position(|unit| *unit == sign)? + 1;
        let count = match &inner[..inner.len() - sign.len()] {
            "" => 1,
            digits => digits.parse().ok()?,
        };
        let unit = u8::try_from(unit).ok()?;
        Self { unit, count }.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_name_and_number() {
        let times = [
            "datetime64[D]",
            "datetime64",
            "timedelta64[25s]",
            "timedelta64[as]",
        ];
        for name in PLAIN.iter().map(|dtype| dtype.name).chain(times) {
            let dtype = DType::of_name(name).unwrap();
            assert_eq!(dtype.name(), name);
            let step = dtype.step.unwrap_or(Step { unit: 99, count: 0 });
            assert_eq!(DType::of_wire(dtype.code, step), Some(dtype));
        }
        for name in [
            "float128",
            "datetime64[x]",
            "datetime64[0s]",
            "datetime64[9999999999s]",
        ] {
            assert_eq!(DType::of_name(name), None, "{name}");
        }
        for (code, unit, count) in [(0, 0, 1), (17, 0, 1), (15, 14, 1), (15, 1, 0), (16, 0, 2)] {
            assert_eq!(DType::of_wire(code, Step { unit, count }), None);
        }
    }

    #[test]
    fn formats_of_buffers_are_read() {
        let name =
            |format, size| DType::of_buffer(format, size).map(|(dtype, same)| (dtype.name, same));
        assert_eq!(name("l", 8), Some(("int64", true)));
        assert_eq!(name("=d", 8), Some(("float64", true)));
        assert_eq!(name("^Zf", 8), Some(("complex64", true)));
        assert_eq!(name(">e", 2), Some(("float16", false)));
        assert_eq!(name(">b", 1), Some(("int8", true)));
        for (format, size) in [
            ("g", 16),
            ("Zg", 32),
            ("3w", 12),
            ("T{i:a:}", 4),
            ("O", 8),
            ("", 8),
        ] {
            assert_eq!(name(format, size), None);
        }
    }
}
