//! JSON text to values, and back.

use std::fmt::{self, Write as _};

use snakepit_core::{ErrorCode, ToolError, Value};

use super::status::Fault;

/// From JSON text. Nesting beyond 127 levels is refused; a whole number beyond 64 bits is, too, since it would lose digits.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    let value = Value::parse_json(text).map_err(|error| {
        let reason = error.to_string();
        match reason.strip_prefix("recursion limit exceeded") {
            Some(place) => format!("it nests deeper than 127 levels{place}"),
            None => reason,
        }
    })?;
    match large_integer(text) {
        Some(digits) => Err(format!("the whole number {digits} has more than 64 bits")),
        None => Ok(value),
    }
}

/// As JSON text of at most `limit` bytes. The text ends where the limit is: a byte of a value may become a list of the text.
///
/// # Errors
/// The text is longer.
pub(super) fn write(value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut text = Limited {
        text: String::new(),
        limit,
    };
    match write!(text, "{}", value.json_text()) {
        Ok(()) => Ok(text.text.into_bytes()),
        Err(_) => Err(too_long(limit)),
    }
}

/// Text up to a number of bytes.
struct Limited {
    text: String,
    limit: usize,
}

impl fmt::Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.limit - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

fn too_long(limit: usize) -> Fault {
    let message = format!("the value is too large: as JSON it has more than {limit} bytes");
    let mut error = ToolError::new(ErrorCode::PayloadTooLarge, message);
    error.help = "ask for MessagePack, or raise `max_message` of the server".to_owned();
    error.into()
}

/// The first whole number of a valid JSON text that does not fit into 64 bits, shortened.
fn large_integer(text: &[u8]) -> Option<String> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = after_string(text, at),
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = text[at..].iter().take_while(|byte| is_part(byte)).count();
                let number = std::str::from_utf8(&text[at..at + length]).ok()?;
                let whole = !number.contains(['.', 'e', 'E']);
                if whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(super::status::shortened(number, 40));
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

fn after_string(text: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_all_their_digits_or_are_refused() {
        assert_eq!(parse(b"18446744073709551615"), Ok(Value::UInt(u64::MAX)));
        assert_eq!(parse(b"-9223372036854775808"), Ok(Value::Int(i64::MIN)));
        assert!(
            parse(br#"{"a\"1": [1, 18446744073709551616]}"#)
                .unwrap_err()
                .contains("64 bits")
        );
        assert!(
            parse(b"-9223372036854775809")
                .unwrap_err()
                .contains("64 bits")
        );
        assert_eq!(parse(b"1e30"), Ok(Value::Float(1e30)));
        assert!(parse(br#""18446744073709551616999 \" 18446744073709551616999""#).is_ok());
    }

    #[test]
    fn a_text_ends_at_its_limit() {
        let value = Value::List(vec![Value::Null; 1000]);
        assert_eq!(write(&value, 5001).unwrap().len(), 5001);
        let error = write(&value, 5000).unwrap_err();
        assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(127).as_bytes()).is_ok());
        assert!(
            parse(nested(128).as_bytes())
                .unwrap_err()
                .contains("127 levels")
        );
        assert!(parse(nested(1_000_000).as_bytes()).is_err());
    }
}
