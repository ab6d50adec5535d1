//! Tokens that are limited to some sessions.

use futures_util::{StreamExt as _, stream};
use snakepit_core::host_tools::HostStateConfig;
use snakepit_core::state::SessionOptions;
use snakepit_grpc::pb;
use snakepit_grpc::service::{Scope, ServeOptions, Token};
use tonic::Code;

use super::client::{connect, host_call, loopback, open, tool_call};
use super::host;

#[tokio::test]
async fn a_token_may_be_for_some_sessions_only() {
    let (server, state, _signals) = host::server(HostStateConfig::new());
    let (all, some) = (Token::generate().unwrap(), Token::generate().unwrap());
    let mut options = ServeOptions::new();
    options.clients = vec![(some.clone(), Scope::sessions(["mine", "ours"]))];
    let serving = server.serve_tcp(loopback(), all.clone(), &options);
    let serving = serving.await.unwrap();
    let mut limited = connect(serving.address(), Some(&some)).await;
    let mut free = connect(serving.address(), Some(&all)).await;
    let secret = SessionOptions::new();
    let other = state.sessions().create("other", secret).unwrap();
    other.put_program("p", "secret".into()).unwrap();
    state.sessions().put_program("p", "secret".into()).unwrap();
    open(&mut limited, "mine").await;
    open(&mut free, "ours").await;
    for (session, allowed) in [
        ("mine", true),
        ("ours", true),
        ("other", false),
        ("", false),
    ] {
        let session_id = session.to_owned();
        let listed = limited.list_programs(pb::ListProgramsRequest {
            session_id: session_id.clone(),
        });
        let denied = |code: Option<Code>| code == Some(Code::PermissionDenied);
        let code = listed.await.err().map(|status| status.code());
        assert_eq!(denied(code), !allowed, "{session:?}: {code:?}");
        let get = pb::GetSessionRequest {
            session_id: session_id.clone(),
        };
        let code = limited.get_session(get).await.err().map(|it| it.code());
        assert_eq!(denied(code), !allowed, "{session:?}: {code:?}");
        let call = limited.execute_elixir_tool(host_call(session, "add", &[]));
        let code = call.await.err().map(|status| status.code());
        assert_eq!(denied(code), !allowed, "{session:?}: {code:?}");
        let many = stream::iter([tool_call(session, "echo", &[])]);
        let code = match limited.execute_tool_many(many).await {
            Ok(answers) => answers.into_inner().next().await.and_then(Result::err),
            Err(status) => Some(status),
        };
        let code = code.map(|status| status.code());
        assert!(allowed || code.is_some(), "{session:?}: {code:?}");
        let listed = free.list_programs(pb::ListProgramsRequest { session_id });
        listed.await.unwrap();
    }
    let clean = pb::CleanupSessionRequest {
        session_id: "other".into(),
        force: true,
    };
    let status = limited.cleanup_session(clean).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(other.info().is_ok(), "it is still there");
    limited.ping(pb::PingRequest::default()).await.unwrap();
    let mut stranger = connect(serving.address(), Some(&Token::generate().unwrap())).await;
    let status = stranger.ping(pb::PingRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}
