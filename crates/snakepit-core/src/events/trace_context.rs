//! The place of a call in a distributed trace.

use std::fmt;
use std::str::FromStr;

/// A span's identity as in the header `traceparent` of [W3C Trace
/// Context](https://www.w3.org/TR/trace-context/), version 00.
///
/// ```
/// use snakepit_core::events::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = text.parse()?;
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), text);
/// # Ok::<(), snakepit_core::events::TraceContextError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

/// The error of a text or bytes that are not a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a trace context: expected `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, with neither id all zeros"
)]
pub struct TraceContextError;

impl TraceContext {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = 25;

    /// The flag of a trace that is recorded.
    const SAMPLED: u8 = 1;

    /// Creates a context. `None` if an id is all zeros, which the specification forbids.
    pub fn new(trace: [u8; 16], span: [u8; 8], sampled: bool) -> Option<Self> {
        let flags = if sampled { Self::SAMPLED } else { 0 };
        Self { trace, span, flags }.valid()
    }

    /// Starts a new trace with a random id.
    pub fn start(sampled: bool) -> Self {
        let trace = (fastrand::u128(1..)).to_be_bytes();
        Self::new(trace, random_span(), sampled).expect("the ids are not zero")
    }

    /// Creates the context of a new child span, with a random id.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span: random_span(),
            ..self
        }
    }

    /// Id of the trace.
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace
    }

    /// Id of the span.
    pub const fn span_id(&self) -> [u8; 8] {
        self.span
    }

    /// Returns true if the trace is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// Encodes the context as trace id, span id and flags.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace);
        bytes[16..24].copy_from_slice(&self.span);
        bytes[24] = self.flags;
        bytes
    }

    /// Decodes the output of [`to_bytes`](Self::to_bytes). `None` if the length is wrong or an id
    /// is all zeros.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let [flags] = rest else { return None };
        let context = Self {
            trace: *trace,
            span: *span,
            flags: flags & Self::SAMPLED,
        };
        context.valid()
    }

    fn valid(self) -> Option<Self> {
        (self.trace != [0; 16] && self.span != [0; 8]).then_some(self)
    }
}

/// Parses lower-case hex digits. `None` if there are other characters, or not that many digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let valid = text.len() == digits && text.bytes().all(lower);
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn random_span() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    /// Parses a `traceparent`. As the specification requires, a later version is read as far as
    /// version 00 defines it.
    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let mut parts = text.splitn(5, '-');
        let parsed = (|| {
            let version = u8::try_from(hex(parts.next()?, 2)?).ok()?;
            let trace = hex(parts.next()?, 32)?;
            let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
            let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
            if version == 0xff || (version == 0 && parts.next().is_some()) {
                return None;
            }
            let sampled = flags & Self::SAMPLED != 0;
            Self::new(trace.to_be_bytes(), span.to_be_bytes(), sampled)
        })();
        parsed.ok_or(TraceContextError)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (
            u128::from_be_bytes(self.trace),
            u64::from_be_bytes(self.span),
        );
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_and_bytes_come_back(trace in 1u128.., span in 1u64.., sampled: bool) {
            let context = TraceContext::new(trace.to_be_bytes(), span.to_be_bytes(), sampled).unwrap();
            prop_assert_eq!(context.to_string().parse(), Ok(context));
            prop_assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
            prop_assert_eq!(context.child().trace_id(), context.trace_id());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<TraceContext>();
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = TraceContext::from_bytes(&bytes);
        }
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(
                text.parse::<TraceContext>(),
                Err(TraceContextError),
                "{text}"
            );
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let text = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-later";
        let context: TraceContext = text.parse().unwrap();
        assert!(context.is_sampled());
    }
}
