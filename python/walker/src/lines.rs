//! Line tables: decoding the line of an instruction.

/// Returns the line of the instruction at `offset` bytes; 0 if it has none.
pub(crate) fn line(minor: u8, table: &[u8], first_line: u32, offset: i64) -> u32 {
    if offset < 0 {
        // The function is about to begin.
        return first_line;
    }
    let found = match minor {
        ..=10 => in_pairs(table, first_line.into(), offset),
        _ => in_locations(table, first_line.into(), offset & !1),
    };
    found.map_or(0, |line| u32::try_from(line).unwrap_or(0))
}

/// Decodes pairs of bytes: the length of a range of instructions, and its distance in lines from
/// the previous one (PEP 626).
fn in_pairs(table: &[u8], first_line: i64, offset: i64) -> Option<i64> {
    const NO_LINE: i8 = -128;
    let (mut line, mut end) = (first_line, 0_i64);
    for pair in table.chunks_exact(2) {
        let further = pair[1].cast_signed();
        if further != NO_LINE {
            line += i64::from(further);
        }
        end += i64::from(pair[0]);
        if end > offset {
            return (further != NO_LINE).then_some(line);
        }
    }
    Some(line)
}

/// Decodes entries of several bytes, the first of which has its highest bit set (PEP 657).
fn in_locations(table: &[u8], first_line: i64, offset: i64) -> Option<i64> {
    const NO_COLUMNS: u8 = 13;
    const LONG: u8 = 14;
    const NONE: u8 = 15;
    let (mut line, mut end) = (first_line, 0_i64);
    let mut rest = table;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let kind = first >> 3 & 15;
        match kind {
            10..=12 => line += i64::from(kind) - 10,
            NO_COLUMNS | LONG => line = line.checked_add(signed(&mut rest)?)?,
            _ => {}
        }
        end += 2 * (i64::from(first & 7) + 1);
        if end > offset {
            return (kind != NONE).then_some(line);
        }
        let next = rest.iter().position(|byte| byte & 0x80 != 0);
        rest = &rest[next.unwrap_or(rest.len())..];
    }
    Some(line)
}

/// Decodes a signed number of six bits a byte, the lowest first.
fn signed(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..48).step_by(6) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x3f) << shift;
        if byte & 0x40 == 0 {
            let size = (number >> 1).cast_signed();
            return Some(if number & 1 == 1 { -size } else { size });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::line;

    #[test]
    fn pairs_are_read_as_python_310_writes_them() {
        // Lines 4 (6 bytes), none (2), 6 (4), 5 (2).
        let table = [6, 0, 2, 0x80, 4, 2, 2, 0xff];
        let lines: Vec<_> = [-1, 0, 5, 6, 8, 11, 12, 40]
            .map(|at| line(10, &table, 4, at))
            .to_vec();
        assert_eq!(lines, [4, 4, 4, 0, 6, 6, 5, 5]);
    }

    #[test]
    fn locations_are_read_as_python_311_writes_them() {
        let table = [
            0x80 | 15 << 3 | 1, // two units without a line
            0x80 | 11 << 3 | 2, // three units, the next line, with columns
            4,
            8,
            0x80 | 3 << 3, // one unit, a short form: the same line
            7,
            0x80 | 13 << 3, // one unit, two lines back: -2 is 5
            5,
        ];
        let lines: Vec<_> = [0, 2, 4, 9, 10, 12, 99]
            .map(|at| line(12, &table, 10, at))
            .to_vec();
        assert_eq!(lines, [0, 0, 11, 11, 11, 9, 9]);
    }

    proptest! {
        #[test]
        fn any_table_has_an_answer(minor in 10..15_u8, table: Vec<u8>, first: u32, offset: i64) {
            line(minor, &table, first, offset);
        }
    }
}
