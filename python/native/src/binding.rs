//! Tools, their parameters, and the arguments of a call.

pub(crate) mod bind;
pub(crate) mod check;
pub(crate) mod describe;
pub(crate) mod fault;
pub(crate) mod mismatch;
pub(crate) mod spec;
pub(crate) mod suggest;
pub(crate) mod tool;
