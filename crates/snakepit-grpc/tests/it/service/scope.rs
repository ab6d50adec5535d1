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

/// Sends each request that can name a session, and returns the statuses by method.
async fn all_methods(
    client: &mut super::client::Client,
    session: &str,
) -> Vec<(&'static str, Option<Code>)> {
    let mut codes = Vec::new();
    macro_rules! send {
        ($($method:ident($message:ident { $($field:ident: $value:expr),* }))*) => {$(
            let mut request = pb::$message::default();
            session.clone_into(&mut request.session_id);
            $(request.$field = $value;)*
            let status = client.$method(request).await.err();
            codes.push((stringify!($method), status.map(|status| status.code())));
        )*};
    }
    let name = || "v".to_owned();
    send! {
        initialize_session(InitializeSessionRequest {})
        get_session(GetSessionRequest {})
        heartbeat(HeartbeatRequest {})
        execute_tool(ExecuteToolRequest { tool_name: "echo".into() })
        execute_streaming_tool(ExecuteToolRequest { tool_name: "endless".into() })
        register_tools(RegisterToolsRequest { worker_id: "mine".into() })
        get_exposed_elixir_tools(GetExposedElixirToolsRequest {})
        execute_elixir_tool(ExecuteElixirToolRequest { tool_name: "give_back".into() })
        stream_elixir_tool(ExecuteElixirToolRequest { tool_name: "wait_on".into() })
        register_variable(RegisterVariableRequest {
            name: name(),
            r#type: "integer".into(),
            value: super::variables::json("1")
        })
        get_variables(GetVariablesRequest { names: vec![name()] })
        set_variables(SetVariablesRequest {})
        list_variables(ListVariablesRequest {})
        watch_variables(WatchVariablesRequest {})
        delete_variable(DeleteVariableRequest { name: name() })
        put_program(PutProgramRequest { name: name(), value: super::variables::json("1") })
        get_program(GetProgramRequest { name: name() })
        list_programs(ListProgramsRequest {})
        delete_program(DeleteProgramRequest { name: name() })
        cleanup_session(CleanupSessionRequest { force: true })
    }
    codes
}

#[tokio::test]
async fn no_method_reaches_a_session_of_another_token() {
    let (server, state, _signals) = host::server(HostStateConfig::new());
    let tokens = [(); 3].map(|()| Token::generate().unwrap());
    let [all, mine, theirs] = &tokens;
    let mut options = ServeOptions::new();
    options.clients = vec![
        (mine.clone(), Scope::sessions(["mine"])),
        (theirs.clone(), Scope::sessions(["theirs"])),
    ];
    let serving = server.serve_tcp(loopback(), all.clone(), &options);
    let serving = serving.await.unwrap();
    let theirs = state.sessions().create("theirs", SessionOptions::new());
    let theirs = theirs.unwrap();
    theirs.put_program("v", "secret".into()).unwrap();
    let before = theirs.info().unwrap();
    let mut client = connect(serving.address(), Some(mine)).await;
    for session in ["theirs", "", "MINE", "mine ", "nobody"] {
        for (method, code) in all_methods(&mut client, session).await {
            assert_eq!(code, Some(Code::PermissionDenied), "{method} {session:?}");
        }
    }
    let requests = ["mine", "theirs"].map(|session| tool_call(session, "echo", &[]));
    let mut answers = client
        .execute_tool_many(stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let mut end = None;
    while let Some(answer) = answers.next().await {
        end = answer.err();
    }
    assert_eq!(end.unwrap().code(), Code::PermissionDenied);
    let after = theirs.info().unwrap();
    assert_eq!(
        (before.variables, before.programs),
        (after.variables, after.programs)
    );
    for (method, code) in all_methods(&mut client, "mine").await {
        assert_ne!(code, Some(Code::PermissionDenied), "{method}");
    }
}
