//! The connection that makes a request.

use std::sync::Arc;

use snakepit_core::state::Origin;
use tonic::Request;

/// One connection, by the name that changes made through it carry.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) Arc<str>);

/// Returns the origin of the changes that a request makes.
pub(super) fn origin<T>(request: &Request<T>) -> Origin {
    let peer = request.extensions().get::<Peer>();
    Origin::Peer(peer.map_or_else(|| Arc::from("client"), |peer| Arc::clone(&peer.0)))
}
