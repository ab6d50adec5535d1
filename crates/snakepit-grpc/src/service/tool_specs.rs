//! Conversion of tool descriptions to and from messages.

use serde_json::{Map, Value as Json};
use snakepit_core::host_tools::HostToolInfo;
use snakepit_core::value::Value;
use snakepit_core::worker::ToolInfo;

use super::{PeerTool, any};
use crate::pb;

/// Largest size in bytes of the default value of a parameter; a longer one is omitted.
const MAX_DEFAULT: usize = 16 << 10;

/// Converts the description of a host tool.
pub(super) fn of_host_tool(info: HostToolInfo) -> pb::ToolSpec {
    pb::ToolSpec {
        parameters: parameters(&info.parameters),
        parameters_schema: schema(&info.parameters),
        returns_schema: schema(&info.returns),
        name: info.name,
        description: info.description,
        metadata: info.metadata.into_iter().collect(),
        supports_streaming: info.streaming,
        ..pb::ToolSpec::default()
    }
}

/// Converts the description of a worker's tool.
pub(super) fn of_tool(info: ToolInfo) -> pb::ToolSpec {
    pb::ToolSpec {
        parameters: parameters(&info.parameters),
        parameters_schema: schema(&info.parameters),
        returns_schema: schema(&info.returns),
        name: info.name,
        description: info.description,
        supports_streaming: info.streaming,
        is_async: info.is_async,
        file: info.file,
        line: info.line,
        signature: info.signature,
        ..pb::ToolSpec::default()
    }
}

/// Converts a peer's description of its own tool.
pub(super) fn from_registration(message: pb::ToolRegistration) -> PeerTool {
    PeerTool {
        name: message.name,
        description: message.description,
        streaming: message.supports_streaming,
        metadata: message.metadata.into_iter().collect(),
    }
}

fn schema(schema: &Json) -> String {
    if schema.is_null() {
        String::new()
    } else {
        schema.to_string()
    }
}

/// Converts the properties of an object schema into the form of the older message.
fn parameters(schema: &Json) -> Vec<pb::ParameterSpec> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map_or_else(Vec::new, |names| {
            names.iter().filter_map(Json::as_str).collect()
        });
    properties
        .iter()
        .map(|(name, property)| pb::ParameterSpec {
            name: name.clone(),
            r#type: type_name(property).to_owned(),
            description: property["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            required: required.contains(&name.as_str()),
            default_value: property.get("default").and_then(|default| {
                any::write(&Value::from_json(default.clone()), MAX_DEFAULT).ok()
            }),
            validation_json: property.to_string(),
        })
        .collect()
}

/// Returns the first type that is not "null".
fn type_name(property: &Json) -> &str {
    match &property["type"] {
        Json::String(name) => name,
        Json::Array(names) => {
            let mut names = names.iter().filter_map(Json::as_str);
            names.find(|name| *name != "null").unwrap_or("any")
        }
        _ => "any",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_come_from_the_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "first", "minimum": 1},
                "b": {"type": ["null", "string"], "default": "x"},
                "c": true,
            },
            "required": ["a"],
        });
        let [a, b, c] = &parameters(&schema)[..] else {
            panic!("three parameters")
        };
        assert_eq!(
            (a.name.as_str(), a.r#type.as_str(), a.required),
            ("a", "integer", true)
        );
        assert_eq!(a.description, "first");
        assert!(a.validation_json.contains("minimum"));
        assert_eq!((b.r#type.as_str(), b.required), ("string", false));
        assert_eq!(b.default_value.as_ref().unwrap().value, b"\"x\"");
        assert_eq!(c.r#type, "any");
        for odd in [
            json!(null),
            json!([1]),
            json!({"properties": 3, "required": {}}),
        ] {
            assert!(parameters(&odd).is_empty());
        }
    }
}
