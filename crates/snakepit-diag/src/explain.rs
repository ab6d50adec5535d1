//! The explanation of each error code: meaning, cause, an example, and the remedy. `docs/errors.md`
//! is generated from it.

mod calls;
mod hosts;
mod setup;
mod state;

use serde::Serialize;
use snakepit_core::error::ErrorCode;

/// The explanation of one error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The code, for example `SP2003`.
    pub code: &'static str,
    /// Meaning, as one sentence.
    pub meaning: &'static str,
    /// The usual cause.
    pub cause: &'static str,
    /// An example: a message, or a piece of code or configuration.
    pub example: &'static str,
    /// The remedy.
    pub remedy: &'static str,
}

/// A row: code, meaning, cause, example, remedy.
type Row = [&'static str; 5];

/// The tables, in the order of the codes.
const TABLES: [&[Row]; 4] = [setup::ROWS, calls::ROWS, state::ROWS, hosts::ROWS];

impl Explanation {
    /// Returns the explanations of all codes, in order: those of [`ErrorCode`], and those that only
    /// the registry of worker processes has.
    pub fn all() -> impl Iterator<Item = Self> {
        let mut rows: Vec<&Row> = TABLES.iter().copied().flatten().collect();
        rows.sort_unstable_by_key(|row| row[0]);
        rows.into_iter().map(|row| {
            let [code, meaning, cause, example, remedy] = *row;
            Self {
                code,
                meaning,
                cause,
                example,
                remedy,
            }
        })
    }

    /// Finds the explanation of a code as people write it: `SP2003`, `sp2003` or `2003`.
    pub fn find(code: &str) -> Option<Self> {
        let digits = code.trim();
        let digits = digits
            .strip_prefix("SP")
            .or_else(|| digits.strip_prefix("sp"))
            .unwrap_or(digits);
        Self::all().find(|one| one.code.strip_prefix("SP") == Some(digits))
    }

    /// Returns the explanation of a code.
    pub fn of(code: ErrorCode) -> Option<Self> {
        Self::find(code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_explained_once_and_completely() {
        let codes: Vec<_> = Explanation::all().map(|one| one.code).collect();
        let unique: BTreeSet<_> = codes.iter().copied().collect();
        assert_eq!(unique.len(), codes.len());
        for code in ErrorCode::ALL {
            assert!(unique.contains(code.as_str()), "{code} is not explained");
        }
        for one in Explanation::all() {
            let known = ErrorCode::parse(one.code).is_some();
            let registry = (6001..=6012).contains(&one.code[2..].parse::<u32>().expect("a number"));
            assert!(known || registry, "{} is no code", one.code);
            for text in [one.meaning, one.cause, one.remedy] {
                assert!(
                    text.ends_with('.') && text.len() > 15,
                    "{}: {text}",
                    one.code
                );
            }
            assert!(
                !one.example.is_empty() && !one.example.contains('\n'),
                "{}",
                one.code
            );
        }
    }

    #[test]
    fn codes_are_found_as_people_write_them() {
        for text in ["SP2003", "sp2003", "2003", " SP2003 "] {
            assert_eq!(
                Explanation::find(text).map(|one| one.code),
                Some("SP2003"),
                "{text}"
            );
        }
        for text in ["", "SP", "SP0000", "SPSP2003", "20033"] {
            assert_eq!(Explanation::find(text), None, "{text}");
        }
    }
}
