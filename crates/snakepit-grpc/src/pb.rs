//! The generated messages of `proto/snakepit_bridge.proto`. All code uses them through this module.

#[expect(
    missing_docs,
    clippy::use_self,
    reason = "generated; the proto file documents the messages"
)]
#[cfg_attr(
    feature = "service",
    expect(clippy::allow_attributes, reason = "tonic's generator writes them")
)]
mod generated {
    include!("generated/snakepit.bridge.rs");
}

pub use generated::*;
