#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod code;
pub mod config;
pub mod id;
pub mod printable;
pub mod runtime;

pub mod events;
pub mod value;

mod schedule;
pub mod state;

pub mod call;
pub mod error;

pub mod host_tools;
pub mod worker;

pub mod policy;
pub mod pool;
pub mod service;
#[cfg(feature = "testing")]
pub mod testing;
