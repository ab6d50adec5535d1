//! Arguments against the schema of a tool, before they go anywhere.
//!
//! Only what a schema says for certain is refused here: names, and the kinds of plain values. The worker checks again, and converts.
//! Schemas come from workers and arguments may come from clients: work and messages are bounded whatever both are.

use std::fmt;

use serde_json::Value as Json;

use crate::text::{nearest, shortened};
use crate::{ErrorCode, ToolError, ToolInfo, Value};

/// Schemas nest no deeper than payloads.
const MAX_DEPTH: usize = 128;

/// Steps of one check, each a value against a schema. What is left then is for the worker alone: alternatives in a schema times items
/// in a list could keep a thread of the host busy for minutes.
const MAX_STEPS: usize = 1 << 20;

/// Characters of a name, a value or a schema in a message.
const SHOWN: usize = 60;

/// Characters of the names of arguments in a help text.
const LISTED: usize = 400;

/// Checks keyword arguments; positional ones are left to the worker.
pub(crate) fn check(tool: &ToolInfo, args: &Value) -> Result<(), ToolError> {
    let empty = Vec::new();
    let pairs = match args {
        Value::Map(pairs) => pairs,
        Value::Null => &empty,
        _ => return Ok(()),
    };
    let properties = tool.parameters.get("properties").and_then(Json::as_object);
    let Some(properties) = properties else {
        return Ok(());
    };
    let mut steps = MAX_STEPS;
    let open = tool.parameters.get("additionalProperties") != Some(&Json::Bool(false));
    for (key, value) in pairs {
        let Value::Str(name) = key else {
            return Ok(());
        };
        match properties.get(name) {
            Some(schema) if !fits(schema, value, MAX_DEPTH, &mut steps) => {
                let message = format!(
                    "argument `{}` of tool `{}` must be {}, got {}",
                    shortened(name, SHOWN),
                    tool.name,
                    shortened(&Expected(schema), LISTED),
                    value.json_preview(SHOWN)
                );
                let help = "pass a value that fits the schema of the tool; `tools()` shows it";
                return Err(refused(
                    tool,
                    ErrorCode::WrongArgument,
                    name,
                    message,
                    help.into(),
                ));
            }
            None if !open => {
                let known = properties.keys().map(String::as_str);
                let help = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "its arguments are: {}",
                        shortened(&Names(properties), LISTED)
                    ),
                };
                let name = shortened(name, SHOWN);
                let message = format!("tool `{}` has no argument `{name}`", tool.name);
                return Err(refused(
                    tool,
                    ErrorCode::UnknownArgument,
                    &name,
                    message,
                    help,
                ));
            }
            _ => {}
        }
    }
    let required = tool.parameters.get("required").and_then(Json::as_array);
    for name in required.into_iter().flatten().filter_map(Json::as_str) {
        if args.get(name).is_none() {
            let name = shortened(name, SHOWN);
            let message = format!("argument `{name}` of tool `{}` is missing", tool.name);
            let help = format!("add `{name}`");
            return Err(refused(
                tool,
                ErrorCode::MissingArgument,
                &name,
                message,
                help,
            ));
        }
    }
    Ok(())
}

fn refused(
    tool: &ToolInfo,
    code: ErrorCode,
    path: &str,
    message: String,
    help: String,
) -> ToolError {
    let mut error = ToolError::new(code, message);
    error.path = shortened(path, SHOWN);
    error.file.clone_from(&tool.file);
    error.line = tool.line;
    error.source_line.clone_from(&tool.signature);
    error.help = help;
    error
}

/// A value may fit a schema; what is not understood fits.
fn fits(schema: &Json, value: &Value, depth: usize, steps: &mut usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return true;
    };
    let Some(left) = steps.checked_sub(1) else {
        return true;
    };
    *steps = left;
    if let Some(any) = schema.get("anyOf").and_then(Json::as_array) {
        return any.iter().any(|schema| fits(schema, value, depth, steps));
    }
    if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
        return !is_plain(value) || allowed.iter().any(|json| same(json, value, steps));
    }
    let Some(kind) = schema.get("type").and_then(Json::as_str) else {
        return true;
    };
    match (kind, value) {
        ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("string", Value::Str(_)) => true,
        ("integer" | "number", Value::Int(_) | Value::UInt(_)) => true,
        ("number", Value::Float(_)) => true,
        // A float that is whole is as good as an integer in JSON.
        ("integer", Value::Float(number)) => number.fract() == 0.0,
        ("array", Value::List(items)) => {
            let schema = schema.get("items");
            schema.is_none_or(|schema| items.iter().all(|item| fits(schema, item, depth, steps)))
        }
        ("object", Value::Map(pairs)) => {
            let properties = schema.get("properties");
            let others = schema.get("additionalProperties");
            pairs.iter().all(|(key, value)| {
                let own = match key {
                    Value::Str(name) => properties.and_then(|properties| properties.get(name)),
                    _ => None,
                };
                own.or(others)
                    .is_none_or(|schema| fits(schema, value, depth, steps))
            })
        }
        // Dates, bytes and their like have schemas of their own kind.
        _ => !is_plain(value),
    }
}

/// The value is this JSON. It ends at the first difference.
fn same(json: &Json, value: &Value, steps: &mut usize) -> bool {
    let Some(left) = steps.checked_sub(1) else {
        return true;
    };
    *steps = left;
    match (json, value) {
        (Json::Array(all), Value::List(items)) => {
            all.len() == items.len()
                && all
                    .iter()
                    .zip(items)
                    .all(|(json, item)| same(json, item, steps))
        }
        (Json::Object(all), Value::Map(pairs)) => {
            all.len() == pairs.len()
                && pairs.iter().all(|(key, value)| match key {
                    Value::Str(key) => all.get(key).is_some_and(|json| same(json, value, steps)),
                    _ => false,
                })
        }
        (Json::String(text), Value::Str(value)) => text == value,
        (Json::String(_), _) | (_, Value::Str(_) | Value::List(_) | Value::Map(_)) => {
            !is_plain(value)
        }
        (json, value) => !is_plain(value) || *json == value.to_json(),
    }
}

const fn is_plain(value: &Value) -> bool {
    matches!(
        value,
        Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Map(_)
    )
}

/// A schema in a few words.
struct Expected<'a>(&'a Json);

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(schema) = self;
        if let Some(any) = schema.get("anyOf").and_then(Json::as_array) {
            for (index, schema) in any.iter().enumerate() {
                let between = if index == 0 { "" } else { " or " };
                write!(f, "{between}{}", Expected(schema))?;
            }
            return Ok(());
        }
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
            for (index, json) in allowed.iter().enumerate() {
                write!(f, "{}{json}", if index == 0 { "one of " } else { ", " })?;
            }
            return Ok(());
        }
        let kind = schema.get("type").and_then(Json::as_str);
        match (kind, schema.get("items")) {
            (Some("array"), Some(items)) => write!(f, "array of {}", Expected(items)),
            (Some(kind), _) => f.write_str(kind),
            (None, _) => f.write_str("something else"),
        }
    }
}

/// The names of arguments.
struct Names<'a>(&'a serde_json::Map<String, Json>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.keys().enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn tool() -> ToolInfo {
        let mut tool = ToolInfo::default();
        tool.name = "f".to_owned();
        tool.file = "tools.py".to_owned();
        tool.line = 4;
        tool.parameters = serde_json::json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer"},
                "b": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "c": {"type": "array", "items": {"type": "number"}},
                "d": {"enum": ["x", "y"]},
                "e": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
            "required": ["a"],
            "additionalProperties": false,
        });
        tool
    }

    fn checked(args: impl serde::Serialize) -> Result<(), (ErrorCode, String)> {
        let args: Value = crate::Payload::encode(&args).unwrap().decode().unwrap();
        check(&tool(), &args).map_err(|error| (error.code, error.message))
    }

    #[test]
    fn what_fits_passes_and_so_does_what_cannot_be_told() {
        checked(args! { "a" => 1 }).unwrap();
        checked(args! { "a" => 1.0, "b" => 2, "c" => [1.5, 2.0], "d" => "y" }).unwrap();
        checked(args! { "a" => 1, "b" => (), "c" => [0; 0] }).unwrap();
        checked((1, 2)).unwrap();
    }

    #[test]
    fn every_refusal_names_argument_and_tool() {
        let wrong = |args, text: &str| {
            let (code, message) = checked(args).unwrap_err();
            assert_eq!(code, ErrorCode::WrongArgument);
            assert_eq!(message, text);
        };
        wrong(
            args! { "a" => "oops" },
            "argument `a` of tool `f` must be integer, got \"oops\"",
        );
        wrong(
            args! { "a" => 1, "b" => "no" },
            "argument `b` of tool `f` must be number or null, got \"no\"",
        );
        wrong(
            args! { "a" => 1, "c" => ["x"] },
            "argument `c` of tool `f` must be array of number, got [\"x\"]",
        );
        wrong(
            args! { "a" => 1, "d" => "z" },
            "argument `d` of tool `f` must be one of \"x\", \"y\", got \"z\"",
        );
        wrong(
            args! { "a" => 1.5 },
            "argument `a` of tool `f` must be integer, got 1.5",
        );
        let (code, message) = checked(()).unwrap_err();
        assert_eq!(code, ErrorCode::MissingArgument);
        assert_eq!(message, "argument `a` of tool `f` is missing");
        let long = "x".repeat(1_000_000);
        let (_, message) = checked(args! { "a" => long }).unwrap_err();
        let shown = "x".repeat(59);
        assert_eq!(
            message,
            format!("argument `a` of tool `f` must be integer, got \"{shown}…")
        );
        let (code, message) = checked(args! { "a" => 1, "bb" => 1 }).unwrap_err();
        assert_eq!(code, ErrorCode::UnknownArgument);
        assert_eq!(message, "tool `f` has no argument `bb`");
    }

    #[test]
    fn messages_are_short_whatever_the_schema_and_the_names_are() {
        let mut tool = tool();
        let words: Vec<String> = (0..100_000).map(|n| format!("word {n}")).collect();
        tool.parameters["properties"]["d"] = serde_json::json!({"enum": words});
        for n in 0..10_000 {
            tool.parameters["properties"][format!("{n:0>300}")] = serde_json::json!({});
        }
        let name = "n".repeat(1_000_000);
        for (key, value) in [("d", Value::from("z")), (name.as_str(), Value::Null)] {
            let args = Value::Map(vec![("a".into(), Value::Int(1)), (key.into(), value)]);
            let error = check(&tool, &args).unwrap_err();
            assert!(error.message.chars().count() < 1000, "{}", error.message);
            assert!(error.help.chars().count() < 1000, "{}", error.help);
        }
    }

    #[test]
    fn alternatives_times_items_end() {
        let mut tool = tool();
        let alternatives = vec![serde_json::json!({"type": "string"}); 10_000];
        let items = serde_json::json!({"anyOf": alternatives});
        tool.parameters["properties"]["c"] = serde_json::json!({"type": "array", "items": items});
        let list = Value::List(vec!["".into(); 1_000_000]);
        let last = Value::List(vec![Value::Int(1); 1_000_000]);
        for list in [list, last] {
            let args = Value::Map(vec![("a".into(), Value::Int(1)), ("c".into(), list)]);
            let _ = check(&tool, &args);
        }
    }

    #[test]
    fn nested_values_of_an_enumeration_are_compared() {
        let mut tool = tool();
        tool.parameters["properties"]["d"] = serde_json::json!({"enum": [[1, {"k": null}], 2.5]});
        let check = |value: Value| {
            let args = Value::Map(vec![("a".into(), Value::Int(1)), ("d".into(), value)]);
            check(&tool, &args).is_ok()
        };
        let map = |key: &str| Value::Map(vec![(key.into(), Value::Null)]);
        assert!(check(Value::List(vec![Value::Int(1), map("k")])));
        assert!(check(Value::Float(2.5)));
        assert!(!check(Value::List(vec![Value::Int(1), map("l")])));
        assert!(!check(Value::List(vec![Value::Int(1)])));
        assert!(!check("2.5".into()));
    }
}
