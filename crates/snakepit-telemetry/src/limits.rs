//! Limits on the attributes, events and links of exported records.

/// Limits on exported spans and log records. What exceeds a number is dropped and counted in the
/// span; longer texts are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordLimits {
    /// Largest number of attributes of a span. Default: 128.
    pub span_attributes: usize,
    /// Largest number of events of a span. Default: 128.
    pub span_events: usize,
    /// Largest number of links of a span. Default: 128.
    pub span_links: usize,
    /// Largest number of attributes of an event in a span. Default: 128.
    pub event_attributes: usize,
    /// Largest number of attributes of a link in a span. Default: 128.
    pub link_attributes: usize,
    /// Largest number of attributes of a log record. Default: 128.
    pub log_attributes: usize,
    /// Largest number of characters of a text in attributes of spans. Default: unlimited.
    pub span_text: usize,
    /// Largest number of characters of a text in attributes of log records. Default: unlimited.
    pub log_text: usize,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            span_attributes: 128,
            span_events: 128,
            span_links: 128,
            event_attributes: 128,
            link_attributes: 128,
            log_attributes: 128,
            span_text: usize::MAX,
            log_text: usize::MAX,
        }
    }
}
