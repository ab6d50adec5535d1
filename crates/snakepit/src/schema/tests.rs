//! Arguments checked against schemas.

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
            "f": {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            "g": {"anyOf": [
                {"type": "null"},
                {"type": "object", "properties": {"h": {"type": "array", "items": {"type": "string"}}}},
            ]},
            "i": {"enum": [1, true]},
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
    checked(args! { "a" => 1, "f" => ("x", 1, 2), "i" => 1.0 }).unwrap();
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
        "argument `c[0]` of tool `f` must be number, got \"x\"",
    );
    wrong(
        args! { "a" => 1, "d" => "z" },
        "argument `d` of tool `f` must be one of \"x\", \"y\", got \"z\"",
    );
    wrong(
        args! { "a" => 1.5 },
        "argument `a` of tool `f` must be integer, got 1.5",
    );
    wrong(
        args! { "a" => 1, "e" => args! { "k" => 1, "l m" => "x" } },
        "argument `e[\"l m\"]` of tool `f` must be integer, got \"x\"",
    );
    wrong(
        args! { "a" => 1, "f" => ("x", 1, "y") },
        "argument `f[2]` of tool `f` must be integer, got \"y\"",
    );
    wrong(
        args! { "a" => 1, "g" => args! { "h" => ("x", 1) } },
        "argument `g.h[1]` of tool `f` must be string, got 1",
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
fn values_of_secret_names_are_not_shown() {
    let mut tool = tool();
    tool.parameters = serde_json::json!({
        "properties": {"api_key": {"type": "integer"}, "c": {"type": "integer"}},
    });
    for (args, shown) in [
        (
            args! { "api_key" => "hush" },
            "`api_key` of tool `f` must be integer, got <redacted>",
        ),
        (
            args! { "c" => args! { "db.password" => "hush" } },
            "`c` of tool `f` must be integer, got <redacted>",
        ),
        (
            args! { "c" => "plain" },
            "`c` of tool `f` must be integer, got \"plain\"",
        ),
    ] {
        let args: Value = crate::Payload::encode(&args).unwrap().decode().unwrap();
        let message = check(&tool, &args).unwrap_err().message;
        assert_eq!(message, format!("argument {shown}"));
    }
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
