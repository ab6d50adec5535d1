//! Checks that `docs/snakepit.schema.json` describes what the program reads. `UPDATE_DOCS=1` writes
//! it.

use serde_json::{Map, Value, json};

use super::catalogue::{Key, Kind, of_host, of_pool};

const UNITS: &str = "nsec|ns|usec|us|µs|msec|ms|seconds?|sec|s|minutes?|mins?|m|hours?|hrs?|hr|h|\
                     days?|d|weeks?|wk|w|months?|M|years?|yr|y";

/// Returns the schema of a value in the notation of the file.
fn notation(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { least, most: None } => json!({ "type": "integer", "minimum": least }),
        Kind::Integer { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Number => json!({ "type": "number" }),
        Kind::Duration => json!({ "anyOf": [
            {
                "type": "string",
                "pattern": format!("^ *[0-9]+(\\.[0-9]+)? *({UNITS})?( *[0-9]+ *({UNITS}))* *$"),
            },
            { "type": "number", "minimum": 0 },
        ] }),
        Kind::Size => json!({ "anyOf": [
            { "type": "string", "pattern": "^ *[0-9]+ *(B|kB|[KMG](i?B)?)? *$" },
            { "type": "integer", "minimum": 0 },
        ] }),
        Kind::Text { pattern: None } => json!({ "type": "string" }),
        Kind::Text { pattern } => json!({ "type": "string", "pattern": pattern }),
        Kind::Words(words) => {
            let word = |(word, text): &(String, String)| match text.as_str() {
                "" => json!({ "const": word }),
                text => json!({ "const": word, "description": text }),
            };
            json!({ "anyOf": words.iter().map(word).collect::<Vec<_>>() })
        }
        Kind::List(kind) => json!({ "type": "array", "items": notation(kind) }),
        Kind::Map(kind) => json!({ "type": "object", "additionalProperties": notation(kind) }),
        Kind::Table(keys) => table(keys),
    }
}

fn table<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Value {
    let properties = keys.into_iter().map(|key| {
        let name = key.path.last().cloned().unwrap();
        (name, property(key))
    });
    let properties: Map<String, Value> = properties.collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// Returns the schema of a key: its value, or the word that unsets it.
fn property(key: &Key) -> Value {
    let own = notation(&key.kind);
    let none = json!({ "const": "none" });
    let mut schema = match (&key.kind, own["anyOf"].as_array()) {
        (Kind::Text { pattern: None }, _) => own,
        (_, Some(kinds)) if kinds.contains(&none) => own,
        (_, Some(kinds)) => {
            let kinds = [&kinds[..], &[none]].concat();
            json!({ "anyOf": kinds })
        }
        (_, None) => json!({ "anyOf": [own, none] }),
    };
    schema["description"] = json!(key.text);
    if !key.default.is_null() {
        schema["default"] = key.default.clone();
    }
    schema
}

/// Returns the schema of the file.
pub(super) fn schema() -> Value {
    let (host, pool) = (of_host(), of_pool());
    let mut schema = table(&host);
    let of_pool = json!({ "$ref": "#/definitions/pool" });
    let properties = schema["properties"].as_object_mut().unwrap();
    properties.insert(
        "defaults".to_owned(),
        json!({
            "description": "Settings of every pool that does not have its own.",
            "allOf": [of_pool.clone()],
        }),
    );
    properties.insert(
        "pools".to_owned(),
        json!({
            "description": "The pools, by name.",
            "type": "object",
            "additionalProperties": of_pool,
        }),
    );
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("snakepit.toml");
    schema["definitions"] = json!({ "pool": table(pool.iter().map(|(_, key)| key)) });
    schema
}

/// Compares a generated file of `docs/` with the committed one, or writes it.
pub(super) fn check(name: &str, text: &str) {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
    let file = std::path::Path::new(docs).join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is out of date: run this test with UPDATE_DOCS=1 and commit the file"
    );
}

#[test]
fn the_schema_is_that_of_the_settings() {
    let text = serde_json::to_string_pretty(&schema()).unwrap();
    check("snakepit.schema.json", &format!("{text}\n"));
}
