//! The host's end of a link: one client per connection.
//!
//! The task that makes a call writes it straight to the socket. One task per connection reads and
//! completes the waiting calls. A second task finishes the frames that the socket does not take at
//! once, so a dropped call never leaves a partial frame behind.
//!
//! While a tool runs, it may send requests to the host on the same connection; `HostRequests`
//! answers them.

mod batches;
mod calls;
mod cancel_reports;
mod chunks;
mod client;
mod control;
mod ending;
mod gathered;
mod handling;
mod head;
mod many;
mod mask;
mod outbox;
mod parser;
mod parts;
mod pending;
mod pings;
mod profile_data;
mod profiles;
mod reader;
mod recalls;
mod request;
mod room;
mod serving;
mod source;
pub(crate) mod spans;
mod stacks;

pub use client::{DescribeError, LinkClient, PendingReply};
pub use control::ControlClient;
pub use ending::LinkEnd;
pub use many::{decode_items, decode_results, encode_items};
pub use mask::Mask;
pub use parser::{Parsed, Parser, ProtocolError};
pub use request::{HostOp, HostRequest, HostRequests};
pub use source::Source;
