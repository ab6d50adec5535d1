//! Kinds of events, and sets of them.

use tracing::Level;

use super::{Event, Pattern, kind};

/// A kind of events, see [`kind`](mod@kind).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Place in the catalogue. Custom events come last.
    number: u8,
    level: Level,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u128);

const _: () = assert!(
    Event::CATALOGUE.len() < u128::BITS as usize,
    "a set has no bit for it"
);

impl Kind {
    pub(super) const fn new(number: u8, level: Level) -> Self {
        Self { number, level }
    }

    /// The level in `tracing`.
    pub const fn level(self) -> Level {
        self.level
    }

    /// Returns its half of a set, and its bit there.
    pub(super) const fn bit(self) -> (usize, u64) {
        (self.number as usize / 64, 1 << (self.number % 64))
    }
}

impl Kinds {
    /// Returns the kinds of events whose names may match.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let catalogue = Event::CATALOGUE.iter().enumerate();
        let matching = catalogue.filter(|(_, info)| pattern.matches(info.name));
        let custom = 1 << kind::Custom.number;
        Self(matching.fold(custom, |set, (number, _)| set | 1 << number))
    }

    pub(super) const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind.number != 0
    }

    /// Returns the lower and the upper half.
    pub(super) const fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        let kinds = kinds.into_iter();
        Self(kinds.fold(0, |set, kind| set | 1 << kind.number))
    }
}

impl std::ops::BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
