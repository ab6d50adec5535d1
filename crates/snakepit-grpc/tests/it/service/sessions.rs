//! Sessions, heartbeats and descriptions.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use snakepit_core::host_tools::HostStateConfig;
use snakepit_grpc::pb;
use snakepit_grpc::service::ServeOptions;
use tonic::Code;

use super::client::{details, open, served, served_with};

fn initialize(session: &str) -> pb::InitializeSessionRequest {
    pb::InitializeSessionRequest {
        session_id: session.into(),
        ..pb::InitializeSessionRequest::default()
    }
}

#[tokio::test]
async fn ping_is_answered_with_its_message() {
    let mut host = served().await;
    let message = "there".to_owned();
    let answer = host.client.ping(pb::PingRequest { message }).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.message, "pong: there");
    assert!(answer.server_time.is_some());
}

#[tokio::test]
async fn a_session_is_created_once_and_cleaned_up_once() {
    let mut host = served().await;
    let mut request = initialize("s");
    request.metadata = HashMap::from([("k".into(), "v".into())]);
    let answer = host
        .client
        .initialize_session(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.success && answer.available_tools.contains_key("add"));
    assert!(!answer.available_tools.contains_key("hidden"));
    open(&mut host.client, "s").await;
    assert_eq!(host.state.sessions().count(), 1);

    let request = pb::GetSessionRequest {
        session_id: "s".into(),
    };
    let answer = host.client.get_session(request).await.unwrap().into_inner();
    assert_eq!(answer.metadata, HashMap::from([("k".into(), "v".into())]));
    let tools = host.state.tools().list_exposed(None).len();
    assert_eq!(answer.tool_count, i32::try_from(tools).unwrap());
    let created = SystemTime::try_from(answer.created_at.unwrap()).unwrap();
    assert!(
        created <= SystemTime::now() && created > SystemTime::now() - Duration::from_secs(3600)
    );

    let cleanup = || pb::CleanupSessionRequest {
        session_id: "s".into(),
        force: false,
    };
    let answer = host
        .client
        .cleanup_session(cleanup())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.success, answer.resources_cleaned), (true, 1));
    let answer = host
        .client
        .cleanup_session(cleanup())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.success, answer.resources_cleaned), (true, 0));
    assert_eq!(host.state.sessions().count(), 0);
}

#[tokio::test]
async fn a_session_that_does_not_exist_is_told() {
    let mut host = served().await;
    let request = pb::GetSessionRequest {
        session_id: "nobody".into(),
    };
    let status = host.client.get_session(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "Session not found: nobody")
    );
    assert_eq!(details(&status).code, "SP7001");

    let heartbeat = |session: &str| pb::HeartbeatRequest {
        session_id: session.into(),
        client_time: None,
    };
    let answer = host
        .client
        .heartbeat(heartbeat("nobody"))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.session_valid && answer.server_time.is_some());
    open(&mut host.client, "s").await;
    assert!(
        host.client
            .heartbeat(heartbeat("s"))
            .await
            .unwrap()
            .into_inner()
            .session_valid
    );
}

#[tokio::test]
async fn the_quota_counts_for_new_sessions_only() {
    let mut config = HostStateConfig::new();
    config.sessions.max_sessions = 1;
    let mut host = served_with(config, &ServeOptions::new()).await;
    open(&mut host.client, "s").await;
    open(&mut host.client, "s").await;
    let status = host
        .client
        .initialize_session(initialize("t"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(details(&status).code, "SP7006");
    assert!(!details(&status).help.is_empty());
}

#[tokio::test]
async fn a_session_that_cannot_be_is_refused() {
    let mut host = served().await;
    let many = (0..33).map(|n| (n.to_string(), String::new())).collect();
    let with_metadata = pb::InitializeSessionRequest {
        metadata: many,
        ..initialize("s")
    };
    for request in [
        initialize(""),
        initialize(&"x".repeat(100_000)),
        with_metadata,
    ] {
        let status = host.client.initialize_session(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().len() < 2048);
    }
    assert_eq!(host.state.sessions().count(), 0);
}

#[tokio::test]
async fn the_host_describes_itself() {
    let mut host = served().await;
    let request = pb::DescribeRequest {
        protocol_version: 1,
    };
    let answer = host.client.describe(request).await.unwrap().into_inner();
    assert_eq!(
        (answer.runtime.as_str(), answer.pid),
        ("snakepit", std::process::id())
    );
    assert_eq!(answer.tools[0].name, "echo");
    assert!(answer.capabilities.contains(&"execute".to_owned()));
    let controls = futures_util::stream::empty::<pb::TelemetryControl>();
    let status = host.client.stream_telemetry(controls).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
