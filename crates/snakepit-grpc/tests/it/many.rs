//! Many calls in one frame.

use prost::Message as _;
use snakepit_core::value::Payload;
use snakepit_core::worker::CallError;
use snakepit_grpc::frame::{FLAG_LAST, Kind};
use snakepit_grpc::link::decode_items;
use snakepit_grpc::pb;

use crate::peer::{LIMIT, frame, pair, request};

#[tokio::test]
async fn many_items_travel_together_and_large_ones_alone() {
    let (client, mut peer) = pair();
    let sizes = [5, LIMIT + 1, LIMIT, 60_000, 60_000, 0];
    let items: Vec<_> = sizes
        .iter()
        .map(|size| Payload::from_msgpack(vec![1; *size]))
        .collect();
    let error = pb::ToolError {
        message: "empty".into(),
        ..Default::default()
    };
    let worker = async {
        let mut kinds = Vec::new();
        while let Some((header, _, body)) = peer.receive().await {
            kinds.push(header.kind);
            if header.kind == Kind::Call {
                peer.reply(header.call, &body).await;
                continue;
            }
            let items = decode_items(&body.into()).unwrap();
            let count = items.len();
            for (index, item) in items.into_iter().enumerate() {
                let (status, bytes) = match item.is_empty() {
                    true => (1, error.encode_to_vec()),
                    false => (0, item.to_vec()),
                };
                let mut body = vec![status];
                body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                body.extend_from_slice(&bytes);
                let flags = if index + 1 == count { FLAG_LAST } else { 0 };
                peer.send(&frame(Kind::ManyReply, header.call, flags, b"", &body))
                    .await;
            }
        }
        kinds
    };
    let call = request("");
    let host = async {
        let results = client.call_many(&call, &items).await;
        drop(client);
        results
    };
    let (results, kinds) = tokio::join!(host, worker);
    assert_eq!(kinds, [Kind::Many, Kind::Call, Kind::Many, Kind::Many]);
    assert_eq!(results.len(), sizes.len());
    for (index, result) in results.iter().enumerate() {
        match index {
            1 => assert!(matches!(result, Err(CallError::TooLarge { .. }))),
            5 => assert!(matches!(result, Err(CallError::Tool(_)))),
            _ => assert_eq!(result.as_ref().unwrap(), &items[index]),
        }
    }
}

#[tokio::test]
async fn wrong_batches_break_the_protocol() {
    let one = [0, 1, 0, 0, 0, 9];
    let two = [one, one].concat();
    let items = [Payload::from_msgpack(vec![1])];
    for (flags, body) in [
        (FLAG_LAST, &[][..]),
        (0, &two),
        (FLAG_LAST, &one[..4]),
        (0, &[7; 9]),
    ] {
        let (client, mut peer) = pair();
        let worker = async {
            let (header, ..) = peer.receive().await.unwrap();
            peer.send(&frame(Kind::ManyReply, header.call, flags, b"", body))
                .await;
        };
        let call = request("");
        let (results, ()) = tokio::join!(client.call_many(&call, &items), worker);
        assert_eq!(results.len(), 1);
        assert!(
            results[0]
                .as_ref()
                .unwrap_err()
                .to_string()
                .contains("malformed")
        );
    }
}

#[tokio::test]
async fn nothing_more_is_sent_of_a_batch_that_is_cancelled() {
    let (client, mut peer) = pair();
    // Each item needs a frame of its own.
    let items: Vec<_> = (0..4)
        .map(|_| Payload::from_msgpack(vec![1; LIMIT - 4]))
        .collect();
    let call = request("");
    let worker = async {
        let (header, _, body) = peer.receive().await.unwrap();
        assert_eq!(header.kind, Kind::Many);
        // The cancellation arrives while the first frame runs.
        client.cancel(call.call);
        let item = &decode_items(&body.into()).unwrap()[0];
        let mut reply = vec![0];
        reply.extend_from_slice(&(item.len() as u32).to_le_bytes());
        reply.extend_from_slice(item);
        let reply = frame(Kind::ManyReply, header.call, FLAG_LAST, b"", &reply);
        peer.send(&reply).await;
        peer.receive().await.map(|(header, ..)| header)
    };
    let results = tokio::select! {
        results = client.call_many(&call, &items) => results,
        further = worker => panic!("a further frame was sent: {further:?}"),
    };
    assert_eq!(results.len(), 4);
    assert!(results[0].is_ok());
    for result in &results[1..] {
        let Err(CallError::Tool(error)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(error.code.as_str(), "SP3002");
    }
    drop(client);
    assert!(peer.receive().await.is_none(), "no further frame was sent");
}

#[tokio::test]
async fn an_error_of_a_whole_batch_is_not_repeated_for_each_item() {
    let (client, mut peer) = pair();
    let items = vec![Payload::default(); 10_000];
    let call = request("");
    let worker = async {
        let (header, ..) = peer.receive().await.unwrap();
        let error = pb::ToolError {
            code: "SP3001".into(),
            message: "ä".repeat(300_000),
            ..Default::default()
        };
        let error = frame(Kind::Error, header.call, 0, &error.encode_to_vec(), b"");
        peer.send(&error).await;
    };
    let (results, ()) = tokio::join!(client.call_many(&call, &items), worker);
    let length = |result: &Result<Payload, CallError>| match result {
        Err(CallError::Tool(error)) => error.message.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(results.len(), items.len());
    assert_eq!(length(&results[0]), 600_000);
    let cut = 256 + "…".len();
    assert!(results[1..].iter().all(|result| length(result) == cut));
}
