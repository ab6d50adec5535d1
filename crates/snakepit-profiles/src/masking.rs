//! The secrets of one worker, and the masking of them in everything that it reports about itself
//! and its code.
//!
//! Each text of a worker enters the host in one of five ways, and each is masked there: lines of
//! its output (`output.rs`), errors (where the link decodes them, with [`Mask`]), the description
//! of its tools, stacks and profiles (`stacks.rs`), and records of telemetry
//! (`telemetry/masked.rs`).

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;
use snakepit_core::worker::WorkerInfo;
use snakepit_grpc::link::Mask;
use snakepit_redact::Known;

/// The parts of a schema that people read, and that decide about no value.
const READ: [&str; 4] = ["default", "description", "examples", "title"];

/// The parts of a schema whose entries have names of their own.
const NAMED: [&str; 4] = ["$defs", "definitions", "patternProperties", "properties"];

/// The parts of a schema that decide about values.
const EXACT: [&str; 2] = ["const", "enum"];

/// The secrets of one worker. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(pub(crate) Arc<Known>);

impl Mask for Secrets {
    fn text(&self, text: &mut String) {
        replace(text, |text| self.0.mask(text));
    }

    fn name(&self, name: &mut String) {
        replace(name, |name| self.0.mask_name(name));
    }
}

impl Secrets {
    /// Masks the secrets in a text, and what looks like one.
    pub(crate) fn redact(&self, text: &mut String) {
        replace(text, |text| self.0.redact(text));
    }

    /// Masks the secrets in a text, if there is one.
    pub(crate) fn masked(&self, mut text: Option<String>) -> Option<String> {
        text.iter_mut().for_each(|text| self.text(text));
        text
    }

    /// Masks the secrets in a name whose characters are limited. `None` if it has none.
    pub(crate) fn label(&self, name: &str) -> Option<String> {
        match self.0.mask_name(name) {
            Cow::Owned(masked) => Some(masked.replace(['<', '>'], "")),
            Cow::Borrowed(_) => None,
        }
    }

    /// Masks the secrets in the description of a worker. The names of its tools and arguments, and
    /// the values that they accept, stay: calls are checked against them.
    pub(crate) fn describe(&self, info: &mut WorkerInfo) {
        for tool in &mut info.tools {
            for text in [&mut tool.description, &mut tool.file, &mut tool.signature] {
                self.text(text);
            }
            self.schema(&mut tool.parameters);
            self.schema(&mut tool.returns);
        }
        info.gil_reenabled_by = self.masked(info.gil_reenabled_by.take());
    }

    fn schema(&self, schema: &mut Json) {
        match schema {
            Json::Object(entries) => {
                for (name, value) in entries {
                    match (&**name, value) {
                        (name, value) if READ.contains(&name) => self.json(value),
                        (name, Json::Object(named)) if NAMED.contains(&name) => {
                            named.values_mut().for_each(|value| self.schema(value));
                        }
                        (name, _) if EXACT.contains(&name) => {}
                        (_, value) => self.schema(value),
                    }
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.schema(item)),
            _ => {}
        }
    }

    /// Masks the secrets in all texts of a value.
    fn json(&self, value: &mut Json) {
        match value {
            Json::String(text) => self.text(text),
            Json::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Json::Object(entries) => {
                for (mut name, mut value) in std::mem::take(entries) {
                    self.text(&mut name);
                    self.json(&mut value);
                    entries.insert(name, value);
                }
            }
            _ => {}
        }
    }
}

fn replace(text: &mut String, mask: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(masked) = mask(text) {
        *text = masked;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_masked_where_it_is_read_alone() {
        let secrets = Secrets::default();
        secrets.0.add("correcthorse").expect("it has room");
        let mut schema = json!({
            "description": "not correcthorse",
            "properties": {
                "correcthorse": {"type": "string", "default": {"correcthorse": ["a correcthorse"]}},
                "default": {"enum": ["correcthorse"], "title": "correcthorse"},
            },
        });
        secrets.schema(&mut schema);
        let expected = json!({
            "description": "not <redacted>",
            "properties": {
                "correcthorse": {"type": "string", "default": {"<redacted>": ["a <redacted>"]}},
                "default": {"enum": ["correcthorse"], "title": "<redacted>"},
            },
        });
        assert_eq!(schema, expected);
        assert_eq!(
            secrets.label("x/correcthorse").as_deref(),
            Some("x/redacted")
        );
    }
}
