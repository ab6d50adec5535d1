//! The connection that makes a request.

use std::sync::Arc;

use snakepit_core::state::Origin;
use tonic::Request;

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The name that changes made through it carry.
    pub(super) name: Arc<str>,
    /// The process at its other end. `None` if the transport does not report it.
    pub(super) process: Option<u32>,
}

/// Returns the process that makes a request. `None` if the transport does not report it.
pub(super) fn process<T>(request: &Request<T>) -> Option<u32> {
    request.extensions().get::<Peer>()?.process
}

/// Returns the origin of the changes that a request makes.
pub(super) fn origin<T>(request: &Request<T>) -> Origin {
    let peer = request.extensions().get::<Peer>();
    Origin::Peer(peer.map_or_else(|| Arc::from("client"), |peer| Arc::clone(&peer.name)))
}
