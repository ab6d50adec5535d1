//! All keys of `snakepit.toml`, from the schemas of the structs that read them.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::config::keys::{FileKeys, PoolKeys};
use crate::{PoolConfig, PythonConfig};

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its names from the table of its section, for example `restart` and `window`.
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
    /// True if the word `none` means that there is no value, not the default.
    pub(super) optional: bool,
    /// The default as the file has it; null if there is none or the machine decides it.
    pub(super) default: Value,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Flag,
    Integer { least: u64, most: Option<u64> },
    Number,
    Duration,
    Size,
    Text { pattern: Option<String> },
    Words(Vec<(String, String)>),
    List(Box<Self>),
    Map(Box<Self>),
    Table(Vec<Key>),
}

/// The kinds of pools that have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    Python,
    Command,
}

/// Returns the keys outside of pools.
pub(super) fn of_host() -> Vec<Key> {
    keys_of::<FileKeys>()
}

/// Returns the keys of a pool.
pub(super) fn of_pool() -> Vec<(Part, Key)> {
    let [python, command] = [
        keys_of::<PythonConfig>(),
        keys_of::<snakepit_profiles::CommandConfig>(),
    ];
    let names = |keys: &[Key]| {
        keys.iter()
            .map(|key| key.path.clone())
            .collect::<BTreeSet<_>>()
    };
    let (of_python, of_command) = (names(&python), names(&command));
    let part = |key: &Key| match key.path[0].as_str() {
        "profile" | "threads_per_worker" => Part::Python,
        "command" => Part::Command,
        _ if of_python.contains(&key.path) && !of_command.contains(&key.path) => Part::Python,
        _ if of_command.contains(&key.path) && !of_python.contains(&key.path) => Part::Command,
        _ => Part::All,
    };
    let command = command
        .into_iter()
        .filter(|key| !of_python.contains(&key.path));
    let own = keys_of::<PoolKeys>().into_iter();
    let all = own
        .chain(keys_of::<PoolConfig>())
        .chain(python)
        .chain(command);
    all.map(|key| (part(&key), key)).collect()
}

/// Returns the keys of tables instead of the tables: one for each value.
pub(super) fn flat(key: &Key) -> Vec<Key> {
    match &key.kind {
        Kind::Table(keys) => keys.iter().flat_map(flat).collect(),
        Kind::Map(inner) => match &**inner {
            Kind::Table(keys) => keys.iter().flat_map(flat).collect(),
            _ => vec![key.clone()],
        },
        _ => vec![key.clone()],
    }
}

fn keys_of<T: JsonSchema>() -> Vec<Key> {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    table(&schema.to_value(), &[])
}

fn table(schema: &Value, path: &[String]) -> Vec<Key> {
    let properties = schema["properties"].as_object().unwrap();
    let keys = properties.iter().map(|(name, schema)| {
        let path = [path, std::slice::from_ref(name)].concat();
        let default = schema.get("default").cloned();
        let kind = kind(schema, &path);
        Key {
            optional: is_optional(schema) || default == Some(Value::Null),
            default: written(&kind, &default.unwrap_or_default(), &path),
            text: clean(schema["description"].as_str().unwrap_or_default()),
            kind,
            path,
        }
    });
    keys.collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// Returns the schema without the alternative of `null`.
fn inner(schema: &Value) -> &Value {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let mut others = alternatives.filter(|it| types(it) != ["null"]);
    others.next().unwrap_or(schema)
}

fn is_optional(schema: &Value) -> bool {
    types(schema).contains(&"null") || schema.get("anyOf").is_some()
}

fn kind(schema: &Value, path: &[String]) -> Kind {
    let schema = inner(schema);
    let words = |all: &[Value]| {
        let word = |it: &Value| {
            Some((
                it.as_str().or(it["const"].as_str())?.to_owned(),
                clean(it["description"].as_str().unwrap_or_default()),
            ))
        };
        Kind::Words(all.iter().filter_map(word).collect())
    };
    if let Some(all) = schema["oneOf"].as_array().or(schema["enum"].as_array()) {
        return words(all);
    }
    let types = types(schema);
    let is = |name: &str| types.contains(&name);
    match schema {
        _ if schema["properties"].get("nanos").is_some() => Kind::Duration,
        _ if schema.get("properties").is_some() => Kind::Table(table(schema, path)),
        _ if is("object") => {
            let path = [path, &["NAME".to_owned()]].concat();
            Kind::Map(Box::new(kind(&schema["additionalProperties"], &path)))
        }
        _ if is("array") => Kind::List(Box::new(kind(&schema["items"], path))),
        _ if is("boolean") => Kind::Flag,
        _ if is("number") => Kind::Number,
        _ if schema["format"] == "bytes" => Kind::Size,
        _ if is("integer") => Kind::Integer {
            least: schema["minimum"].as_u64().unwrap_or_default(),
            most: schema["maximum"].as_u64(),
        },
        _ => {
            assert!(is("string"), "{path:?}: {schema}");
            Kind::Text {
                pattern: schema["pattern"].as_str().map(str::to_owned),
            }
        }
    }
}

/// Defaults that depend on the machine.
pub(super) const OF_THE_MACHINE: [&str; 3] = ["workers", "start_concurrency", "autoscale.max"];

/// Returns a default as the file has it.
fn written(kind: &Kind, default: &Value, path: &[String]) -> Value {
    if OF_THE_MACHINE.contains(&path.join(".").as_str()) {
        return Value::Null;
    }
    match (kind, default) {
        (_, Value::Null) | (Kind::Table(_), _) => Value::Null,
        (Kind::Duration, time) => {
            let (seconds, nanos) = (&time["secs"], &time["nanos"]);
            let nanos = u32::try_from(nanos.as_u64().unwrap()).unwrap();
            let time = Duration::new(seconds.as_u64().unwrap(), nanos);
            json!(humantime::format_duration(time).to_string())
        }
        (Kind::Size, size) => {
            let size = size.as_u64().unwrap();
            let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
            let unit = units
                .iter()
                .find(|(_, bits)| size >= 1 << bits && size % (1 << bits) == 0);
            unit.map_or(json!(size), |(unit, bits)| {
                json!(format!("{}{unit}", size >> bits))
            })
        }
        (Kind::List(_) | Kind::Map(_), _) => Value::Null,
        (Kind::Text { .. }, Value::String(text)) if text.is_empty() => Value::Null,
        (_, other) => other.clone(),
    }
}

/// Turns a doc comment into a text for users of the file: without links, with its words.
fn clean(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        out += before;
        let Some((name, after)) = link.split_once(']') else {
            rest = link;
            out.push('[');
            continue;
        };
        let target = after.strip_prefix('(').and_then(|it| it.split_once(')'));
        if target.is_some() || name.starts_with('`') {
            out += name;
        } else {
            out += &format!("[{name}]");
        }
        rest = target.map_or(after, |(_, after)| after);
    }
    out += rest;
    let words: Vec<&str> = out.split_whitespace().collect();
    words.join(" ").replace("`None`", "`\"none\"`")
}

/// Returns a JSON value as TOML.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{} = {}", bare(key), toml(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        // A JSON string is a TOML string.
        other => other.to_string(),
    }
}

fn bare(key: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-');
    if key.bytes().all(plain) {
        key.to_owned()
    } else {
        json!(key).to_string()
    }
}

/// Returns an example of a key, different from its default.
pub(super) fn sample(key: &Key) -> Value {
    match key.path.join(".").as_str() {
        "default_pool" => json!("main"),
        "data_dir" => json!("state"),
        "adapter" => json!("tools.py"),
        "command" => json!(["node", "worker.js"]),
        "ready" => json!("socket"),
        "profile" => json!("thread"),
        "python" => json!(".venv/bin/python"),
        "python_path" => json!(["lib"]),
        "working_dir" => json!("work"),
        "inherit_env" => json!(["AWS_*"]),
        "env" => json!({ "OMP_NUM_THREADS": "2" }),
        "warm_up" => json!("load_model"),
        "autoscale.max" => json!(8),
        "workers" | "start_concurrency" => json!(3),
        "threads_per_worker" => json!(16),
        "timeout_stacks" | "restart.initial_backoff" => json!("200ms"),
        "telemetry.service_name" => json!("shop"),
        "telemetry.resource" => json!({ "deployment.environment.name": "test" }),
        "telemetry.otlp" => json!("http://localhost:4317"),
        "telemetry.traces" | "telemetry.metrics" | "telemetry.logs" => {
            json!("http://collector:4317")
        }
        "telemetry.headers" => json!({ "authorization": "Bearer x" }),
        "telemetry.certificate" => json!("ca.pem"),
        "telemetry.client_certificate" => json!("client.pem"),
        "telemetry.client_key" => json!("client.key"),
        "telemetry.prometheus" => json!("127.0.0.1:9464"),
        "telemetry.log_levels" => json!({ "urllib3": "error" }),
        "telemetry.pool_log_levels" => json!({ "main": "debug" }),
        "telemetry.redact" => json!(["x-internal"]),
        _ => match &key.kind {
            Kind::Flag => json!(key.default == json!(false) || key.text.contains("Default: false")),
            Kind::Integer { .. } => json!(key.default.as_u64().unwrap_or(2) + 1),
            Kind::Number => json!(0.25),
            Kind::Duration => json!("90s"),
            Kind::Size => json!("64MiB"),
            Kind::Words(words) => words
                .iter()
                .map(|(word, _)| json!(word))
                .rfind(|word| *word != key.default && word != "none")
                .unwrap(),
            other => panic!("{key:?} needs an example of {other:?}"),
        },
    }
}

/// Inserts the value of a path.
pub(super) fn insert(table: &mut Map<String, Value>, path: &[String], value: Value) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first).or_insert_with(|| json!({}));
    insert(inner.as_object_mut().unwrap(), rest, value);
}
