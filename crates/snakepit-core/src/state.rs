//! State of callers that outlives workers: sessions, with variables, programs and the changes of
//! variables.

mod change;
mod session;
mod variable;

pub use change::{
    Change, ChangeBatch, ChangeKind, ChangeStream, Origin, WatchFilter, WatchFrom, WatchItem,
};
pub use session::{
    MetadataUpdate, Quota, Session, SessionConfig, SessionCursor, SessionEnd, SessionHold,
    SessionInfo, SessionOptions, SessionPage, SessionStats, Sessions, StateError,
};
pub use variable::{Constraints, NewVariable, SetVariable, Variable, VariableError, VariableType};
