//! Calls: from their admission to the end of their tool. Nothing here knows the tasks that look
//! after workers; [`event`](super::event) is what both speak.

mod abandon;
mod admission;
mod arrival;
mod attempt;
mod behind;
mod check;
mod early;
mod explain;
mod given_back;
mod hold;
mod isolate;
pub(super) mod journal;
mod lease;
pub(super) mod limits;
mod many;
mod nested;
mod overdue;
mod pass;
mod request;
mod retry;
mod running;
mod sessions;
pub(super) mod stream;
mod suspect;
mod turn;
mod waiting;
mod withdraw;

pub(super) use check::check;
pub use many::ManyStream;
pub use stream::ReplyStream;
