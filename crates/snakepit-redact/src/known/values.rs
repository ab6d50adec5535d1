//! The values of one set, and their places in a text.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, Range};
use std::sync::OnceLock;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::{Builder, NFA};
use aho_corasick::{Anchored, MatchKind};

use super::{Limits, Refused, SHORTEST, SHORTEST_FOUND, has_characters};
use crate::forms;
use crate::unescape::layers;

/// Values with the automaton that finds their forms.
#[derive(Default)]
pub(super) struct Values {
    values: BTreeSet<String>,
    bytes: usize,
    /// Built at the first search after a change. `None` in it if it would be too large, which so
    /// many bytes are not.
    finder: OnceLock<Option<Finder>>,
}

/// The forms of all values of a set, and the automaton that finds them.
struct Finder {
    forms: BTreeSet<Vec<u8>>,
    automaton: NFA,
    /// Built at the first text that was cut.
    ends: OnceLock<Option<Ends>>,
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

    fn finder(&self) -> Option<&Finder> {
        let build = || {
            let forms = self.values.iter().flat_map(|value| parts(value));
            let forms: BTreeSet<Vec<u8>> = forms.collect();
            Some(Finder {
                automaton: automaton_of(&forms)?,
                forms,
                ends: OnceLock::new(),
            })
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
    let mut found = |mut span: Range<usize>| {
        // A form that is not UTF-8 may end within a character.
        while !text.is_char_boundary(span.start) {
            span.start -= 1;
        }
        while !text.is_char_boundary(span.end) {
            span.end += 1;
        }
        found(span);
    };
    for finder in &finders {
        finder.find(text.as_bytes(), &mut found);
    }
    layers(text, |layer| {
        for finder in &finders {
            finder.find(&layer.text, &mut |span| found(layer.place(&span)));
        }
    });
}

impl Finder {
    fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        self.whole(text, found);
        self.cut(text, found);
    }

    /// Passes the longest form that ends at each byte, so that none is hidden by one that it
    /// overlaps.
    fn whole(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        let finder = &self.automaton;
        for (end, state) in states(finder, text.iter()).enumerate() {
            if finder.is_match(state) {
                // The first form of a state is its longest one.
                let length = finder.pattern_len(finder.match_pattern(state, 0));
                found(end - length..end);
            }
        }
    }

    /// Passes the parts of forms that a host or a worker has left when it cut a text: beginnings
    /// before an ellipsis, and ends after it.
    fn cut(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        const ELLIPSIS: &[u8] = "…".as_bytes();
        let cuts: Vec<usize> = places(text, ELLIPSIS).collect();
        if cuts.is_empty() {
            return;
        }
        let Some(Ends { depths, backwards }) = self
            .ends
            .get_or_init(|| Ends::of(&self.forms, &self.automaton))
        else {
            return;
        };
        // At each byte, the longest beginning of a form that ends there, and the longest end that
        // begins there.
        let begun = depths.along(&self.automaton, text.iter());
        let (automaton, depths) = backwards;
        let ended = depths.along(automaton, text.iter().rev());
        for cut in cuts {
            let around =
                |byte: &&u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`');
            let (before, after) = (&text[..cut], &text[cut + ELLIPSIS.len()..]);
            let quotes = before.iter().rev().take(8).take_while(around).count();
            // The value itself may end with some of them.
            let mut ends = (cut - quotes..=cut).rev();
            if let Some(end) = ends.find(|end| begun[*end] >= SHORTEST) {
                found(end - begun[end]..end);
            }
            let start = text.len() - after.len() + after.iter().take_while(around).count();
            let length = ended[text.len() - start];
            if length >= SHORTEST {
                found(start..start + length);
            }
        }
    }
}

/// The automata that find the beginnings and the ends of forms.
struct Ends {
    depths: Depths,
    backwards: (NFA, Depths),
}

/// The lengths of the beginnings that the states of an automaton stand for.
struct Depths(HashMap<StateID, usize>);

impl Ends {
    /// `None` if an automaton would be too large.
    fn of(forms: &BTreeSet<Vec<u8>>, automaton: &NFA) -> Option<Self> {
        let reversed = forms
            .iter()
            .map(|form| form.iter().rev().copied().collect());
        let reversed: BTreeSet<Vec<u8>> = reversed.collect();
        let backwards = automaton_of(&reversed)?;
        let depths = Depths::of(&reversed, &backwards);
        Some(Self {
            depths: Depths::of(forms, automaton),
            backwards: (backwards, depths),
        })
    }
}

impl Depths {
    fn of(forms: &BTreeSet<Vec<u8>>, automaton: &NFA) -> Self {
        let mut depths = HashMap::new();
        for form in forms {
            let states = states(automaton, form.iter());
            depths.extend(states.enumerate().map(|(depth, state)| (state, depth)));
        }
        Self(depths)
    }

    /// Returns the length of the longest beginning of a form that ends at each place of a text,
    /// from its start to its end.
    fn along<'t>(&self, automaton: &NFA, text: impl Iterator<Item = &'t u8>) -> Vec<usize> {
        let depth = |state| self.0.get(&state).copied().unwrap_or(0);
        states(automaton, text).map(depth).collect()
    }
}

fn automaton_of(forms: &BTreeSet<Vec<u8>>) -> Option<NFA> {
    let mut builder = Builder::new();
    builder.match_kind(MatchKind::Standard).prefilter(false);
    builder.build(forms).ok()
}

/// Returns the states of an automaton: the first one, and the one after each byte.
fn states<'t>(
    automaton: &NFA,
    bytes: impl Iterator<Item = &'t u8>,
) -> impl Iterator<Item = StateID> {
    let first = automaton.start_state(Anchored::No);
    let first = first.expect("the automaton has an unanchored start");
    let next = bytes.scan(first, |state, byte| {
        *state = automaton.next_state(Anchored::No, *state, *byte);
        Some(*state)
    });
    std::iter::once(first).chain(next)
}

/// Returns the places of a short text in another one.
fn places<'t>(text: &'t [u8], part: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    let windows = text.windows(part.len()).enumerate();
    windows
        .filter(move |(_, window)| *window == part)
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::super::Known;

    #[test]
    fn parts_of_a_value_that_is_cut_are_masked_at_the_ellipsis() {
        let known = Known::default();
        known
            .add("correct\"horse\nbattery staple")
            .expect("it has room");
        for (text, masked) in [
            ("is `correct\"hor…`", "is `<redacted>…`"),
            (r#"is "correct\"hors…""#, r#"is "<redacted>…""#),
            (
                r#"is "correct\"hors"…, which"#,
                r#"is "<redacted>"…, which"#,
            ),
            (
                "correct\"\n… 9 characters left out …\nry staple!",
                "<redacted>\n… 9 characters left out …\n<redacted>!",
            ),
            ("a cor… of stap", "a cor… of stap"),
            ("correct, …", "correct, …"),
        ] {
            assert_eq!(known.mask(text), masked, "{text}");
        }
    }
}
