//! Events: one typed value for each thing that happens in a host, and their subscribers.
//!
//! [`Event`] lists them; `docs/events.md` is generated from the same table. [`Events`] is the hub
//! of one host: pools and the host's state emit into it, and it passes every event to the
//! subscribers and to `tracing`. Without a subscriber of its [`Kind`], and with `tracing` off at
//! its level, an event costs two loads and two branches.
//!
//! ```
//! use snakepit_core::events::{Event, Events};
//!
//! let events = Events::new();
//! let recycled = events.on_event("worker.recycled", |emitted| {
//!     if let Event::WorkerRecycled { worker, reason, .. } = &emitted.event {
//!         println!("{worker}: {reason}");
//!     }
//! })?;
//! recycled.detach();
//! # Ok::<(), snakepit_core::events::PatternError>(())
//! ```

mod catalogue;
mod custom;
mod field;
mod field_docs;
mod hub;
mod kinds;
mod macros;
pub(crate) mod open_span;
mod pattern;
pub mod record;
mod stream;
mod subscription;
mod trace_context;
mod trace_state;

pub use catalogue::{Event, kind};
pub use custom::{CustomEvent, Number};
pub use field::{FieldValue, Shown};
pub use hub::{Emitted, Events};
pub use kinds::Kind;
pub(crate) use macros::emit;
pub use pattern::{Pattern, PatternError};
pub use stream::EventStream;
pub use subscription::Subscription;
pub use trace_context::{TraceContext, TraceContextError};
pub use trace_state::TraceState;

/// The prefix of every event's full name, as handlers and other systems see it:
/// `snakepit.worker.recycled`.
pub const PREFIX: &str = "snakepit.";

/// Target of all events in `tracing`.
pub const TARGET: &str = "snakepit::events";

/// One row of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventInfo {
    /// Name without [`PREFIX`], for example `worker.recycled`.
    pub name: &'static str,
    /// Level in `tracing`.
    pub level: tracing::Level,
    /// Meaning.
    pub doc: &'static str,
    /// The fields.
    pub fields: &'static [FieldInfo],
}

/// One field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldInfo {
    /// Name.
    pub name: &'static str,
    /// Meaning, with its unit.
    pub doc: &'static str,
}

#[cfg(test)]
mod tests;
