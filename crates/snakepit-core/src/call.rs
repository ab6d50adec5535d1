//! One call: what is sent, how it is to be treated, and the calls in which it is nested.

mod chain;
mod observer;
mod options;
mod request;

pub use chain::CallChain;
pub(crate) use chain::PoolMark;
pub use observer::{CallObserver, EndedCall, SentCall};
pub use options::CallOptions;
pub use request::Request;
