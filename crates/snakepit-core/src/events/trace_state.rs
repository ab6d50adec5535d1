//! The state that tracing systems add to the place of a call in a trace.

use std::fmt;
use std::sync::Arc;

/// The members of the header `tracestate` of [W3C Trace
/// Context](https://www.w3.org/TR/trace-context/), which accompany a
/// [`TraceContext`](crate::events::TraceContext). Cheap to clone; empty without an allocation.
///
/// ```
/// use snakepit_core::events::TraceState;
///
/// let state = TraceState::parse("congo=t61rcWkgMzE , rojo=00f067aa0ba902b7");
/// assert_eq!(state.as_str(), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
/// assert!(TraceState::parse("not a state").is_empty());
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TraceState(Option<Arc<str>>);

impl TraceState {
    /// The longest state in bytes; every system has to propagate as much. Members beyond it are
    /// left out.
    pub const MAX_BYTES: usize = 512;

    /// The largest number of members.
    pub const MAX_MEMBERS: usize = 32;

    /// Length in bytes above which members are left out first, as the specification requires.
    const LONG_MEMBER: usize = 128;

    /// Longest text in bytes that is parsed.
    const MAX_READ: usize = 8 << 10;

    /// Parses the value of a header; several headers are joined with commas. A text that violates
    /// the specification gives an empty state.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() || text.len() > Self::MAX_READ {
            return Self::default();
        }
        let members = text.split(',').map(|it| it.trim_matches([' ', '\t']));
        let mut kept: Vec<&str> = Vec::new();
        for member in members.filter(|member| !member.is_empty()) {
            let Some((key, value)) = member.split_once('=') else {
                return Self::default();
            };
            let known = kept
                .iter()
                .any(|it| it.split_once('=').is_some_and(|(it, _)| it == key));
            if known || kept.len() >= Self::MAX_MEMBERS || !is_key(key) || !is_value(value) {
                return Self::default();
            }
            kept.push(member);
        }
        let size = |kept: &[&str]| kept.iter().map(|member| member.len() + 1).sum::<usize>();
        if size(&kept) > Self::MAX_BYTES + 1 {
            let mut over = size(&kept) - Self::MAX_BYTES - 1;
            // From the right, where the oldest members are.
            let mut at = kept.len();
            while at > 0 && over > 0 {
                at -= 1;
                if kept[at].len() > Self::LONG_MEMBER {
                    over = over.saturating_sub(kept.remove(at).len() + 1);
                }
            }
            while size(&kept) > Self::MAX_BYTES + 1 {
                kept.pop();
            }
        }
        if kept.is_empty() {
            return Self::default();
        }
        Self(Some(kept.join(",").into()))
    }

    /// Returns the members as the value of a header; empty if there are none.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns true if there are no members.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Returns true for `simple-key` or `tenant@system`.
fn is_key(key: &str) -> bool {
    let fits = |part: &str, longest: usize, digit: bool| {
        let mut bytes = part.bytes();
        let first = bytes.next();
        first.is_some_and(|it| it.is_ascii_lowercase() || digit && it.is_ascii_digit())
            && part.len() <= longest
            && bytes
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-*/".contains(&it))
    };
    match key.split_once('@') {
        Some((tenant, system)) => fits(tenant, 241, true) && fits(system, 14, false),
        None => fits(key, 256, true),
    }
}

/// Returns true for at most 256 printable characters without `,` and `=`, of which the last is not
/// a space.
fn is_value(value: &str) -> bool {
    let fits = |it: u8| (b' '..=b'~').contains(&it) && it != b',' && it != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(fits) && !value.ends_with(' ')
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceState({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_within_the_limits_and_comes_back(text in "([a-c]{1,3}=[ -~]{0,200},){0,40}") {
            let state = TraceState::parse(&text);
            prop_assert!(state.as_str().len() <= TraceState::MAX_BYTES);
            prop_assert!(state.as_str().split(',').count() <= TraceState::MAX_MEMBERS);
            prop_assert_eq!(TraceState::parse(state.as_str()), state);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = TraceState::parse(&text);
        }
    }

    #[test]
    fn what_the_specification_forbids_is_none() {
        let many: String = (0..33).map(|n| format!("k{n}=v,")).collect();
        for text in [
            "",
            ",",
            "a",
            "=v",
            "a=",
            "A=v",
            "a=b=c",
            "a=v,a=w",
            "@a=v",
            "a@=v",
            "a@1b=v",
            "a b=v",
            "a=\u{e4}",
            "a=b\nc=d",
            &many,
            &format!("{}=v", "k".repeat(257)),
            &format!("a={}", "v".repeat(257)),
            &"a=b,".repeat(TraceState::MAX_READ),
        ] {
            assert!(TraceState::parse(text).is_empty(), "{text}");
        }
        for text in ["a=v", "0a/b*c-d_e=v w", "1tenant@system=v", "a=v,b=w"] {
            assert_eq!(TraceState::parse(text).as_str(), text);
        }
        assert_eq!(TraceState::parse(" a=v\t, ,b=w").as_str(), "a=v,b=w");
    }

    #[test]
    fn too_much_is_left_out_longest_members_first() {
        let long = format!("long={}", "v".repeat(200));
        let (first, second) = (
            format!("a={}", "v".repeat(120)),
            format!("b={}", "v".repeat(120)),
        );
        let third = format!("c={}", "v".repeat(120));
        let state = TraceState::parse(&[&*first, &long, &second, &third].join(","));
        assert_eq!(state.as_str(), [&*first, &second, &third].join(","));
        let many: String = (0..10)
            .map(|n| format!("k{n}={},", "v".repeat(100)))
            .collect();
        let state = TraceState::parse(&many);
        assert!(state.as_str().starts_with("k0=") && state.as_str().split(',').count() == 4);
    }
}
