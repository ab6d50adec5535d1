//! Clients that take all places and do nothing with them: others are served.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use snakepit_core::host_tools::HostStateConfig;
use snakepit_grpc::pb;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::service::{Address, ServeOptions};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use super::client::{connect, details, open, served_with, tool_call};
use super::serve::ping;

/// Longest time that a test waits on a clock that advances when no task can run.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Connects a client that takes little of a stream ahead of its reader.
async fn slow(address: &Address) -> BridgeServiceClient<Channel> {
    let Address::Unix(path) = address.clone() else {
        panic!("it is a Unix socket")
    };
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost").initial_stream_window_size(1 << 12);
    BridgeServiceClient::new(endpoint.connect_with_connector(connector).await.unwrap())
}

async fn numbers(
    client: &mut BridgeServiceClient<Channel>,
    n: &str,
) -> Result<Streaming<pb::ToolChunk>, tonic::Status> {
    let request = tool_call("", "count", &[("n", n)]);
    let answer = client.execute_streaming_tool(request).await;
    answer.map(tonic::Response::into_inner)
}

fn few_places() -> ServeOptions {
    let mut options = ServeOptions::new();
    (options.max_requests, options.max_connections) = (8, 4);
    options
}

#[tokio::test]
async fn streams_that_nobody_reads_leave_others_their_share() {
    let host = served_with(HostStateConfig::new(), &few_places()).await;
    let mut greedy = slow(host.serving.address()).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(numbers(&mut greedy, "1000000").await.unwrap());
    }
    let status = numbers(&mut greedy, "1").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let error = details(&status);
    assert_eq!(error.code, "SP8011");
    assert!(!error.help.is_empty());
    let mut other = connect(host.serving.address(), None).await;
    other.ping(ping()).await.unwrap();
    let request = tool_call("", "endless", &[]);
    let held = other.execute_streaming_tool(request).await.unwrap();
    other.ping(ping()).await.unwrap();
    drop((unread, held));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_whose_client_reads_nothing_and_one_that_is_read_goes_on() {
    let host = served_with(HostStateConfig::new(), &few_places()).await;
    let mut greedy = slow(host.serving.address()).await;
    let mut unread = Vec::new();
    for _ in 0..7 {
        unread.push(numbers(&mut greedy, "1000000").await.unwrap());
    }
    let mut reader = slow(host.serving.address()).await;
    let mut read = numbers(&mut reader, "1000000").await.unwrap();
    // A stream that has nothing to send is no client that does not read.
    let mut idle = connect(host.serving.address(), None).await;
    open(&mut idle, "s").await;
    let watch = pb::WatchVariablesRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    let mut watch = idle.watch_variables(watch).await.unwrap().into_inner();
    for _ in 0..20 {
        sleep(Duration::from_secs(20)).await;
        // More than the window.
        for _ in 0..1000 {
            read.message().await.unwrap().unwrap();
        }
    }
    for mut stream in unread {
        let end = async {
            loop {
                match stream.message().await {
                    Ok(chunk) => assert!(chunk.is_some(), "it ends with a status"),
                    Err(status) => break status,
                }
            }
        };
        let status = timeout(LONG, end).await.expect("the stream has ended");
        assert!(
            matches!(status.code(), Code::Cancelled | Code::Internal),
            "{status}"
        );
    }
    numbers(&mut greedy, "1").await.unwrap();
    let variable = pb::RegisterVariableRequest {
        session_id: "s".into(),
        name: "v".into(),
        r#type: "integer".into(),
        value: super::variables::json("1"),
        ..Default::default()
    };
    idle.register_variable(variable).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().name, "v");
}

#[tokio::test]
async fn idle_clients_make_room_for_others_and_come_back() {
    let host = served_with(HostStateConfig::new(), &few_places()).await;
    let address = host.serving.address();
    let mut busy = host.client.clone();
    let request = tool_call("", "endless", &[]);
    let mut held = busy.execute_streaming_tool(request).await.unwrap();
    held.get_mut().message().await.unwrap().unwrap();
    let mut idle = Vec::new();
    for _ in 0..12 {
        let mut client = connect(address, None).await;
        let asked = timeout(Duration::from_secs(60), client.ping(ping()));
        asked.await.expect("it has a place").unwrap();
        idle.push(client);
    }
    for client in &mut idle {
        let asked = async { while client.ping(ping()).await.is_err() {} };
        timeout(Duration::from_secs(60), asked)
            .await
            .expect("it connects again");
    }
    drop(held);
    host.signals.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn requests_without_an_end_do_not_keep_a_further_client_out() {
    let host = served_with(HostStateConfig::new(), &few_places()).await;
    let address = host.serving.address();
    open(&mut host.client.clone(), "s").await;
    let mut busy = host.client.clone();
    let request = tool_call("", "endless", &[]);
    let mut held = busy.execute_streaming_tool(request).await.unwrap();
    held.get_mut().message().await.unwrap().unwrap();
    let mut crowd = Vec::new();
    for _ in 0..12 {
        let mut client = connect(address, None).await;
        let watch = pb::WatchVariablesRequest {
            session_id: "s".into(),
            ..Default::default()
        };
        let watch = timeout(Duration::from_secs(60), client.watch_variables(watch));
        let watch = watch.await.expect("it has a place").unwrap();
        crowd.push((client, watch.into_inner()));
    }
    let mut further = connect(address, None).await;
    let asked = timeout(Duration::from_secs(60), further.ping(ping()));
    asked.await.expect("it has a place").unwrap();
    // The oldest watch has made room, and no call has.
    let status = crowd[0].1.message().await.unwrap_err();
    assert_ne!(status.code(), Code::Ok, "{status}");
    assert!(host.signals.dropped.try_acquire().is_err());
    drop(held);
    host.signals.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_flood_into_a_stream_that_is_not_served_is_answered_and_read_no_further() {
    let host = served_with(HostStateConfig::new(), &few_places()).await;
    let mut greedy = connect(host.serving.address(), None).await;
    let toggle = pb::TelemetryToggle { enabled: true };
    let control = pb::TelemetryControl {
        control: Some(pb::telemetry_control::Control::Toggle(toggle)),
    };
    // More than there are places.
    for _ in 0..100 {
        let flood = futures_util::stream::repeat(control.clone());
        let status = greedy.stream_telemetry(flood).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
    }
    let mut other = host.client.clone();
    other.ping(ping()).await.unwrap();
    greedy.ping(ping()).await.unwrap();
}
