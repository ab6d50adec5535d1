//! Checks of arguments against the schema of a tool, before they are sent.
//!
//! Only certain mismatches are rejected here: names, and the kinds of plain values. The worker
//! checks again, and converts. Schemas come from workers and arguments may come from clients, so
//! work and messages are bounded for any input.

use std::fmt;

use serde_json::Value as Json;

use crate::text::{nearest, shortened};
use crate::{ErrorCode, ToolError, ToolInfo, Value};
use snakepit_core::value::is_secret_name;

/// Deepest nesting that is checked; payloads nest no deeper.
const MAX_DEPTH: usize = 128;

/// Maximum number of steps of one check; each compares a value with a schema. The rest is left to
/// the worker: alternatives in a schema times items in a list could occupy a thread of the host for
/// minutes.
const MAX_STEPS: usize = 1 << 20;

/// Maximum number of characters of a name, a value or a schema in a message.
const SHOWN: usize = 60;

/// Maximum number of characters of the list of argument names in a help text.
const LISTED: usize = 400;

/// Checks keyword arguments. Positional ones are left to the worker.
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
        let wrong = properties
            .get(name)
            .and_then(|schema| mismatch(schema, value, MAX_DEPTH, &mut steps));
        match properties.get(name) {
            Some(_) if let Some(wrong) = wrong => {
                let path = format!("{name}{}", wrong.path());
                let message = format!(
                    "argument `{}` of tool `{}` must be {}, got {}",
                    shortened(&path, SHOWN),
                    tool.name,
                    shortened(&Expected(wrong.schema), LISTED),
                    preview(&path, wrong.value)
                );
                let help = "pass a value that fits the schema of the tool; `tools()` shows it";
                return Err(refused(
                    tool,
                    ErrorCode::WrongArgument,
                    &path,
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

/// Returns a value for a message. Redacts it if its name, or a name in a nested value, suggests a
/// secret.
fn preview(name: &str, value: &Value) -> String {
    let shown = value.json_preview(SHOWN);
    let nested = matches!(value, Value::Map(_) | Value::List(_));
    if is_secret_name(name) || nested && is_secret_name(&shown) {
        return "<redacted>".to_owned();
    }
    shown
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

/// A value that does not fit a schema, with its place.
struct Mismatch<'a> {
    schema: &'a Json,
    value: &'a Value,
    /// From the innermost value outwards, as the worker writes them: `[1]`, `.name`, `["key"]`.
    steps: Vec<String>,
}

impl Mismatch<'_> {
    fn path(&self) -> String {
        self.steps.iter().rev().map(String::as_str).collect()
    }

    fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        self.steps.push(step());
        self
    }
}

/// Returns the first part of a value that certainly does not fit a schema.
fn mismatch<'a>(
    schema: &'a Json,
    value: &'a Value,
    depth: usize,
    steps: &mut usize,
) -> Option<Mismatch<'a>> {
    let depth = depth.checked_sub(1)?;
    *steps = steps.checked_sub(1)?;
    let whole = || Mismatch {
        schema,
        value,
        steps: Vec::new(),
    };
    if let Some(any) = schema.get("anyOf").and_then(Json::as_array) {
        // An error inside one alternative is more useful than "matches none of them".
        let mut best = whole();
        for schema in any {
            let wrong = mismatch(schema, value, depth, steps)?;
            if wrong.steps.len() > best.steps.len() {
                best = wrong;
            }
        }
        return Some(best);
    }
    if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
        let fits = !is_plain(value) || allowed.iter().any(|json| same(json, value, steps));
        return (!fits).then(whole);
    }
    let kind = schema.get("type").and_then(Json::as_str)?;
    let fits = match (kind, value) {
        ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("string", Value::Str(_)) => true,
        ("integer" | "number", Value::Int(_) | Value::UInt(_)) => true,
        ("number", Value::Float(_)) => true,
        // JSON represents these only as strings.
        ("number", Value::Str(text)) => {
            matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity")
        }
        // In JSON, a float without a fraction is a valid integer.
        ("integer", Value::Float(number)) => number.fract() == 0.0,
        ("array", Value::List(items)) => return in_items(schema, items, depth, steps),
        ("array", Value::FrozenSet(set)) => return in_items(schema, set.items(), depth, steps),
        ("object", Value::Map(pairs)) => {
            let properties = schema.get("properties");
            let others = schema.get("additionalProperties");
            return pairs.iter().find_map(|(key, value)| {
                let own = match key {
                    Value::Str(name) => properties.and_then(|properties| properties.get(name)),
                    _ => None,
                };
                let wrong = mismatch(own.or(others)?, value, depth, steps)?;
                Some(wrong.inside(|| match key {
                    Value::Str(name) if own.is_some() => format!(".{name}"),
                    Value::Str(name) => format!("[{name:?}]"),
                    key => format!("[{}]", key.json_preview(SHOWN)),
                }))
            });
        }
        // Dates, bytes and similar values have schemas of their own.
        _ => !is_plain(value),
    };
    (!fits).then(whole)
}

/// Returns the first item that does not fit, if there is one.
fn in_items<'a>(
    schema: &'a Json,
    items: &'a [Value],
    depth: usize,
    steps: &mut usize,
) -> Option<Mismatch<'a>> {
    let first = schema.get("prefixItems").and_then(Json::as_array);
    let rest = schema.get("items");
    items.iter().enumerate().find_map(|(index, item)| {
        let schema = first.and_then(|first| first.get(index)).or(rest)?;
        let wrong = mismatch(schema, item, depth, steps)?;
        Some(wrong.inside(|| format!("[{index}]")))
    })
}

/// Returns whether the value equals this JSON. Stops at the first difference.
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
        // `1` and `1.0` are one number.
        (Json::Number(number), Value::Int(_) | Value::UInt(_) | Value::Float(_)) => {
            let plain = value.to_json().ok();
            let plain = plain.as_ref().and_then(Json::as_f64);
            number
                .as_f64()
                .zip(plain)
                .is_none_or(|(one, other)| one == other)
        }
        (Json::String(_), _) | (_, Value::Str(_) | Value::List(_) | Value::Map(_)) => {
            !is_plain(value)
        }
        (json, value) => !is_plain(value) || value.to_json().is_ok_and(|value| *json == value),
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

/// Displays a schema in a few words.
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

/// Displays the names of arguments.
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
mod tests;
