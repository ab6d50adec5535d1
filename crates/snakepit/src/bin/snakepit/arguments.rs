//! Arguments of a call on the command line.

use std::ffi::{OsStr, OsString};

use snakepit::{ErrorCode, JsonError, Value};

use crate::failure::Failure;

/// Words of the command line: the tool, unless the reference names it, and the arguments.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) tool: Option<String>,
    /// Map, list, or null.
    pub(crate) value: Value,
}

impl Arguments {
    /// Parses the words and the value of `--args`.
    pub(crate) fn parse(
        tool: Option<String>,
        words: &[OsString],
        json: Option<&OsStr>,
    ) -> Result<Self, Failure> {
        let (mut tool, mut positional, mut named) = (tool, Vec::new(), Vec::new());
        for word in words {
            let word = text(word)?;
            match word.split_once('=').filter(|(key, _)| is_name(key)) {
                Some((key, value)) => put(&mut named, key, read(value)?)?,
                None if tool.is_none() => tool = Some(word.to_owned()),
                None => positional.push(read(word)?),
            }
        }
        if let Some(json) = json {
            match whole(text(json)?)? {
                Value::List(mut items) => {
                    items.append(&mut positional);
                    positional = items;
                }
                Value::Map(mut entries) => {
                    entries.retain(|(key, _)| !named.iter().any(|(name, _)| name == key));
                    entries.append(&mut named);
                    named = entries;
                }
                _ => {
                    return Err(Failure::usage(
                        ErrorCode::InvalidArguments,
                        "the value of `--args` must be a JSON object or array",
                        "write for example --args '{\"xs\": [1, 2]}'",
                    ));
                }
            }
        }
        let value = match (positional.is_empty(), named.is_empty()) {
            (true, true) => Value::Null,
            (true, false) => Value::Map(named),
            (false, true) => Value::List(positional),
            (false, false) => {
                return Err(Failure::usage(
                    ErrorCode::InvalidArguments,
                    "positional and keyword arguments cannot be mixed",
                    "name every argument: key=value",
                ));
            }
        };
        Ok(Self { tool, value })
    }
}

fn put(named: &mut Vec<(Value, Value)>, key: &str, value: Value) -> Result<(), Failure> {
    let name = Value::Str(key.into());
    if named.iter().any(|(known, _)| *known == name) {
        return Err(twice(key));
    }
    named.push((name, value));
    Ok(())
}

/// Rejects an argument that is given twice.
fn twice(key: &str) -> Failure {
    Failure::usage(
        ErrorCode::WrongUsage,
        format!("argument `{key}` is given twice"),
        format!("give `{key}` once; a list is one value: {key}='[1, 2]'"),
    )
}

fn is_name(key: &str) -> bool {
    let mut chars = key.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    first && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// Parses a word as JSON; malformed JSON is text. Returns an error for JSON that no value can
/// represent.
fn read(word: &str) -> Result<Value, Failure> {
    match Value::parse_json(word.as_bytes()) {
        Ok(value) => Ok(value),
        Err(JsonError::Malformed(_)) => Ok(Value::Str(word.into())),
        Err(error) => Err(Failure::usage(
            error.code(),
            format!("the argument {word:.60} cannot be passed: {error}"),
            "quote the text twice: '\"…\"'",
        )),
    }
}

fn whole(text: &str) -> Result<Value, Failure> {
    Value::parse_json(text.as_bytes()).map_err(|error| {
        let what = match &error {
            JsonError::Malformed(reason) => format!("the value of `--args` is not JSON: {reason}"),
            other => format!("the value of `--args` cannot be passed: {other}"),
        };
        let help = "write for example --args '{\"xs\": [1, 2]}'";
        Failure::usage(error.code(), what, help)
    })
}

/// Returns a word as text. Python receives UTF-8 only, so any other encoding is an error.
pub(crate) fn text(word: &OsStr) -> Result<&str, Failure> {
    word.to_str().ok_or_else(|| {
        Failure::usage(
            ErrorCode::InvalidPayload,
            format!("argument {word:?} is not UTF-8"),
            "pass it in UTF-8",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use snakepit::Value;

    use super::Arguments;

    fn parse(tool: Option<&str>, words: &[&str], json: Option<&str>) -> Result<Arguments, ()> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let json = json.map(OsString::from);
        Arguments::parse(tool.map(str::to_owned), &words, json.as_deref()).map_err(drop)
    }

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(
            entries
                .iter()
                .map(|(k, v)| (Value::Str((*k).into()), v.clone()))
                .collect(),
        )
    }

    #[test]
    fn words_become_values() {
        let one = Value::List(vec![Value::Int(1)]);
        let parsed = parse(
            Some("f"),
            &["xs=[1]", "s=oops", "t=\"1\"", "e=", "u=a=b"],
            None,
        )
        .unwrap();
        let text = |text: &str| Value::Str(text.into());
        let expected = map(&[
            ("xs", one),
            ("s", text("oops")),
            ("t", text("1")),
            ("e", text("")),
            ("u", text("a=b")),
        ]);
        assert_eq!(parsed.value, expected);
    }

    #[test]
    fn the_first_bare_word_is_the_tool_when_there_is_none() {
        let parsed = parse(None, &["mean", "1", "x"], None).unwrap();
        assert_eq!(parsed.tool.as_deref(), Some("mean"));
        assert_eq!(
            parsed.value,
            Value::List(vec![Value::Int(1), Value::Str("x".into())])
        );
        assert_eq!(parse(Some("f"), &[], None).unwrap().value, Value::Null);
    }

    #[test]
    fn a_whole_value_is_overridden_by_words() {
        let parsed = parse(Some("f"), &["a=2"], Some(r#"{"a": 1, "b": 3}"#)).unwrap();
        assert_eq!(
            parsed.value,
            map(&[("b", Value::Int(3)), ("a", Value::Int(2))])
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(parse(Some("f"), &["1", "a=2"], None).is_err());
        for word in [
            "n=18446744073709551616",
            "{\"a\": 1, \"a\": 2}",
            "[-9223372036854775809]",
        ] {
            assert!(parse(Some("f"), &[word], None).is_err(), "{word}");
        }
        for words in [&["a=1", "b=2", "a=1"][..], &["a=1", "a=[2]"]] {
            assert!(parse(Some("f"), words, None).is_err(), "{words:?}");
        }
        for json in [
            "3",
            "nonsense",
            "",
            &"[".repeat(100_000),
            "{\"a\": 18446744073709551616}",
            "{\"a\": 1, \"a\": 2}",
        ] {
            assert!(parse(Some("f"), &[], Some(json)).is_err());
        }
        let word = OsString::from_vec(b"a=\xff".to_vec());
        assert!(Arguments::parse(None, &[word], None).is_err());
    }
}
