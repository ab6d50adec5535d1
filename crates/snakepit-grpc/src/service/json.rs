//! Conversion of values to and from JSON text.

use std::fmt::{self, Write as _};

use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::value::Value;

use super::status::Fault;

/// Parses JSON text.
///
/// # Errors
/// The problem with the text.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    Value::parse_json(text).map_err(|error| error.to_string())
}

/// Writes a value as JSON text of at most `limit` bytes. Writing stops at the limit, because one
/// byte of a value may become several of the text.
///
/// # Errors
/// The text is longer, or two keys of a map would be the same text.
pub(super) fn write(value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    let json = value.json_text().map_err(|error| {
        let mut fault = ToolError::new(
            error.code(),
            format!("the value cannot be encoded as JSON: {error}"),
        );
        fault.help = "request MessagePack, or use keys of one type".to_owned();
        Fault::from(fault)
    })?;
    let mut text = Limited {
        text: String::new(),
        limit,
    };
    match write!(text, "{json}") {
        Ok(()) => Ok(text.text.into_bytes()),
        Err(_) => Err(too_long(limit)),
    }
}

/// A text that grows up to a number of bytes.
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
    error.help = "request MessagePack, or raise `max_message` of the server".to_owned();
    error.into()
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
