//! Sockets, tokens, limits and the end of a server.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::sync::atomic::Ordering;
use std::time::Duration;

use snakepit_core::host_tools::HostStateConfig;
use snakepit_grpc::pb;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::service::{Address, ServeError, ServeOptions, Serving, Token};
use tokio::io::AsyncReadExt;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::client::{
    Bearer, Served, channel, connect, loopback, open, served, served_with, tool_call,
};
use super::host;

const LONG: Duration = Duration::from_secs(60);

pub(super) async fn tcp(options: &ServeOptions) -> (Serving, Token) {
    let (server, ..) = host::server(HostStateConfig::new());
    let token = Token::generate().unwrap();
    let serving = server
        .serve_tcp(loopback(), token.clone(), options)
        .await
        .unwrap();
    (serving, token)
}

pub(super) fn ping() -> pb::PingRequest {
    pb::PingRequest::default()
}

#[tokio::test]
async fn tcp_needs_the_token() {
    let (serving, token) = tcp(&ServeOptions::new()).await;
    let mut good = connect(serving.address(), Some(&token)).await;
    good.ping(ping()).await.unwrap();
    open(&mut good, "s").await;
    let channel = channel(serving.address()).await;
    let wrong = "0".repeat(64);
    for token in [
        None,
        Some(String::new()),
        Some(wrong),
        Some(format!("{} ", token.secret())),
    ] {
        let mut bad = BridgeServiceClient::with_interceptor(channel.clone(), Bearer(token));
        assert_eq!(
            bad.ping(ping()).await.unwrap_err().code(),
            Code::Unauthenticated
        );
        let request = tool_call("s", "echo", &[]);
        let status = bad.execute_streaming_tool(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let mut health = HealthClient::new(channel);
    let status = health
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(serving.stop(LONG).await);
}

#[tokio::test]
async fn strangers_do_not_keep_a_connection() {
    let mut options = ServeOptions::new();
    options.max_connections = 2;
    options.patience = Duration::from_millis(50);
    let (serving, token) = tcp(&options).await;
    let Address::Tcp(address) = *serving.address() else {
        panic!("it is a TCP port")
    };
    let mut client = connect(serving.address(), Some(&token)).await;
    // This client must not exceed the time limit itself.
    while client.ping(ping()).await.is_err() {}
    open(&mut client, "s").await;
    let request = pb::WatchVariablesRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    let mut watch = client.watch_variables(request).await.unwrap().into_inner();
    for _ in 0..3 {
        let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut received = Vec::new();
        let _ = silent.read_to_end(&mut received).await;
    }
    // The client's connection has been open for longer than the time limit.
    let variable = pb::RegisterVariableRequest {
        session_id: "s".into(),
        name: "v".into(),
        r#type: "integer".into(),
        value: super::variables::json("1"),
        ..Default::default()
    };
    client.register_variable(variable).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().name, "v");
}

#[tokio::test]
async fn no_number_of_strangers_keeps_a_client_out() {
    let mut options = ServeOptions::new();
    options.max_connections = 4;
    // These connections may stay longer than the test waits.
    options.patience = Duration::from_secs(3600);
    let (serving, token) = tcp(&options).await;
    let Address::Tcp(address) = *serving.address() else {
        panic!("it is a TCP port")
    };
    let mut first = connect(serving.address(), Some(&token)).await;
    first.ping(ping()).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let late = async {
        let mut late = connect(serving.address(), Some(&token)).await;
        late.ping(ping()).await.unwrap();
    };
    tokio::time::timeout(LONG, late).await.unwrap();
    // The oldest connection was closed, and none that had made a valid request.
    let mut received = Vec::new();
    let _ = silent[0].read_to_end(&mut received).await;
    first.ping(ping()).await.unwrap();
}

#[tokio::test]
async fn only_loopback_is_served_over_tcp() {
    let (server, ..) = host::server(HostStateConfig::new());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:0.0.0.0]:0"] {
        let token = Token::generate().unwrap();
        let options = ServeOptions::new();
        let served = server.serve_tcp(address.parse().unwrap(), token, &options);
        assert!(
            matches!(served.await, Err(ServeError::NotLoopback(_))),
            "{address}"
        );
    }
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_server() {
    let host = served().await;
    let Address::Unix(path) = host.serving.address().clone() else {
        panic!("it is a Unix socket")
    };
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

    let (other, ..) = host::server(HostStateConfig::new());
    let again = other.serve_unix(&path, &ServeOptions::new()).await;
    assert!(matches!(again, Err(ServeError::InUse(_))), "{again:?}");
    let mut client = host.client.clone();
    client.ping(ping()).await.unwrap();
    drop(client);
    drop(host.client);
    assert!(host.serving.stop(LONG).await);
    assert!(!path.exists());

    // The socket that a killed server leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let serving = other.serve_unix(&path, &ServeOptions::new()).await.unwrap();
    connect(serving.address(), None)
        .await
        .ping(ping())
        .await
        .unwrap();
    drop(serving);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_place_that_others_can_reach_is_refused() {
    let (server, ..) = host::server(HostStateConfig::new());
    let directory = tempfile::tempdir().unwrap();
    let options = ServeOptions::new();
    let open = directory.path().join("open");
    fs::DirBuilder::new().mode(0o755).create(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path(), &link).unwrap();
    for place in [open, link] {
        let result = server.serve_unix(place.join("sock"), &options).await;
        assert!(
            matches!(result, Err(ServeError::Directory { .. })),
            "{result:?}"
        );
    }
    let private = directory.path().join("private");
    fs::DirBuilder::new().mode(0o700).create(&private).unwrap();
    let file = private.join("file");
    fs::write(&file, "precious").unwrap();
    let result = server.serve_unix(&file, &options).await;
    assert!(
        matches!(result, Err(ServeError::NotASocket(_))),
        "{result:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    for bad in [
        private.join("x".repeat(200)),
        directory.path().join("no/such/sock"),
    ] {
        let result = server.serve_unix(&bad, &options).await;
        assert!(matches!(result, Err(ServeError::Bind { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn messages_are_limited_both_ways() {
    let mut options = ServeOptions::new();
    options.max_message = 64 << 10;
    let mut host = served_with(HostStateConfig::new(), &options).await;
    let large = format!("\"{}\"", "x".repeat(80 << 10));
    let status = host
        .client
        .execute_tool(tool_call("", "echo", &[("x", &large)]))
        .await;
    assert!(status.unwrap_err().message().contains("too large"));
    // The result is larger than the request.
    let mut request = tool_call("", "echo", &[]);
    request
        .binary_parameters
        .insert("x".into(), vec![0; 60 << 10].into());
    let status = host.client.execute_tool(request).await.unwrap_err();
    assert!(status.message().contains("too large"), "{status}");
    host.client.ping(ping()).await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused() {
    let mut options = ServeOptions::new();
    options.max_requests = 1;
    let mut host = served_with(HostStateConfig::new(), &options).await;
    let request = tool_call("", "endless", &[]);
    let mut stream = host
        .client
        .execute_streaming_tool(request)
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap();
    let status = host.client.ping(ping()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(stream);
    host.signals.dropped.acquire().await.unwrap().forget();
    // The permit is released shortly after the stream.
    while host.client.ping(ping()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let mut host = served().await;
    let mut request = Request::new(tool_call("", "endless", &[]));
    // Set in the header only, so that the client's own timer is not set.
    request
        .metadata_mut()
        .insert("grpc-timeout", "200m".parse().unwrap());
    let status = match host.client.execute_streaming_tool(request).await {
        Ok(answer) => {
            let mut stream = answer.into_inner();
            loop {
                match stream.message().await {
                    Ok(item) => assert!(item.is_some(), "it ends with a status"),
                    Err(status) => break status,
                }
            }
        }
        Err(status) => status,
    };
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    let mut request = Request::new(ping());
    request
        .metadata_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    let status = host.client.ping(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn stopping_lets_calls_end_and_ends_watchers() {
    let host = served().await;
    let Served {
        mut client,
        state,
        signals,
        serving,
        _directory,
    } = host;
    open(&mut client, "s").await;
    let request = pb::WatchVariablesRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    let mut watch = client.watch_variables(request).await.unwrap().into_inner();
    let mut health = HealthClient::new(channel(serving.address()).await);
    let service = "snakepit.bridge.BridgeService".to_owned();
    let check = HealthCheckRequest { service };
    assert_eq!(
        health
            .check(check.clone())
            .await
            .unwrap()
            .into_inner()
            .status,
        1
    );
    let mut statuses = health.watch(check).await.unwrap().into_inner();
    assert_eq!(statuses.message().await.unwrap().unwrap().status, 1);

    let mut caller = client.clone();
    let call =
        caller.stream_elixir_tool(super::client::host_call("", "count_to", &[("n", "100000")]));
    let mut stream = call.await.unwrap().into_inner();
    let stopping = serving.stop(LONG);
    let reading = async {
        let status = watch.message().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let mut chunks = 0;
        while let Some(chunk) = stream.message().await.unwrap() {
            chunks += 1;
            if chunk.is_final {
                break;
            }
        }
        assert_eq!(chunks, 100_001);
        drop(stream);
    };
    let (ended, ()) = tokio::join!(stopping, reading);
    assert!(ended);
    assert!(client.ping(ping()).await.is_err());
    drop((state, signals));
}

#[tokio::test]
async fn the_health_of_the_service_is_that_of_the_pools() {
    let host = served().await;
    let mut health = HealthClient::new(channel(host.serving.address()).await);
    for service in ["", "snakepit.bridge.BridgeService"] {
        let check = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut statuses = health.watch(check).await.unwrap().into_inner();
        assert_eq!(statuses.message().await.unwrap().unwrap().status, 1);
        for (ready, expected) in [(false, 2), (true, 1)] {
            host.signals.ready.store(ready, Ordering::Relaxed);
            let status = statuses.message().await.unwrap().unwrap().status;
            assert_eq!(status, expected, "{service:?}");
        }
    }
    assert!(host.serving.stop(LONG).await);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_ended() {
    let mut host = served().await;
    let request = tool_call("", "endless", &[]);
    let mut stream = host
        .client
        .execute_streaming_tool(request)
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap();
    assert!(!host.serving.stop(Duration::ZERO).await);
    host.signals.dropped.acquire().await.unwrap().forget();
    assert!(stream.message().await.is_err());
}
