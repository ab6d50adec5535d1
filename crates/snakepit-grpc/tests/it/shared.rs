//! Concurrent calls on one multiplexed connection.

use futures_util::StreamExt as _;
use prost::Message as _;
use snakepit_grpc::frame::{HEADER_LEN, Kind, STREAM_WINDOW};
use snakepit_grpc::link::{LinkClient, LinkEnd};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::peer::{LIMIT, Peer, frame, request};

fn pair() -> (LinkClient, Peer) {
    let (host, worker) = UnixStream::pair().unwrap();
    (LinkClient::new(host, LIMIT).shared(), Peer(worker))
}

/// Receives a `MORE` frame. Returns its call and the number of bytes that it allows.
async fn more(peer: &mut Peer) -> (u64, u64) {
    let (header, head, _) = peer.receive().await.unwrap();
    assert_eq!(header.kind, Kind::More);
    (header.call, pb::More::decode(&head[..]).unwrap().bytes)
}

#[tokio::test]
async fn a_thousand_calls_get_their_own_answers_in_any_order() {
    let (client, mut peer) = pair();
    let requests: Vec<_> = (0..1000).map(|_| request("")).collect();
    let calls = requests.iter().map(|request| client.call(request));
    let host = futures_util::future::join_all(calls);
    let worker = async {
        let mut calls = Vec::new();
        for _ in 0..1000 {
            calls.push(peer.receive().await.unwrap().0.call);
        }
        for call in calls.into_iter().rev() {
            peer.reply(call, &call.to_le_bytes()).await;
        }
    };
    let (answers, ()) = tokio::join!(host, worker);
    for (request, answer) in requests.iter().zip(answers) {
        assert_eq!(answer.unwrap().bytes.as_ref(), request.call.0.to_le_bytes());
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other_call() {
    let (client, mut peer) = pair();
    let mut stream = client.stream(&request("")).unwrap();
    let call = peer.receive().await.unwrap().0.call;
    let cost = HEADER_LEN as u64 + 1;
    let allowed = STREAM_WINDOW.div_ceil(cost);
    let chunk = frame(Kind::Chunk, call, 0, b"", b"x");
    for _ in 0..allowed {
        peer.send(&chunk).await;
    }
    let other = request("");
    let (answer, ()) = tokio::join!(client.call(&other), async {
        let id = peer.receive().await.unwrap().0.call;
        peer.reply(id, b"ok").await;
    });
    assert_eq!(answer.unwrap().bytes.as_ref(), b"ok");

    // Consumed bytes are allowed again, and no more than those.
    for _ in 0..allowed {
        stream.next().await.unwrap().unwrap();
    }
    let (id, bytes) = more(&mut peer).await;
    assert_eq!(id, call);
    assert!(
        (STREAM_WINDOW / 2..=allowed * cost).contains(&bytes),
        "{bytes}"
    );
    peer.send(&frame(Kind::End, call, 0, b"", b"")).await;
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_dropped_stream_does_not_wait_for_its_consumer() {
    let (client, mut peer) = pair();
    let stream = client.stream(&request("")).unwrap();
    let call = peer.receive().await.unwrap().0.call;
    drop(stream);
    assert_eq!(more(&mut peer).await, (call, u64::MAX));
}

#[tokio::test]
async fn a_stream_that_sends_more_than_it_may_ends_the_connection() {
    for size in [1, 60_000] {
        let (client, mut peer) = pair();
        let mut stream = client.stream(&request("")).unwrap();
        let call = peer.receive().await.unwrap().0.call;
        let cost = HEADER_LEN as u64 + size as u64;
        let chunk = frame(Kind::Chunk, call, 0, b"", &vec![0; size]);
        for _ in 0..STREAM_WINDOW.div_ceil(cost) {
            peer.send(&chunk).await;
        }
        // One chunk beyond the window.
        peer.send(&chunk).await;
        drop(peer);
        let LinkEnd::ProtocolBroken(reason) = client.ended().await else {
            panic!("the protocol is broken");
        };
        assert!(
            reason.contains("beyond what its consumer has taken"),
            "{reason}"
        );
        // The chunks within the window are still valid.
        for _ in 0..STREAM_WINDOW.div_ceil(cost) {
            stream.next().await.unwrap().unwrap();
        }
        assert!(stream.next().await.unwrap().is_err());
    }
}
