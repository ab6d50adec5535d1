//! The policies of pools as `tower` layers.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::time::Duration;

use snakepit_core::call::Request;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::policy::{BreakerPolicy, CircuitState, QuarantinePolicy, RetryPolicy};
use snakepit_core::pool::Pool;
use snakepit_core::service::{BreakerLayer, QuarantineLayer, RetryLayer};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::support::{balanced, config, payload, ready, until};

/// Returns a pool without policies of its own, whose workers are restarted at once.
async fn plain(workers: usize) -> Pool {
    let mut config = config(workers);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    ready(config, &ScriptedProfile::new(1)).await
}

fn request(tool: &str) -> Request {
    Request::new(tool, payload(7))
}

async fn outcome<S>(service: &mut S, request: Request) -> Option<ErrorCode>
where
    S: Service<Request, Response = Payload, Error = Error>,
{
    let ready = service.ready().await.unwrap();
    let result = ready.call(request).await;
    result.err().map(|error| error.code())
}

#[tokio::test(start_paused = true)]
async fn a_retry_layer_repeats_what_is_harmless_within_its_budget_and_the_deadline() {
    let pool = plain(1).await;
    let mut policy = RetryPolicy::default();
    (policy.burst, policy.budget) = (3, 0);
    let layer = RetryLayer::new(policy).unwrap();
    let died = Some(ErrorCode::WorkerDied);
    let mut careful = ServiceBuilder::new()
        .layer(layer.clone())
        .service(pool.clone());
    assert_eq!(outcome(&mut careful, request("die")).await, died);
    assert_eq!(pool.status().requests, 1, "it may have run");
    let harmless = layer.idempotent(|request| &*request.tool == "die");
    let mut service = ServiceBuilder::new().layer(harmless).service(pool.clone());
    assert_eq!(
        outcome(&mut service, request("fail")).await,
        Some(ErrorCode::ToolRaised)
    );
    assert_eq!(pool.status().requests, 2);
    // There is time for the call, but none for a wait, which is drawn from a range that begins at
    // zero.
    let mut late = request("die");
    late.deadline = Some(Instant::now() + Duration::from_micros(1));
    assert_eq!(outcome(&mut service, late).await, died);
    assert_eq!(pool.status().requests, 3);
    assert_eq!(outcome(&mut service, request("die")).await, died);
    assert_eq!(pool.status().requests, 6, "two retries");
    // The last retry of the budget, which all services of the layer share.
    assert_eq!(outcome(&mut service.clone(), request("die")).await, died);
    assert_eq!(pool.status().requests, 8);
    assert_eq!(outcome(&mut service, request("die")).await, died);
    assert_eq!(pool.status().requests, 9);
    assert_eq!(outcome(&mut service, request("echo")).await, None);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_layer_refuses_without_the_pool_and_tries_one_later() {
    let pool = plain(2).await;
    let mut policy = BreakerPolicy::default();
    policy.failures = 2;
    let cool_down = policy.cool_down;
    let layer = BreakerLayer::new("layer", None, Some(policy)).unwrap();
    let mut service = ServiceBuilder::new()
        .layer(layer.clone())
        .service(pool.clone());
    for _ in 0..2 {
        assert_eq!(
            outcome(&mut service, request("die")).await,
            Some(ErrorCode::WorkerDied)
        );
    }
    let requests = pool.status().requests;
    let error = service
        .ready()
        .await
        .unwrap()
        .call(request("die"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::CircuitOpen { pool, tool: Some(tool), .. }
            if pool.as_str() == "layer" && tool == "die"),
        "{error:?}"
    );
    assert_eq!(pool.status().requests, requests);
    assert_eq!(outcome(&mut service, request("echo")).await, None);
    assert_eq!(layer.circuits()[0].state, CircuitState::Open);
    tokio::time::advance(cool_down).await;
    // A trial call whose caller goes away gives its permit back.
    let probe = service.ready().await.unwrap().call(request("die"));
    assert_eq!(
        outcome(&mut service, request("die")).await,
        Some(ErrorCode::CircuitOpen)
    );
    drop(probe);
    assert_eq!(
        outcome(&mut service, request("die")).await,
        Some(ErrorCode::WorkerDied)
    );
    assert_eq!(layer.circuits()[0].state, CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_layer_refuses_what_kills_workers_and_nothing_else() {
    let pool = plain(1).await;
    let layer = QuarantineLayer::new("layer", QuarantinePolicy::default()).unwrap();
    let mut service = ServiceBuilder::new()
        .layer(layer.clone())
        .service(pool.clone());
    for _ in 0..2 {
        assert_eq!(
            outcome(&mut service, request("die")).await,
            Some(ErrorCode::WorkerDied)
        );
    }
    let requests = pool.status().requests;
    assert_eq!(
        outcome(&mut service, request("die")).await,
        Some(ErrorCode::Quarantined)
    );
    assert_eq!(
        (pool.status().requests, layer.in_quarantine()),
        (requests, 1)
    );
    let other = Request::new("die", payload(8));
    assert_eq!(
        outcome(&mut service, other).await,
        Some(ErrorCode::WorkerDied)
    );
    assert_eq!(outcome(&mut service, request("echo")).await, None);
    // With two slots each bears half of the blame.
    let layer = QuarantineLayer::new("layer", QuarantinePolicy::default()).unwrap();
    let mut service = ServiceBuilder::new()
        .layer(layer.slots(2))
        .service(pool.clone());
    for _ in 0..4 {
        assert_eq!(
            outcome(&mut service, request("die")).await,
            Some(ErrorCode::WorkerDied)
        );
    }
    assert_eq!(
        outcome(&mut service, request("die")).await,
        Some(ErrorCode::Quarantined)
    );
    until(|| pool.status().in_flight == 0).await;
}

#[tokio::test(start_paused = true)]
async fn layers_stand_on_each_other_and_under_those_of_others() {
    let pool = plain(1).await;
    let mut breaker = BreakerPolicy::default();
    breaker.failures = 5;
    let mut retry = RetryPolicy::default();
    retry.retries = 10;
    let mut service = ServiceBuilder::new()
        .concurrency_limit(1)
        .layer(RetryLayer::new(retry).unwrap().idempotent(|_| true))
        .layer(QuarantineLayer::new("main", QuarantinePolicy::default()).unwrap())
        .layer(BreakerLayer::new("main", Some(breaker), None).unwrap())
        .service(pool.clone());
    // The first retry dies as well, and then the quarantine ends it.
    let refused = Some(ErrorCode::Quarantined);
    assert_eq!(outcome(&mut service, request("die")).await, refused);
    assert_eq!(pool.status().requests, 2);
    assert_eq!(outcome(&mut service, request("echo")).await, None);
}

#[test]
fn settings_of_layers_are_checked() {
    let mut retry = RetryPolicy::default();
    retry.retries = 0;
    assert!(RetryLayer::new(retry).is_err());
    let mut breaker = BreakerPolicy::default();
    breaker.probes = 0;
    let error = BreakerLayer::new("main", None, Some(breaker)).unwrap_err();
    assert_eq!(error.key, "tool_breaker.probes");
    let mut quarantine = QuarantinePolicy::default();
    quarantine.deaths = 0;
    assert!(QuarantineLayer::new("main", quarantine).is_err());
}
