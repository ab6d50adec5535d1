//! Hostile workers: a worker in plain Python misbehaves in one way after the other. Whatever it does, its host lives on within 1 GB of
//! memory, every call gets one outcome, and an innocent call on a worker of another pool is answered meanwhile.

mod host;
mod modes;
#[path = "../e2e/support.rs"]
mod support;
