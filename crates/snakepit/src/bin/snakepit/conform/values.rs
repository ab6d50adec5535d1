//! Checks of values: what comes back from `echo` is what was sent.

use snakepit::diag::{Check, CheckStatus};
use snakepit::{Value, args};

use super::calls::{Kit, failed, left_out, told};

const NAME: &str = "values";

/// The kinds of values that every worker has to keep.
fn required() -> Vec<(&'static str, Value)> {
    let map = |entries: &[(&str, Value)]| {
        let entries = entries
            .iter()
            .map(|(key, value)| ((*key).into(), value.clone()));
        Value::Map(entries.collect())
    };
    vec![
        ("null", Value::Null),
        ("true", true.into()),
        ("false", false.into()),
        ("0", 0_i64.into()),
        ("-7", (-7_i64).into()),
        ("0.5", 0.5.into()),
        ("1e300", 1e300.into()),
        ("an empty text", "".into()),
        ("a text", "ä \u{1f40d} \"quoted\" \\ \n\t\u{1}".into()),
        ("an empty list", Value::List(vec![])),
        (
            "a list",
            Value::List(vec![1_i64.into(), "a".into(), Value::Null]),
        ),
        ("an empty map", map(&[])),
        (
            "a map",
            map(&[("a", map(&[("b", Value::List(vec![0.25.into()]))]))]),
        ),
    ]
}

/// The kinds that some languages and encodings cannot keep.
fn optional() -> Vec<(&'static str, Value)> {
    vec![
        ("2^53 + 1", ((1_i64 << 53) + 1).into()),
        ("1.0 as a floating-point number", 1.0.into()),
        ("bytes", Value::Bytes(vec![0, 255, 10, 13].into())),
    ]
}

/// Checks all kinds of values.
pub(super) async fn check(kit: &Kit<'_>) -> Check {
    if kit.tool("echo").is_none() {
        return left_out(NAME, "echo(value)", "returns its argument");
    }
    let mut changed = Vec::new();
    for (name, value) in required() {
        match kit.call("echo", args! { "value" => &value }).await {
            Ok(same) if equal(&same, &value) => {}
            Ok(other) => changed.push(format!("{name} came back as {other}")),
            Err(error) => changed.push(format!("{name}: {}", told(&error))),
        }
    }
    if !changed.is_empty() {
        return failed(
            NAME,
            changed.join("; "),
            "decode and encode JSON or MessagePack",
        );
    }
    let mut lost = Vec::new();
    for (name, value) in optional() {
        let answer = kit.call("echo", args! { "value" => &value }).await;
        if !answer.is_ok_and(|same| same == value) {
            lost.push(name);
        }
    }
    if lost.is_empty() {
        return Check::ok(NAME, "every kind of value comes back as it was sent");
    }
    let detail = format!("not kept as they were sent: {}", lost.join(", "));
    let help = "use MessagePack (capability `msgpack`) if callers need them";
    Check::new(NAME, CheckStatus::Warning, detail, Some(help.to_owned()))
}

/// Checks a value of some mebibytes.
pub(super) async fn large(kit: &Kit<'_>) -> Check {
    const NAME: &str = "large values";
    const BYTES: usize = 8 << 20;
    if kit.tool("echo").is_none() {
        return left_out(NAME, "echo(value)", "returns its argument");
    }
    let text = Value::Str("x".repeat(BYTES));
    match kit.call("echo", args! { "value" => &text }).await {
        Ok(same) if same == text => Check::ok(NAME, "8 MiB come back as they were sent"),
        Ok(_) => failed(
            NAME,
            "8 MiB came back changed".to_owned(),
            "send the whole value",
        ),
        Err(error) => {
            let help =
                "raise the message size limits of the server above SNAKEPIT_WORKER_MAX_PAYLOAD";
            failed(NAME, told(&error), help)
        }
    }
}

/// Compares values; whole numbers may change their type.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Int(other)) => *one == *other as f64,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| {
                    other
                        .iter()
                        .any(|(known, same)| known == key && equal(value, same))
                })
        }
        (one, other) => one == other,
    }
}
