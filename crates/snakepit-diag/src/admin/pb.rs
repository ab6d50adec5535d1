//! The generated messages and service of `proto/snakepit_admin.proto`, included only here.
#![expect(
    unreachable_pub,
    clippy::allow_attributes,
    reason = "generated; the proto file documents the messages"
)]

include!("../generated/snakepit.admin.v1.rs");
