//! Calls: from their admission to the end of their tool. Nothing here knows the tasks that look
//! after workers; [`event`](super::event) is what both speak.

mod abandon;
mod admission;
mod arrival;
pub(super) mod attempt;
mod behind;
mod blame;
mod check;
mod early;
mod in_flight;
mod isolate;
pub(super) mod journal;
mod lease;
pub(super) mod limits;
mod many;
mod nested;
mod overdue;
mod permit;
mod reservation;
mod retry;
mod sessions;
mod stacks;
pub(super) mod stream;
mod turn;
mod waiting;
mod withdraw;

pub(super) use check::check;
pub use many::ManyStream;
pub use stream::ReplyStream;
