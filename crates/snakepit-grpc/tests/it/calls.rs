//! Calls, sizes, broken peers and lost connections.

use prost::Message as _;
use snakepit_core::error::{Direction, ErrorCode};
use snakepit_core::worker::CallError;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::link::{DescribeError, LinkClient};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::peer::{LIMIT, Peer, frame, pair, request};

#[tokio::test]
async fn a_call_carries_its_head_and_body() {
    let (client, mut peer) = pair();
    for size in [0, 3, 5000, LIMIT] {
        let call = request(vec![9; size]);
        let worker = async {
            let (header, head, body) = peer.receive().await.unwrap();
            let head = pb::ExecuteToolRequest::decode(&head[..]).unwrap();
            assert_eq!(
                (header.kind, header.call, body.len()),
                (Kind::Call, call.call.0, size)
            );
            assert_eq!(
                (head.tool_name.as_str(), head.call_id),
                ("tool", call.call.0)
            );
            peer.reply(header.call, &body).await;
        };
        let (result, ()) = tokio::join!(client.call(&call), worker);
        assert_eq!(result.unwrap(), call.args);
    }
}

#[tokio::test]
async fn a_large_call_gets_through_to_a_slow_reader() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (client, mut peer) = (LinkClient::new(host, 64 << 20), Peer(worker));
    let call = request(vec![7; 16 << 20]);
    let worker = async {
        let (header, _, body) = peer.receive().await.unwrap();
        peer.reply(header.call, &body).await;
    };
    let (result, ()) = tokio::join!(client.call(&call), worker);
    assert_eq!(result.unwrap(), call.args);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_connection_in_order() {
    let (client, mut peer) = pair();
    // More than a socket buffer takes, so the frame is half written when its call is dropped.
    let large = request(vec![1; LIMIT]);
    let more = [
        request(vec![2; LIMIT]),
        request(vec![3; LIMIT]),
        request(vec![4; LIMIT]),
    ];
    for call in std::iter::once(&large).chain(&more) {
        tokio::select! {
            biased;
            result = client.call(call) => panic!("nobody answers: {result:?}"),
            () = std::future::ready(()) => {}
        }
    }
    let worker = async {
        for value in 1..=4 {
            let (header, _, body) = peer.receive().await.unwrap();
            assert!(body.len() == LIMIT && body.iter().all(|byte| *byte == value));
            peer.reply(header.call, b"late").await;
        }
        let (header, ..) = peer.receive().await.unwrap();
        peer.reply(header.call, b"right").await;
    };
    let last = request("x");
    let (result, ()) = tokio::join!(client.call(&last), worker);
    assert_eq!(result.unwrap().bytes.as_ref(), b"right");
}

#[tokio::test]
async fn several_calls_may_be_answered_in_any_order() {
    let (client, mut peer) = pair();
    let (first, second) = (request("1"), request("2"));
    let worker = async {
        let (one, ..) = peer.receive().await.unwrap();
        let (two, ..) = peer.receive().await.unwrap();
        peer.reply(two.call, b"two").await;
        peer.reply(one.call, b"one").await;
    };
    let (one, two, ()) = tokio::join!(client.call(&first), client.call(&second), worker);
    assert_eq!(one.unwrap().bytes.as_ref(), b"one");
    assert_eq!(two.unwrap().bytes.as_ref(), b"two");
}

#[tokio::test]
async fn errors_of_the_tool_come_back() {
    let (client, mut peer) = pair();
    let error = pb::ToolError {
        code: "SP2003".into(),
        message: "bad".into(),
        ..Default::default()
    };
    let call = request("");
    let worker = async {
        let (header, ..) = peer.receive().await.unwrap();
        peer.send(&frame(
            Kind::Error,
            header.call,
            0,
            &error.encode_to_vec(),
            b"",
        ))
        .await;
    };
    let (result, ()) = tokio::join!(client.call(&call), worker);
    let Err(CallError::Tool(error)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::WrongArgument, "bad")
    );
}

#[tokio::test]
async fn payloads_over_the_limit_leave_the_connection_alive() {
    let (client, mut peer) = pair();
    let error = client.call(&request(vec![0; LIMIT + 1])).await.unwrap_err();
    let CallError::TooLarge {
        direction, size, ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((direction, size), (Direction::Request, LIMIT as u64 + 1));

    let call = request("");
    let worker = async {
        let (header, ..) = peer.receive().await.unwrap();
        peer.reply(header.call, &vec![0; LIMIT * 5]).await;
        let (header, ..) = peer.receive().await.unwrap();
        peer.reply(header.call, b"fine").await;
    };
    let host = async {
        let error = client.call(&call).await.unwrap_err();
        let CallError::TooLarge {
            direction,
            size,
            limit,
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!((direction, size), (Direction::Reply, LIMIT as u64 * 5));
        assert_eq!(limit, LIMIT as u64);
        client.call(&request("")).await.unwrap()
    };
    let (result, ()) = tokio::join!(host, worker);
    assert_eq!(result.bytes.as_ref(), b"fine");
}

/// Builds the answer to a call of this number.
type Answer = fn(u64) -> Vec<u8>;

/// Returns the errors of a call whose worker sends these bytes and then closes, and of the next
/// call.
async fn answered_with(make: impl FnOnce(u64) -> Vec<u8>) -> (CallError, CallError) {
    let (client, mut peer) = pair();
    let call = request("");
    let worker = async {
        let (header, ..) = peer.receive().await.unwrap();
        peer.send(&make(header.call)).await;
        drop(peer);
    };
    let (first, ()) = tokio::join!(client.call(&call), worker);
    let end = client.ended().await;
    let second = client.call(&request("")).await.unwrap_err();
    assert!(
        second.to_string().contains(&**end.reason()),
        "{second} / {end}"
    );
    (first.unwrap_err(), second)
}

#[tokio::test]
async fn whatever_breaks_the_protocol_fails_the_call() {
    let cases: [(&str, Answer); 8] = [
        ("unknown frame kind 120", |_| vec![b'x'; 30]),
        ("a reserved byte", |call| {
            let mut bytes = frame(Kind::Reply, call, 0, b"", b"");
            bytes[2] = 1;
            bytes
        }),
        ("frame head of", |call| {
            let header = Header {
                head_len: u32::MAX,
                ..Header::new(Kind::Error, call)
            };
            header.encode().to_vec()
        }),
        ("impossible length", |call| {
            let header = Header {
                head_len: 9,
                body_len: u64::MAX,
                ..Header::new(Kind::Reply, call)
            };
            header.encode().to_vec()
        }),
        ("which is not running", |call| {
            frame(Kind::Reply, call + 1000, 0, b"", b"")
        }),
        ("unexpected frame of kind Chunk", |call| {
            frame(Kind::Chunk, call, 0, b"", b"")
        }),
        ("unexpected frame of kind Pong", |call| {
            frame(Kind::Pong, call, 0, b"", b"")
        }),
        ("malformed frame of kind Error", |call| {
            frame(Kind::Error, call, 0, b"\xff\xff", b"")
        }),
    ];
    for (expected, make) in cases {
        let (first, second) = answered_with(make).await;
        assert!(
            first.to_string().contains("broke the protocol"),
            "{expected}: {first}"
        );
        assert!(first.to_string().contains(expected), "{expected}: {first}");
        assert!(matches!(
            first,
            CallError::Died {
                ambiguous: true,
                ..
            }
        ));
        assert!(matches!(
            second,
            CallError::Died {
                ambiguous: false,
                ..
            }
        ));
    }
}

#[tokio::test]
async fn the_end_of_the_connection_at_each_byte_of_a_reply() {
    let whole = frame(Kind::Reply, 0, 0, b"", b"body").len();
    for cut in 0..whole {
        let (error, _) =
            answered_with(move |call| frame(Kind::Reply, call, 0, b"", b"body")[..cut].to_vec())
                .await;
        let expected = if cut == 0 {
            "closed its connection"
        } else {
            "ended within a frame"
        };
        assert!(error.to_string().contains(expected), "{cut}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_is_gone_before_is_not_ambiguous() {
    let (client, peer) = pair();
    drop(peer);
    client.ended().await;
    let error = client.call(&request("")).await.unwrap_err();
    assert!(matches!(
        error,
        CallError::Died {
            ambiguous: false,
            ..
        }
    ));
    assert!(matches!(
        client.describe().await,
        Err(DescribeError::Ended(_))
    ));
    client.shutdown();
}

#[tokio::test]
async fn a_worker_that_is_given_up_fails_its_calls() {
    let (client, mut peer) = pair();
    let request = request("");
    let given_up = async {
        assert!(peer.receive().await.is_some(), "the call is under way");
        client.abandon();
    };
    let (outcome, ()) = tokio::join!(client.call(&request), given_up);
    assert!(matches!(
        outcome,
        Err(CallError::Died {
            ambiguous: true,
            ..
        })
    ));
    client.ended().await;
    assert!(client.call(&request).await.is_err());
}

#[tokio::test]
async fn describe_both_ways() {
    let (client, mut peer) = pair();
    let answer = pb::DescribeResponse {
        runtime: "cpython".into(),
        ..Default::default()
    };
    let worker = async {
        let (header, head, _) = peer.receive().await.unwrap();
        assert_eq!(
            pb::DescribeRequest::decode(&head[..])
                .unwrap()
                .protocol_version,
            1
        );
        peer.send(&frame(
            Kind::Described,
            header.call,
            0,
            &answer.encode_to_vec(),
            b"",
        ))
        .await;
        let (header, ..) = peer.receive().await.unwrap();
        peer.send(&frame(Kind::Error, header.call, 0, b"", b""))
            .await;
    };
    let host = async {
        assert_eq!(client.describe().await.unwrap().runtime, "cpython");
        assert!(matches!(
            client.describe().await,
            Err(DescribeError::Refused(_))
        ));
    };
    tokio::join!(host, worker);
}

#[tokio::test]
async fn a_length_that_nobody_can_mean_ends_the_connection() {
    for (head, body) in [
        (0, u64::MAX),
        (1 << 20, u64::MAX),
        (0, 1 << 63),
        (0, (4 << 30) + 1),
    ] {
        let make = move |call| {
            let header = Header {
                head_len: head,
                body_len: body,
                ..Header::new(Kind::Reply, call)
            };
            header.encode().to_vec()
        };
        let (first, second) = answered_with(make).await;
        for error in [first, second] {
            let CallError::Died { exit, .. } = error else {
                panic!("{error:?}")
            };
            assert!(exit.reason.contains("impossible length"), "{}", exit.reason);
        }
    }
}
