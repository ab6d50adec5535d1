//! The process of a worker: its clock, its memory, its forks, its ties to the host and its end.

pub(crate) mod clock;
pub(crate) mod fork;
pub(crate) mod host;
pub(crate) mod memory;
pub(crate) mod settings;
pub(crate) mod socket;
pub(crate) mod termination;
pub(crate) mod title;
