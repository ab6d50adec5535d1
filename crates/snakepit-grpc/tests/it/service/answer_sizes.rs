//! Answers to clients are limited before they are built.

use snakepit_core::host_tools::HostStateConfig;
use snakepit_core::state::{NewVariable, SessionOptions, VariableType};
use snakepit_grpc::pb;
use snakepit_grpc::service::ServeOptions;
use tonic::Code;

use super::client::{details, served_with};

#[tokio::test]
async fn repeats_and_more_than_a_message_takes_are_refused() {
    let mut options = ServeOptions::new();
    options.max_message = 1 << 20;
    let mut host = served_with(HostStateConfig::new(), &options).await;
    let sessions = host.state.sessions();
    let session = sessions.create("s", SessionOptions::new()).unwrap();
    for name in ["a", "b", "c"] {
        let value = "x".repeat(500_000);
        let variable = NewVariable::new(name, VariableType::String, value);
        session.register(variable).unwrap();
    }
    let mut get = async |names: Vec<&str>| {
        let request = pb::GetVariablesRequest {
            session_id: "s".into(),
            names: names.into_iter().map(str::to_owned).collect(),
        };
        host.client.get_variables(request).await
    };
    let refused = get(vec!["a"; 10_000]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("more than once"), "{refused}");
    let refused = get(vec!["a", "b", "c"]).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(details(&refused).code, "SP2005");
    let found = get(vec!["a", "b"]).await.unwrap().into_inner();
    assert_eq!(found.results.len(), 2);
}
