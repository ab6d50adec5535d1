//! The worker's end of a link.

use snakepit_core::call::Request;
use snakepit_core::value::Payload;
use snakepit_grpc::frame::{HEADER_LEN, Header, Kind};
use snakepit_grpc::link::LinkClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Payload limit of the clients in these tests.
pub(crate) const LIMIT: usize = 100_000;

/// Returns a client and the worker at its other end.
pub(crate) fn pair() -> (LinkClient, Peer) {
    let (host, worker) = UnixStream::pair().unwrap();
    (LinkClient::new(host, LIMIT), Peer(worker))
}

pub(crate) fn request(args: impl Into<Vec<u8>>) -> Request {
    Request::new("tool", Payload::from_msgpack(args.into()))
}

/// Encodes one frame.
pub(crate) fn frame(kind: Kind, call: u64, flags: u8, head: &[u8], body: &[u8]) -> Vec<u8> {
    let header = Header {
        flags,
        head_len: head.len() as u32,
        body_len: body.len() as u64,
        ..Header::new(kind, call)
    };
    [&header.encode()[..], head, body].concat()
}

pub(crate) struct Peer(pub(crate) UnixStream);

impl Peer {
    /// Receives the next frame. `None` at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<(Header, Vec<u8>, Vec<u8>)> {
        let mut header = [0; HEADER_LEN];
        self.0.read_exact(&mut header).await.ok()?;
        let header = Header::decode(&header).unwrap();
        let mut head = vec![0; header.head_len as usize];
        self.0.read_exact(&mut head).await.ok()?;
        let mut body = vec![0; header.body_len as usize];
        self.0.read_exact(&mut body).await.ok()?;
        Some((header, head, body))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn reply(&mut self, call: u64, body: &[u8]) {
        self.send(&frame(Kind::Reply, call, 0, b"", body)).await;
    }
}
