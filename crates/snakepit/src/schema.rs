//! Arguments against the schema of a tool, before they go anywhere.
//!
//! Only what a schema says for certain is refused here: names, and the kinds of plain values. The worker checks again, and converts.

use serde_json::Value as Json;

use crate::text::nearest;
use crate::{ErrorCode, ToolError, ToolInfo, Value};

/// Schemas nest no deeper than payloads.
const MAX_DEPTH: usize = 128;

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
    let open = tool.parameters.get("additionalProperties") != Some(&Json::Bool(false));
    for (key, value) in pairs {
        let Value::Str(name) = key else {
            return Ok(());
        };
        match properties.get(name) {
            Some(schema) if !fits(schema, value, MAX_DEPTH) => {
                let message = format!(
                    "argument `{name}` of tool `{}` must be {}, got {}",
                    tool.name,
                    expected(schema),
                    got(value)
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
                let help = match nearest(name, known.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "its arguments are: {}",
                        known.collect::<Vec<_>>().join(", ")
                    ),
                };
                let message = format!("tool `{}` has no argument `{name}`", tool.name);
                return Err(refused(
                    tool,
                    ErrorCode::UnknownArgument,
                    name,
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
            let message = format!("argument `{name}` of tool `{}` is missing", tool.name);
            let help = format!("add `{name}`");
            return Err(refused(
                tool,
                ErrorCode::MissingArgument,
                name,
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
    path.clone_into(&mut error.path);
    error.file.clone_from(&tool.file);
    error.line = tool.line;
    error.source_line.clone_from(&tool.signature);
    error.help = help;
    error
}

/// Whether a value may fit a schema; what is not understood fits.
fn fits(schema: &Json, value: &Value, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return true;
    };
    if let Some(any) = schema.get("anyOf").and_then(Json::as_array) {
        return any.iter().any(|schema| fits(schema, value, depth));
    }
    if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
        return !is_plain(value) || allowed.contains(&value.to_json());
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
        ("array", Value::List(items)) => schema
            .get("items")
            .is_none_or(|schema| items.iter().all(|item| fits(schema, item, depth))),
        ("object", Value::Map(pairs)) => {
            let schema_of = |key: &Value| match key {
                Value::Str(name) => schema
                    .get("properties")
                    .and_then(|properties| properties.get(name)),
                _ => None,
            };
            let others = schema.get("additionalProperties");
            pairs.iter().all(|(key, value)| {
                let schema = schema_of(key).or(others);
                schema.is_none_or(|schema| fits(schema, value, depth))
            })
        }
        // Dates, bytes and their like have schemas of their own kind.
        _ => !is_plain(value),
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
fn expected(schema: &Json) -> String {
    let list = |schemas: &[Json]| {
        let words: Vec<_> = schemas.iter().map(expected).collect();
        words.join(" or ")
    };
    if let Some(any) = schema.get("anyOf").and_then(Json::as_array) {
        return list(any);
    }
    if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
        let words: Vec<_> = allowed.iter().map(Json::to_string).collect();
        return format!("one of {}", words.join(", "));
    }
    let kind = schema.get("type").and_then(Json::as_str);
    match (kind, schema.get("items")) {
        (Some("array"), Some(items)) => format!("array of {}", expected(items)),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "something else".to_owned(),
    }
}

/// A value in a few words.
fn got(value: &Value) -> String {
    const LONGEST: usize = 60;
    let mut text = value.to_json().to_string();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
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
        let (code, message) = checked(args! { "a" => 1, "bb" => 1 }).unwrap_err();
        assert_eq!(code, ErrorCode::UnknownArgument);
        assert_eq!(message, "tool `f` has no argument `bb`");
    }
}
