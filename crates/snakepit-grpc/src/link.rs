//! The host's end of a link: one client per connection.
//!
//! A call is written by the task that makes it, straight to the socket; one task per connection
//! reads and completes whoever waits. A frame that the socket does not take at once is finished
//! by a second task, so that dropping a call never leaves half a frame behind.
//!
//! While a tool runs it may ask the host for something on the same connection: `HostRequests`
//! answers.

mod asked;
mod batches;
mod calls;
mod chunks;
mod client;
mod control;
mod dumps;
mod ending;
mod handling;
mod head;
mod many;
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
mod spans;
mod stops;

pub use asked::Asked;
pub use client::{DescribeError, LinkClient};
pub use control::ControlClient;
pub use many::{decode_items, decode_results, encode_items};
pub use parser::{Parsed, Parser, ProtocolError};
pub use request::{HostOp, HostRequest, HostRequests};
pub use source::Source;
