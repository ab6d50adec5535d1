//! Values: MessagePack into Python objects, and back.

pub(crate) mod array;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod frames;
pub(crate) mod kinds;
pub(crate) mod msgpack;
pub(crate) mod packed;
pub(crate) mod raw;
