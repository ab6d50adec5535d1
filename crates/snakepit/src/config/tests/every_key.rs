//! Every key of the schema, set in a file and by a variable, reaches its setting, and `none` unsets
//! it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::catalogue::{
    Key, Kind, OF_THE_MACHINE, Part, flat, insert, of_host, of_pool, sample, toml,
};
use crate::config::Config;
use crate::source::Source;
use crate::text::{parse_duration, parse_size};
use crate::{PoolBuilder, PythonProfile};

/// Keys with the path of a file.
const PATHS: [&str; 5] = [
    "data_dir",
    "adapter",
    "python",
    "working_dir",
    "python_path",
];

/// A key, and the settings without which it may not be set.
#[derive(Debug)]
struct Case {
    key: Key,
    path: Vec<String>,
    around: Map<String, Value>,
}

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

/// Returns all keys, those of pools below `table`, for example `pools.main`.
fn cases(table: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for key in of_host().iter().flat_map(flat) {
        let mut around = Map::new();
        let others: &[(&str, &str)] = match key.path.join(".").as_str() {
            "telemetry.client_certificate" => &[("telemetry.client_key", "k.pem")],
            "telemetry.client_key" => &[("telemetry.client_certificate", "c.pem")],
            _ => &[],
        };
        if key.path[0] == "telemetry" {
            insert(
                &mut around,
                &path("telemetry.otlp"),
                json!("http://other:4317"),
            );
        }
        for (other, value) in others {
            insert(&mut around, &path(other), json!(value));
        }
        cases.push(Case {
            path: key.path.clone(),
            key,
            around,
        });
    }
    for (part, key) in of_pool() {
        for key in flat(&key) {
            let own = key
                .path
                .iter()
                .map(|it| if it == "NAME" { "train" } else { it.as_str() });
            let path = path(table)
                .into_iter()
                .chain(own.map(str::to_owned))
                .collect();
            let mut around = Map::new();
            let mut set = |key: &str, value: Value| {
                let table = if key == "command" || key == "adapter" {
                    "pools.main"
                } else {
                    table
                };
                insert(&mut around, &self::path(&format!("{table}.{key}")), value);
            };
            match part {
                Part::Command => set("command", json!(["program"])),
                _ => set("adapter", json!("other.py")),
            }
            match key.path.join(".").as_str() {
                "profile" => set("threads_per_worker", json!(2)),
                "threads_per_worker" => set("profile", json!("thread")),
                "autoscale.min" => set("autoscale.max", json!(8)),
                _ => {}
            }
            cases.push(Case { key, path, around });
        }
    }
    cases
}

impl Case {
    /// Returns the settings with the key.
    fn settings(&self, value: Value) -> Map<String, Value> {
        let mut settings = self.around.clone();
        if self.key.path == ["command"] {
            settings.remove("pools");
        }
        insert(&mut settings, &self.path, value);
        settings
    }

    /// Returns the setting that the example stands for.
    fn expected(&self, dir: &Path) -> Value {
        let sample = sample(&self.key);
        let located = |it: &Value| json!(dir.join(it.as_str().unwrap()));
        match (&self.key.kind, &sample) {
            (Kind::Duration, time) => {
                let time = parse_duration(time.as_str().unwrap()).unwrap();
                json!({ "secs": time.as_secs(), "nanos": time.subsec_nanos() })
            }
            (Kind::Size, size) => json!(parse_size(size.as_str().unwrap()).unwrap()),
            (_, Value::Array(all)) if PATHS.contains(&&*self.key.path[0]) => {
                all.iter().map(located).collect()
            }
            (_, one) if PATHS.contains(&&*self.key.path[0]) => located(one),
            (_, other) => other.clone(),
        }
    }
}

/// Returns the settings of a pool as one table.
fn pool(builder: &PoolBuilder) -> Value {
    let mut pool = json!(builder.config());
    let mut add = |more: Value| {
        let more = more.as_object().unwrap().clone();
        pool.as_object_mut().unwrap().extend(more);
    };
    match builder.clone().source() {
        Source::Python(python, profile) => {
            add(json!(python));
            if let PythonProfile::Thread { threads_per_worker } = profile {
                add(json!({ "profile": "thread", "threads_per_worker": threads_per_worker }));
            }
        }
        Source::Command(command) => {
            let program = command.program.to_string_lossy().into_owned();
            let words = [&[program], &*command.args].concat();
            add(json!(command));
            add(json!({ "command": words }));
        }
        Source::Profile(_) | Source::Factory(_) => {}
    }
    pool
}

/// Returns all settings; those of telemetry are compared on their own.
fn effective(config: &Config) -> Value {
    let pools = config
        .pools
        .iter()
        .map(|it| (it.name().to_string(), pool(it)));
    json!({
        "default_pool": config.default_pool.as_ref().map(ToString::to_string),
        "data_dir": config.data_dir,
        "admin": config.admin,
        "sessions": config.state.sessions,
        "host_tools": config.state.tools,
        "pools": pools.collect::<Map<_, _>>(),
    })
}

fn at<'a>(settings: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(settings, |settings, name| &settings[name])
}

/// Loads settings from a file in `dir`.
fn from_file(dir: &Path, settings: &Map<String, Value>) -> Config {
    let file = dir.join("snakepit.toml");
    let text: Vec<String> = settings
        .iter()
        .map(|(key, value)| format!("{key} = {}\n", toml(value)))
        .collect();
    std::fs::write(&file, text.concat()).unwrap();
    Config::from_sources(Some(&file), [])
        .unwrap_or_else(|error| panic!("{}: {error}", text.concat()))
}

/// Writes settings as variables.
fn variables(settings: &Map<String, Value>, prefix: &str, out: &mut Vec<(String, String)>) {
    for (key, value) in settings {
        let name = format!("{prefix}{}", key.to_uppercase());
        match value {
            // These are maps: their keys may be of any case.
            Value::Object(_)
                if [
                    "env",
                    "resource",
                    "headers",
                    "log_levels",
                    "pool_log_levels",
                ]
                .contains(&&**key) =>
            {
                out.push((name, toml(value)));
            }
            Value::Object(inner) => variables(inner, &format!("{name}__"), out),
            Value::String(text) => out.push((name, text.clone())),
            other => out.push((name, toml(other))),
        }
    }
}

fn from_variables(settings: &Map<String, Value>) -> Config {
    let mut all = Vec::new();
    variables(settings, "SNAKEPIT_", &mut all);
    Config::from_sources(None, all.clone()).unwrap_or_else(|error| panic!("{all:?}: {error}"))
}

/// Asserts that a configuration has the example, and that it is not there without the key.
fn check(case: &Case, config: &Config, without: &Config, dir: &Path) {
    let name = case.path.join(".");
    let (found, base) = (effective(config), effective(without));
    match &*case.key.path[0] {
        "telemetry" => assert_ne!(config.telemetry, without.telemetry, "{name}"),
        "timeout_profile" => {
            let changed = ["call_timeout", "stream_timeout", "queue_timeout"];
            let of = |all: &Value| changed.map(|key| all["pools"]["main"][key].clone());
            assert_ne!(of(&found), of(&base), "{name}");
        }
        _ => {
            let path: Vec<String> = case
                .path
                .iter()
                .map(|it| {
                    if it == "defaults" {
                        "pools.main"
                    } else {
                        it.as_str()
                    }
                })
                .flat_map(path)
                .collect();
            assert_eq!(at(&found, &path), &case.expected(dir), "{name}");
            if !OF_THE_MACHINE.contains(&&*case.key.path.join(".")) {
                assert_ne!(at(&base, &path), at(&found, &path), "{name}");
            }
        }
    }
}

#[test]
fn every_key_is_read_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    for table in ["pools.main", "defaults"] {
        let cases = cases(table);
        assert!(cases.len() > 120, "{}", cases.len());
        for case in cases {
            // The pool's own adapter or command would override that of the defaults.
            if table == "defaults" && ["adapter", "command"].contains(&&*case.key.path[0]) {
                continue;
            }
            let config = from_file(dir.path(), &case.settings(sample(&case.key)));
            let without = from_file(dir.path(), &base(&case));
            check(&case, &config, &without, dir.path());
        }
    }
}

/// Returns the settings around a key, without those that only go with it.
fn base(case: &Case) -> Map<String, Value> {
    let mut around = case.around.clone();
    for (key, other) in [
        ("profile", "threads_per_worker"),
        ("threads_per_worker", "profile"),
    ] {
        if case.key.path == [key] {
            let (_, table) = case.path.split_last().unwrap();
            let table = table
                .iter()
                .fold(around.get_mut(&table[0]), |found, name| match found {
                    Some(value) if value.get(name).is_some() => value.get_mut(name),
                    found => found,
                });
            table.unwrap().as_object_mut().unwrap().remove(other);
        }
    }
    match &*case.key.path.join(".") {
        "telemetry.client_certificate" | "telemetry.client_key" => {
            let telemetry = around["telemetry"].as_object_mut().unwrap();
            telemetry.retain(|key, _| key == "otlp");
        }
        _ => {}
    }
    around
}

#[test]
fn every_key_is_read_from_a_variable() {
    for case in cases("pools.main") {
        let config = from_variables(&case.settings(sample(&case.key)));
        let without = from_variables(&base(&case));
        check(&case, &config, &without, Path::new(""));
    }
}

#[test]
fn the_word_none_unsets_every_key() {
    let dir = tempfile::tempdir().unwrap();
    for case in cases("pools.main") {
        let name = case.path.join(".");
        let without = effective(&from_file(dir.path(), &base(&case)));
        let mut settings = base(&case);
        match &*case.key.path[0] {
            // A pool needs one of them.
            "adapter" | "command" => continue,
            "default_pool" | "data_dir" | "admin" | "sessions" | "host_tools" | "telemetry" => {}
            _ => {
                // The key of the pool unsets that of the defaults.
                let of_defaults = [&["defaults".to_owned()], &case.path[2..]].concat();
                insert(&mut settings, &of_defaults, sample(&case.key));
            }
        }
        if case.key.path == ["profile"] {
            insert(
                &mut settings,
                &path("pools.main.threads_per_worker"),
                json!("none"),
            );
        }
        insert(&mut settings, &case.path, json!("none"));
        let config = from_file(dir.path(), &settings);
        let found = effective(&config);
        let found = at(&found, &case.path);
        if case.path[0] != "telemetry" && case.key.path[0] != "tools" {
            // Without its table, a policy is off.
            let default = match at(&without, &case.path) {
                Value::Null => found,
                default => default,
            };
            if !OF_THE_MACHINE.contains(&&*case.key.path.join(".")) {
                assert_ne!(found, &case.expected(dir.path()), "{name}");
            }
            let expected = if case.key.optional {
                &Value::Null
            } else {
                default
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}
