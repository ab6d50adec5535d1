//! The arguments of host tools, and the errors in them.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Fault, fault};
use crate::code::ErrorCode;
use crate::error::ToolError;
use crate::value::explain::{self, Mismatch};
use crate::value::{Payload, PayloadError, Value, names};

/// The first byte of MessagePack's nil, and an empty map.
const NIL: u8 = 0xc0;
const EMPTY_MAP: &[u8] = &[0x80];

/// A way to decode the arguments of a tool.
pub(super) trait Arguments: Send + Sync + 'static {
    type Value;

    fn decode(&self, payload: &Payload) -> Result<Self::Value, Fault>;
}

/// Accepts any map or list.
pub(super) struct Any;

impl Arguments for Any {
    type Value = Value;

    fn decode(&self, payload: &Payload) -> Result<Value, Fault> {
        match payload.decode().map_err(fault)? {
            Value::Null => Ok(Value::Map(Vec::new())),
            args @ (Value::Map(_) | Value::List(_)) => Ok(args),
            _ => Err(neither()),
        }
    }
}

fn neither() -> Fault {
    let mut error = Fault::from(ToolError::new(
        ErrorCode::InvalidArguments,
        "the arguments must be a map or a list",
    ));
    error.help = "give arguments by name in a map, or by position in a list".into();
    error
}

/// Accepts the fields of a type.
pub(super) struct Typed<A> {
    /// Names of the arguments. `None` if any name is accepted.
    known: Option<BTreeSet<String>>,
    required: Vec<String>,
    /// The arguments are a map, rather than a list or nothing.
    object: bool,
    marker: PhantomData<fn() -> A>,
}

impl<A> Typed<A> {
    pub(super) fn new(schema: &serde_json::Value) -> Self {
        // A type that collects further properties, for example in a flattened map, allows them
        // explicitly.
        let open = schema
            .get("additionalProperties")
            .is_some_and(|more| *more != false)
            || ["allOf", "anyOf", "oneOf", "$ref"]
                .iter()
                .any(|key| schema.get(*key).is_some());
        let object = schema.get("type").is_some_and(|kind| kind == "object");
        let properties = schema.get("properties").and_then(|all| all.as_object());
        let names = properties.into_iter().flat_map(|all| all.keys());
        let known = (object && !open).then(|| names.cloned().collect());
        let required = schema.get("required").and_then(|all| all.as_array());
        let required = required
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str());
        Self {
            known,
            object,
            required: required.map(str::to_owned).collect(),
            marker: PhantomData,
        }
    }
}

impl<A: DeserializeOwned + Send + 'static> Arguments for Typed<A> {
    type Value = A;

    fn decode(&self, payload: &Payload) -> Result<A, Fault> {
        let names = match payload.decode::<Names>() {
            Ok(names) => names.0,
            Err(error) if payload.bytes.is_empty() => return Err(fault(error)),
            Err(_) => None,
        };
        let unknown = self
            .known
            .as_ref()
            .zip(names.as_ref())
            .and_then(|(known, names)| {
                names
                    .iter()
                    .find(|name| !known.contains(*name))
                    .map(|name| (name, known))
            });
        if let Some((name, known)) = unknown {
            let message = format!("unknown argument `{}`", names::short(name));
            let mut error = Fault::from(ToolError::new(ErrorCode::UnknownArgument, message));
            error.path = names::short(name);
            error.help = match names::near(name, known.iter().map(String::as_str)).first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it takes {}", self.listed()),
            };
            return Err(error);
        }
        let empty;
        let payload = if payload.bytes.first() == Some(&NIL) && self.object {
            empty = Payload::from_msgpack(EMPTY_MAP);
            &empty
        } else {
            payload
        };
        payload.decode().map_err(|error| match error {
            PayloadError::Decode { reason, .. } => self.explain(payload, names, &reason),
            other => fault(other),
        })
    }
}

impl<A: DeserializeOwned> Typed<A> {
    fn listed(&self) -> String {
        match &self.known {
            Some(known) if known.is_empty() => "no arguments".into(),
            Some(known) => known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", "),
            None => "other arguments".into(),
        }
    }

    /// Builds the error that names the wrong argument.
    fn explain(&self, payload: &Payload, names: Option<Vec<String>>, reason: &str) -> Fault {
        if let Err(error) = payload.decode::<IgnoredAny>() {
            return fault(error);
        }
        if names.is_none() && !matches!(payload.decode(), Ok(Value::List(_) | Value::Map(_))) {
            return neither();
        }
        let given = names.unwrap_or_default();
        let is_map = payload
            .decode::<Names>()
            .is_ok_and(|names| names.0.is_some());
        let missing = self
            .required
            .iter()
            .find(|name| is_map && !given.contains(*name));
        if let Some(name) = missing {
            let mut error = Fault::from(ToolError::new(
                ErrorCode::MissingArgument,
                format!("missing argument `{name}`"),
            ));
            error.path.clone_from(name);
            error.help = format!("it takes {}", self.listed());
            return error;
        }
        let Some(mismatch) = explain::mismatch::<A>(payload) else {
            return self.refuse(
                ErrorCode::WrongArgument,
                "",
                format!("the arguments do not fit: {reason}"),
            );
        };
        let Mismatch {
            path,
            what,
            missing,
        } = mismatch;
        let code = match missing {
            true => ErrorCode::MissingArgument,
            false => ErrorCode::WrongArgument,
        };
        let subject = match path.as_str() {
            "" => "the arguments do not fit: all together".to_owned(),
            path => format!("argument `{}`", names::short(path)),
        };
        self.refuse(code, &path, format!("{subject} {what}"))
    }

    fn refuse(&self, code: ErrorCode, path: &str, message: String) -> Fault {
        let mut error = Fault::from(ToolError::new(code, message));
        path.clone_into(&mut error.path);
        error.help = format!("it accepts {}; see the schema of the tool", self.listed());
        error
    }
}

/// The keys of a map. `None` if the value is not a map with text keys.
struct Names(Option<Vec<String>>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Vec<String>, M::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(names)
            }
        }
        deserializer
            .deserialize_map(Keys)
            .map(|names| Self(Some(names)))
    }
}
