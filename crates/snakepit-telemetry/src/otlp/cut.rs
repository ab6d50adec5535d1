//! Application of limits to spans and attributes before their export.

use opentelemetry::logs::AnyValue;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use crate::RecordLimits;

impl RecordLimits {
    /// Drops what exceeds the limits, and counts it in the span.
    pub(super) fn cut_span(&self, span: &mut SpanData) {
        let dropped = self.cut(&mut span.attributes, self.span_attributes);
        span.dropped_attributes_count += dropped;
        span.events.dropped_count += excess(&mut span.events.events, self.span_events);
        for event in &mut span.events.events {
            event.dropped_attributes_count +=
                self.cut(&mut event.attributes, self.event_attributes);
        }
        span.links.dropped_count += excess(&mut span.links.links, self.span_links);
        for link in &mut span.links.links {
            link.dropped_attributes_count += self.cut(&mut link.attributes, self.link_attributes);
        }
    }

    fn cut(&self, attributes: &mut Vec<KeyValue>, most: usize) -> u32 {
        let dropped = excess(attributes, most);
        if self.span_text < usize::MAX {
            for attribute in attributes {
                match &mut attribute.value {
                    Value::String(text) => shorten(text, self.span_text),
                    Value::Array(Array::String(texts)) => {
                        texts
                            .iter_mut()
                            .for_each(|text| shorten(text, self.span_text));
                    }
                    _ => {}
                }
            }
        }
        dropped
    }

    /// Returns the shortened text of an attribute of a log record. `None` if it is short enough.
    pub(super) fn shortened(&self, value: &AnyValue) -> Option<String> {
        match value {
            AnyValue::String(text) => {
                let (end, _) = text.as_str().char_indices().nth(self.log_text)?;
                Some(text.as_str()[..end].to_owned())
            }
            _ => None,
        }
    }
}

/// Removes the last entries above a number, and returns how many they were.
fn excess<T>(entries: &mut Vec<T>, most: usize) -> u32 {
    let dropped = entries.len().saturating_sub(most);
    entries.truncate(most);
    u32::try_from(dropped).unwrap_or(u32::MAX)
}

fn shorten(text: &mut StringValue, most: usize) {
    if let Some((end, _)) = text.as_str().char_indices().nth(most) {
        *text = text.as_str()[..end].to_owned().into();
    }
}
