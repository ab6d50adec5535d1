//! `SNAKEPIT_*` variables as a source of settings.

use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// What comes before every variable of ours.
const PREFIX: &str = "SNAKEPIT_";

/// Variables with a meaning of their own; they are not keys of the configuration.
const RESERVED: [&str; 12] = [
    "PYTHON",
    "BRIDGE",
    "LOG",
    "LINK",
    "TOKEN",
    "WORKER_ID",
    "ADAPTER",
    "SLOTS",
    "MAX_PAYLOAD",
    "DEPENDENT",
    "HOST_PID",
    "COOKIES",
];

/// The variables that are keys: path in lower case with dots, and text.
#[derive(Debug)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut keys: Vec<_> = variables
            .into_iter()
            .filter_map(|(name, value)| {
                let key = name
                    .strip_prefix(PREFIX)
                    .filter(|key| !RESERVED.contains(key))?;
                Some((key.to_lowercase().replace("__", "."), value))
            })
            .collect();
        keys.sort();
        Self(keys)
    }
}

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("__").to_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut dict = Dict::new();
        for (key, text) in &self.0 {
            let value: Value = text.parse().unwrap_or_else(|never| match never {});
            merge(&mut dict, nest(key, value));
        }
        Ok(Profile::Default.collect(dict))
    }
}

/// Puts a nested value into the tree; what is there already stays where the two do not meet.
fn merge(dict: &mut Dict, value: Value) {
    let Some(entries) = value.into_dict() else {
        return;
    };
    for (key, value) in entries {
        match (dict.get_mut(&key), value) {
            (Some(Value::Dict(_, inner)), value @ Value::Dict(..)) => merge(inner, value),
            (_, value) => {
                dict.insert(key, value);
            }
        }
    }
}
