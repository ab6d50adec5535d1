//! `SNAKEPIT_*` variables as a source of settings.

use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};
use snakepit_profiles::variables::{BRIDGE, PYTHON, WORKER_PREFIX, WORKER_SETTINGS};

/// Prefix of all variables of snakepit.
const PREFIX: &str = "SNAKEPIT_";

/// Variable with the levels of the program's log.
const LOG: &str = "SNAKEPIT_LOG";

/// Variables of the original library, without the prefix. A program that one of its workers starts
/// inherits them; so does one whose environment is still prepared for that library.
const ORIGINAL: [&str; 19] = [
    "ELIXIR_ADDRESS",
    "ENABLE_OTLP",
    "GRPC_ADDRESS",
    "HEARTBEAT_CONFIG",
    "INSTANCE_ID",
    "INSTANCE_NAME",
    "INSTANCE_TOKEN",
    "LOG_LEVEL",
    "OTEL_CONSOLE",
    "OTEL_ENDPOINT",
    "PROCESS_GROUP",
    "PYTHON_RUNTIME_HASH",
    "PYTHON_RUNTIME_PLATFORM",
    "PYTHON_RUNTIME_VERSION",
    "READY_FILE",
    "SCRIPT_EXIT",
    "SCRIPT_HALT",
    "SERVICE_NAME",
    "THREAD_SENSITIVE",
];

/// The variables that are keys: path in lower case with dots, and value.
#[derive(Debug)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut keys: Vec<_> = variables
            .into_iter()
            .filter(|(name, value)| !is_foreign(name, value))
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(PREFIX)?;
                Some((key.to_lowercase().replace("__", "."), value))
            })
            .collect();
        keys.sort();
        Self(keys)
    }
}

/// Returns true if a variable has another meaning and is not a key of the configuration.
fn is_foreign(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return true;
    };
    name.starts_with(WORKER_PREFIX)
        || [PYTHON, BRIDGE, LOG].contains(&name)
        || WORKER_SETTINGS.contains(&name)
        || ORIGINAL.contains(&rest)
        || is_service_link(rest, value)
}

/// Returns true if Kubernetes has set the variable for a service whose name begins with `snakepit`:
/// `…SERVICE_HOST`, `…SERVICE_PORT`, `…SERVICE_PORT_<NAME>`, `…PORT=tcp://…`, and
/// `…PORT_<NUMBER>_<PROTOCOL>` with the suffix `_PROTO`, `_PORT`, `_ADDR` or none.
fn is_service_link(rest: &str, value: &str) -> bool {
    // A nested key has two underscores between its parts, and so an empty part here.
    let parts: Vec<&str> = rest.split('_').collect();
    if parts.contains(&"") {
        return false;
    }
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    match parts.as_slice() {
        [.., "SERVICE", "HOST"] => true,
        [.., "PORT"] if is_url => true,
        [.., "PORT", number, "TCP" | "UDP" | "SCTP"]
        | [
            ..,
            "PORT",
            number,
            "TCP" | "UDP" | "SCTP",
            "PROTO" | "PORT" | "ADDR",
        ] => is_number(number),
        parts => parts.windows(2).any(|pair| pair == ["SERVICE", "PORT"]) && is_number(value),
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

/// Merges a nested value into the tree. Existing values at other paths stay.
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
