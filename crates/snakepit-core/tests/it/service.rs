//! A pool behind `tower` layers.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use snakepit_core::call::Request;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use tower::retry::Policy;
use tower::timeout::error::Elapsed;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

fn pool(queue_limit: usize) -> Pool {
    let mut config = PoolConfig::new("main");
    config.workers = 1;
    config.queue_limit = queue_limit;
    let profile = ScriptedProfile::new(1);
    Pool::start(config, Arc::new(profile)).expect("the settings are in range")
}

fn request(tool: &str) -> Request {
    Request::new(
        tool,
        Payload::encode("hello").expect("a text can be encoded"),
    )
}

#[tokio::test(start_paused = true)]
async fn a_timeout_layer_ends_a_call_and_the_pool_goes_on() {
    let pool = pool(10);
    let mut service = ServiceBuilder::new()
        .timeout(Duration::from_millis(50))
        .service(pool.clone());
    let error = service
        .ready()
        .await
        .unwrap()
        .call(request("hang"))
        .await
        .unwrap_err();
    assert!(error.is::<Elapsed>(), "{error}");
    let reply = pool.clone().oneshot(request("echo")).await.unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), "hello");
}

#[derive(Clone)]
struct Again(usize);

impl Policy<Request, Payload, Error> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request, result: &mut Result<Payload, Error>) -> Option<Ready<()>> {
        let again = self.0 > 0
            && result
                .as_ref()
                .is_err_and(|error| error.code() == ErrorCode::ToolRaised);
        self.0 -= usize::from(again);
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_layer_repeats_a_call_and_every_try_is_counted() {
    let pool = pool(10);
    let service = ServiceBuilder::new().retry(Again(2)).service(pool.clone());
    let error = service.oneshot(request("fail")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ToolRaised);
    let status = pool.status();
    assert_eq!((status.requests, status.errors), (3, 3));
}
