//! The values of one set, and their places in a text.

use std::collections::BTreeSet;
use std::ops::{Deref, Range};
use std::sync::OnceLock;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::nfa::contiguous::{Builder, NFA};
use aho_corasick::{Anchored, MatchKind};

use super::{Limits, Refused, SHORTEST_FOUND, has_characters};
use crate::forms;
use crate::unescape::layers;

/// Values with the automaton that finds their forms.
#[derive(Default)]
pub(super) struct Values {
    values: BTreeSet<String>,
    bytes: usize,
    /// Built at the first search after a change. `None` in it if it would be too large, which so
    /// many bytes are not.
    finder: OnceLock<Option<NFA>>,
}

impl Values {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn add(&mut self, value: &str, limits: Limits) -> Result<(), Refused> {
        if self.values.contains(value) {
            return Ok(());
        }
        if self.len() >= limits.values || self.bytes + value.len() > limits.bytes {
            return Err(Refused::Full);
        }
        self.bytes += value.len();
        self.values.insert(value.to_owned());
        self.finder = OnceLock::new();
        Ok(())
    }

    fn finder(&self) -> Option<&NFA> {
        let build = || {
            let forms = self.values.iter().flat_map(|value| parts(value));
            let forms: BTreeSet<Vec<u8>> = forms.collect();
            let mut builder = Builder::new();
            builder.match_kind(MatchKind::Standard).prefilter(false);
            builder.build(&forms).ok()
        };
        self.finder.get_or_init(build).as_ref()
    }
}

/// Returns the forms of a value and of its lines.
fn parts(value: &str) -> BTreeSet<Vec<u8>> {
    let mut parts = forms::of(value);
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        let lines = lines.filter(|line| has_characters(line, SHORTEST_FOUND));
        parts.extend(lines.flat_map(forms::of));
    }
    parts
}

/// Passes the spans of the values of some sets in a text, escaped or not, to `found`.
pub(super) fn occurrences(
    sets: &[impl Deref<Target = Values>],
    text: &str,
    mut found: impl FnMut(Range<usize>),
) {
    let finders: Vec<_> = sets.iter().filter_map(|set| set.finder()).collect();
    for finder in &finders {
        find(finder, text.as_bytes(), &mut found);
    }
    layers(text, |layer| {
        for finder in &finders {
            find(finder, &layer.text, &mut |span| {
                let mut span = layer.place(&span);
                // A form that is not UTF-8 may end within a character.
                while !text.is_char_boundary(span.start) {
                    span.start -= 1;
                }
                while !text.is_char_boundary(span.end) {
                    span.end += 1;
                }
                found(span);
            });
        }
    });
}

/// Passes the longest form that ends at each byte, so that none is hidden by one that it overlaps.
fn find(finder: &NFA, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
    let mut state = finder
        .start_state(Anchored::No)
        .expect("the automaton has an unanchored start");
    for (at, byte) in text.iter().enumerate() {
        state = finder.next_state(Anchored::No, state, *byte);
        if finder.is_match(state) {
            // The first form of a state is its longest one.
            let length = finder.pattern_len(finder.match_pattern(state, 0));
            found(at + 1 - length..at + 1);
        }
    }
}
