//! Answers over the limit, and peers that read nothing.

use std::time::Duration;

use snakepit_core::worker::CallError;
use snakepit_grpc::frame::Kind;
use snakepit_grpc::link::LinkClient;
use tokio::net::UnixStream;

use crate::peer::{LIMIT, frame, pair, request};

#[tokio::test]
async fn a_call_is_over_when_its_oversized_answer_has_come_to_its_end() {
    let (client, mut peer) = pair();
    let call = request("");
    let mut running = std::pin::pin!(client.call(&call));
    let header = tokio::select! {
        biased;
        result = &mut running => panic!("nothing was answered: {result:?}"),
        frame = peer.receive() => frame.unwrap().0,
    };
    let bytes = frame(Kind::Reply, header.call, 0, b"", &vec![0; LIMIT + 1]);
    peer.send(&bytes[..bytes.len() - 1]).await;
    // Long enough to notice a host that answers too early.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut running).await;
    assert!(early.is_err(), "the slot was given away: {early:?}");
    assert!(!client.calls().is_empty());
    peer.send(&bytes[bytes.len() - 1..]).await;
    assert!(matches!(running.await, Err(CallError::TooLarge { .. })));
    assert!(client.calls().is_empty());
}

#[tokio::test]
async fn a_connection_is_given_up_also_while_its_peer_reads_nothing() {
    let (host, worker) = UnixStream::pair().unwrap();
    let client = LinkClient::new(host, 8 << 20);
    let call = request(vec![0; 8 << 20]);
    let mut running = std::pin::pin!(client.call(&call));
    let full = std::future::poll_fn(|context| {
        let polled = running.as_mut().poll(context);
        assert!(polled.is_pending(), "{polled:?}");
        std::task::Poll::Ready(())
    });
    full.await;
    // The rest waits for the peer by now.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    client.abandon();
    assert!(matches!(running.await, Err(CallError::Died { .. })));
    drop(worker);
}
