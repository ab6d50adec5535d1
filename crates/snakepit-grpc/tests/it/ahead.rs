//! Calls that wait in a connection behind another one.

use prost::Message as _;
use snakepit_core::id::{CallId, Slot};
use snakepit_core::worker::CallError;
use snakepit_grpc::frame::Kind;
use snakepit_grpc::link::{ControlClient, LinkClient};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::peer::{Peer, frame, pair, request};

/// Returns `true` if a call may have been begun when its connection ended.
fn ambiguous(result: &Result<snakepit_core::value::Payload, CallError>) -> bool {
    let Err(CallError::Died { ambiguous, .. }) = result else {
        panic!("{result:?}")
    };
    *ambiguous
}

/// Makes three calls. The worker answers the first `answered` of them, sends `last` and closes.
/// Returns for each remaining call whether it may have been begun.
async fn three(client: LinkClient, mut peer: Peer, answered: usize, last: &[u8]) -> Vec<bool> {
    let calls = [request("1"), request("2"), request("3")];
    let worker = async {
        let mut came = Vec::new();
        for _ in &calls {
            came.push(peer.receive().await.unwrap().0.call);
        }
        for call in &came[..answered] {
            peer.reply(*call, b"done").await;
        }
        peer.send(last).await;
        drop(peer);
    };
    let (one, two, three, ()) = tokio::join!(
        client.call(&calls[0]),
        client.call(&calls[1]),
        client.call(&calls[2]),
        worker
    );
    let all = [one, two, three];
    assert!(all[..answered].iter().all(Result::is_ok));
    all[answered..].iter().map(ambiguous).collect()
}

#[tokio::test]
async fn only_the_first_call_without_an_answer_can_have_been_begun() {
    for (answered, expected) in [
        (0, &[true, false, false][..]),
        (1, &[true, false][..]),
        (2, &[true][..]),
    ] {
        let (client, peer) = pair();
        assert_eq!(three(client, peer, answered, b"").await, expected);
        // Half an answer belongs to the first unanswered call.
        let (client, peer) = pair();
        let half = &frame(Kind::Reply, 1, 0, b"", b"body")[..26];
        assert_eq!(three(client, peer, answered, half).await, expected);
    }
}

#[tokio::test]
async fn what_is_not_understood_proves_nothing() {
    let (client, peer) = pair();
    assert_eq!(three(client, peer, 1, &[b'x'; 30]).await, [true, true]);
    // A multiplexed connection has no order.
    let (client, peer) = pair();
    let shared = three(client.shared(), peer, 1, b"").await;
    assert_eq!(shared, [true, true]);
}

#[tokio::test]
async fn a_call_is_taken_back_and_ends() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut far) = (ControlClient::new(host), Peer(worker));
    let (client, mut peer) = pair();
    let calls = [request("1"), request("2"), request("3")];
    let worker = async {
        for _ in &calls {
            peer.receive().await.unwrap();
        }
        for back in [true, false] {
            let (header, head, _) = far.receive().await.unwrap();
            assert_eq!(header.kind, Kind::Recall);
            assert_eq!(pb::Recall::decode(&head[..]).unwrap().slot, 3);
            let head = pb::Recalled { back }.encode_to_vec();
            far.send(&frame(Kind::Recalled, header.call, 0, &head, b""))
                .await;
        }
        peer.reply(calls[0].call.0, b"one").await;
        peer.reply(calls[2].call.0, b"three").await;
    };
    let middle = async {
        let mut call = Box::pin(client.call(&calls[1]));
        assert!(futures_util::poll!(&mut call).is_pending());
        assert!(control.recall(Slot(3), calls[1].call).await);
        client.end_recalled(calls[1].call);
        assert!(matches!(call.await, Err(CallError::NotBegun)));
        assert!(!control.recall(Slot(3), calls[2].call).await);
    };
    let (one, (), three, ()) = tokio::join!(
        client.call(&calls[0]),
        middle,
        client.call(&calls[2]),
        worker
    );
    assert_eq!(one.unwrap().bytes.as_ref(), b"one");
    assert_eq!(three.unwrap().bytes.as_ref(), b"three");
    assert!(client.calls().is_empty());
}

#[tokio::test]
async fn a_worker_that_is_gone_gives_nothing_back() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut far) = (ControlClient::new(host), Peer(worker));
    let gone = async {
        far.receive().await.unwrap();
        drop(far);
    };
    let (back, ()) = tokio::join!(control.recall(Slot(0), CallId(7)), gone);
    assert!(!back);
    assert!(!control.recall(Slot(0), CallId(7)).await);
}
