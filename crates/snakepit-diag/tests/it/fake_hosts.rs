//! Hosts of the same user that answer with anything: a client ends with an error, within bounds.

use std::convert::Infallible;
use std::fs;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use snakepit_core::error::ErrorCode;
use snakepit_diag::{AdminError, Client, Profiled};
use tokio::net::UnixListener;

use crate::support::Host;

/// Serves one connection on which each request is answered with the messages for its method, or
/// never if there are none.
pub(crate) async fn serve_as(listener: UnixListener, answers: impl Fn(&str) -> Vec<Vec<u8>>) {
    let answer = |request: hyper::Request<Incoming>| {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let messages = answers(method);
        let silent = messages.is_empty();
        let messages = messages.into_iter().map(|message| {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            Frame::data(Bytes::from([&[0], &length[..], &message].concat()))
        });
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(0))]);
        let frames: Vec<_> = messages.chain([Frame::trailers(trailers)]).collect();
        let body = futures_util::stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        let mut response = hyper::Response::new(StreamBody::new(body));
        let kind = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        async move {
            if silent {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(response)
        }
    };
    let (stream, _) = listener.accept().await.unwrap();
    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The client disconnects when it has seen enough.
    let _ = http
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer))
        .await;
}

/// Encodes a message whose only field, of number 1, has these bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![0x0a];
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
    message
}

/// Runs a request against a host that answers it with these messages.
async fn asked<T>(
    host: &Host,
    messages: Vec<Vec<u8>>,
    ask: impl AsyncFnOnce(Client) -> Result<T, AdminError>,
) -> Result<T, AdminError> {
    // It may be gone already.
    let _ = fs::remove_file(host.registry.socket_dir().join("admin"));
    let listener = UnixListener::bind(host.registry.socket_dir().join("admin")).unwrap();
    let served = serve_as(listener, |method| match method {
        "Host" => vec![vec![0x08, 1]],
        _ => messages.clone(),
    });
    let asking = async { ask(Client::connect(&host.found()).await.unwrap()).await };
    let (answer, ()) = tokio::join!(asking, served);
    answer
}

#[tokio::test]
async fn reports_that_are_none_are_errors_within_bounds() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    let objects = format!(r#"{{"pools":[{}]}}"#, vec!["{}"; 1_000_000].join(","));
    for (bytes, code) in [
        (field(b"nothing"), ErrorCode::Protocol),
        (field(&[0xff, 0xfe]), ErrorCode::Protocol),
        (field(&b"[".repeat(1 << 20)), ErrorCode::Protocol),
        (field(b"7"), ErrorCode::Protocol),
        (field(objects.as_bytes()), ErrorCode::Protocol),
        (vec![0x0a, 0xff], ErrorCode::AdminFailed),
        (vec![0xff; 100], ErrorCode::AdminFailed),
        (field(&vec![b' '; 65 << 20]), ErrorCode::AdminFailed),
    ] {
        let look = asked(&host, vec![bytes.clone()], async |mut client| {
            client.look().await
        });
        let error = look.await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let profile = asked(&host, vec![bytes.clone()], async |mut client| {
            client.profile(&Profiled::default()).await
        });
        let error = profile.await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    host.call("echo").await.unwrap();
}

#[tokio::test]
async fn a_host_that_sends_more_than_was_asked_for_is_not_read_further() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    let many = vec![field(b"main"); 10_000];
    let stacks = asked(&host, many.clone(), async |mut client| {
        let stacks = client.stacks(None, Some("main-1"), Duration::ZERO).await?;
        stacks.try_collect::<Vec<_>>().await
    });
    assert_eq!(stacks.await.unwrap().len(), 1);
    let numbers = vec![vec![0x08, 1]; 10_000];
    let lines = asked(&host, numbers, async |mut client| {
        let lines = client.logs(None, None, 7, false).await?;
        lines.try_collect::<Vec<_>>().await
    });
    assert_eq!(lines.await.unwrap().len(), 7);
    // Frames of two bytes that would take 100 in memory.
    let thread = [
        &[0x22, 0x80, 0x80, 0x80, 0x04][..],
        &[0x1a, 0].repeat(4 << 20),
    ]
    .concat();
    let failed = asked(&host, vec![thread], async |mut client| {
        let stacks = client.stacks(None, None, Duration::ZERO).await?;
        let mut stacks = std::pin::pin!(stacks);
        stacks.next().await.unwrap()
    });
    let error = failed.await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AdminFailed, "{error}");
}

#[tokio::test]
async fn a_host_that_stops_answering_is_reported_after_a_while() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    type Asked<'a> = futures_util::future::BoxFuture<'a, Result<(), AdminError>>;
    let requests: [fn(&mut Client) -> Asked<'_>; 6] = [
        |client| Box::pin(async { client.report().await.map(drop) }),
        |client| Box::pin(async { client.stacks(None, None, Duration::ZERO).await.map(drop) }),
        |client| Box::pin(async { client.events("*", 0, true).await.map(drop) }),
        |client| Box::pin(async { client.logs(None, None, 1, true).await.map(drop) }),
        |client| Box::pin(async { client.drain("main-1").await }),
        |client| Box::pin(async { client.cancel_call(1).await }),
    ];
    for request in requests {
        let failed = asked(&host, Vec::new(), async |client| {
            let mut client = client.allow_actions(true);
            tokio::time::pause();
            let failed = request(&mut client).await;
            tokio::time::resume();
            failed
        });
        let error = failed.await.unwrap_err();
        assert!(
            matches!(error, AdminError::Silent { seconds: 10, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn damaged_requests_are_refused_and_the_host_goes_on() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let host = Host::start(1).await;
    let socket = host.registry.socket_dir().join("admin");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut junk = 0x9e37_79b9_u32;
    for round in 0..50 {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let bytes = std::iter::repeat_with(|| {
            junk = junk.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (junk >> 24) as u8
        });
        let bytes: Vec<u8> = bytes.take(2000).collect();
        let start: &[u8] = if round % 2 == 0 { preface } else { b"" };
        // The host may close it in the middle.
        let _ = stream.write_all(&[start, &bytes].concat()).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    let mut client = host.client().await;
    client.report().await.unwrap();
    host.call("echo").await.unwrap();
}
