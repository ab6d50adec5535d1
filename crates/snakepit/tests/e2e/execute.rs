//! Calls with typed arguments and results.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use snakepit::{CallOptions, Error, ErrorCode, SessionOptions, Snakepit, Value, args};

use crate::support::{LONG, pool, start};

/// Time limit of a call that never ends.
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn arguments_by_name_by_place_and_none() {
    #[derive(Serialize)]
    struct Hello<'a> {
        name: &'a str,
        greeting: &'a str,
    }
    let snakepit = start(1).await;
    let mean: f64 = snakepit
        .execute("mean", args! { "xs" => [1, 2, 3] })
        .await
        .unwrap();
    assert_eq!(mean, 2.0);
    let text: String = snakepit.execute("hello", ("you",)).await.unwrap();
    assert_eq!(text, "hello you");
    let by_struct = Hello {
        name: "you",
        greeting: "bye",
    };
    let text: String = snakepit.execute("hello", &by_struct).await.unwrap();
    assert_eq!(text, "bye you");
    let map = BTreeMap::from([("name", "map")]);
    assert_eq!(
        snakepit.execute::<String>("hello", map).await.unwrap(),
        "hello map"
    );
    let () = snakepit.execute("nothing", ()).await.unwrap();
    assert_eq!(
        snakepit.execute::<Value>("nothing", ()).await.unwrap(),
        Value::Null
    );
    assert_eq!(snakepit.execute::<i64>("later", (41,)).await.unwrap(), 42);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn structs_become_dataclasses_and_dicts_become_structs() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: f64,
        y: Option<f64>,
    }
    let snakepit = start(1).await;
    let point = Point {
        x: 3.0,
        y: Some(4.0),
    };
    let norm: f64 = snakepit
        .execute("norm", args! { "point" => &point })
        .await
        .unwrap();
    assert_eq!(norm, 5.0);
    let same: Point = snakepit.execute("echo", (&point,)).await.unwrap();
    assert_eq!(same, point);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_result_of_another_type_is_an_error_of_the_call_alone() {
    let snakepit = start(1).await;
    let error = snakepit
        .execute::<i64>("hello", ("you",))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnexpectedType);
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn an_exception_carries_everything() {
    let snakepit = start(1).await;
    let error = snakepit.execute::<()>("boom", ("bang",)).await.unwrap_err();
    let Error::Tool(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.code, ErrorCode::ToolRaised);
    assert_eq!(
        (error.type_name.as_str(), error.message.as_str()),
        ("ValueError", "bang")
    );
    assert_eq!(error.cause.as_ref().unwrap().type_name, "KeyError");
    assert!(
        error.traceback.contains("raise failure from error"),
        "{}",
        error.traceback
    );
    assert!(
        !error.traceback.contains("snakepit_bridge"),
        "{}",
        error.traceback
    );
    assert!(error.file.ends_with("tools.py") && error.line > 0);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn the_tool_sees_session_worker_and_deadline() {
    #[derive(Deserialize)]
    struct Where {
        session: Option<String>,
        worker: String,
        limited: bool,
    }
    let snakepit = start(1).await;
    let plain: Where = snakepit.execute("where", ()).await.unwrap();
    assert_eq!((plain.session, plain.limited), (None, true));
    assert!(plain.worker.starts_with("main"), "{}", plain.worker);
    let session: Where = snakepit.session("s1").execute("where", ()).await.unwrap();
    assert_eq!(session.session.as_deref(), Some("s1"));
    let options = CallOptions::new().session("s2").timeout(LONG);
    let named: Where = snakepit.call("where").options(&options).await.unwrap();
    assert_eq!(named.session.as_deref(), Some("s2"));
    snakepit.shutdown().await;
}

#[tokio::test]
async fn one_builder_sets_options_of_calls_streams_and_batches() {
    let snakepit = start(2).await;
    let session = |place: &BTreeMap<String, Value>| place["session"].clone();
    let ada = snakepit.session("ada");
    let own = ada.call("where").timeout(LONG).await.unwrap();
    assert_eq!(session(&own), Value::from("ada"));
    let kept = ada.call("where").options(&CallOptions::new()).await;
    assert_eq!(session(&kept.unwrap()), Value::from("ada"));
    let other = ada.call("where").session("bob").await.unwrap();
    assert_eq!(session(&other), Value::from("bob"));
    let ended = snakepit
        .sessions()
        .get_or_create("eve", SessionOptions::default());
    let ended = ended.unwrap();
    ended.delete().unwrap();
    let call = ada.call::<Value>("where").in_session(&ended);
    assert_eq!(call.await.unwrap_err().code(), ErrorCode::UnknownSession);

    let chunks = snakepit.call::<i64>("count").args((3,)).session("ada");
    let chunks: Vec<_> = chunks.stream().await.unwrap().collect().await;
    let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
    assert_eq!(chunks.len(), 3);
    let halves = snakepit.call::<f64>("half").timeout(LONG);
    let halves: Vec<_> = halves.each((0..3).map(|n| (n,))).collect().await;
    let halves: Vec<_> = halves.into_iter().map(Result::unwrap).collect();
    assert_eq!(halves, [0.0, 0.5, 1.0]);

    let late = || snakepit.call::<String>("wait_for").timeout(SHORT);
    let never = ("no-such-file",);
    let one = late().args(never).await.unwrap_err();
    let each: Vec<_> = late().each([never]).collect().await;
    for error in [&one, each[0].as_ref().unwrap_err()] {
        let times = [ErrorCode::CallTimeout, ErrorCode::QueueTimeout];
        assert!(times.contains(&error.code()), "{error}");
    }
    snakepit.shutdown().await;
}

#[tokio::test]
async fn an_adapter_object_lives_in_its_worker() {
    let snakepit = start(1).await;
    for expected in 1..=3_i64 {
        assert_eq!(snakepit.execute::<i64>("tick", ()).await.unwrap(), expected);
    }
    snakepit.shutdown().await;
}

#[tokio::test]
async fn several_pools_have_their_own_workers() {
    let builder = Snakepit::builder()
        .pool(pool("a", 1))
        .pool(pool("b", 2))
        .default_pool("b");
    let snakepit = builder.start().await.unwrap();
    let a: i64 = snakepit
        .pool("a")
        .unwrap()
        .execute("pid", ())
        .await
        .unwrap();
    let b: i64 = snakepit.execute("pid", ()).await.unwrap();
    assert_ne!(a, b);
    assert_eq!(snakepit.default_pool().name().as_str(), "b");
    let error = snakepit.pool("c").unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownPool);
    assert_eq!(snakepit.workers().len(), 3);
    assert_eq!(snakepit.status().len(), 2);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn tools_are_described() {
    let snakepit = start(1).await;
    let tools = snakepit.tools();
    let mean = tools.iter().find(|tool| tool.name == "mean").unwrap();
    assert_eq!(mean.signature, "def mean(xs: list[float]) -> float");
    assert_eq!(mean.description, "The arithmetic mean.");
    assert_eq!(mean.parameters["properties"]["xs"]["type"], "array");
    assert!(mean.line > 0 && mean.file.ends_with("tools.py"));
    let streams: BTreeSet<&str> = tools
        .iter()
        .filter(|tool| tool.streaming)
        .map(|tool| tool.name.as_str())
        .collect();
    assert!(
        streams.contains("count") && streams.contains("count_later"),
        "{streams:?}"
    );
    snakepit.shutdown().await;
}

#[tokio::test]
async fn many_calls_keep_their_order_and_fail_one_by_one() {
    let snakepit = start(2).await;
    let mut results = snakepit.execute_many::<f64, _>("half", (0..1000_i64).map(|n| (n,)));
    let mut next = 0;
    while let Some(result) = results.next().await {
        match result {
            Ok(half) => assert_eq!(half, f64::from(next) / 2.0),
            Err(error) => assert_eq!((next, error.code()), (13, ErrorCode::ToolRaised)),
        }
        next += 1;
    }
    assert_eq!(next, 1000);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn an_item_that_cannot_be_encoded_fails_alone() {
    /// Fails to serialise odd numbers.
    struct Even(i64);
    impl Serialize for Even {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 % 2 {
                0 => (self.0,).serialize(serializer),
                _ => Err(serde::ser::Error::custom("odd")),
            }
        }
    }
    let snakepit = start(1).await;
    let mut results = snakepit.execute_many::<f64, _>("half", (0..10).map(Even));
    for n in 0..10 {
        let result = results.next().await.unwrap();
        match n % 2 {
            0 => assert_eq!(result.unwrap(), f64::from(n) / 2.0),
            _ => assert_eq!(result.unwrap_err().code(), ErrorCode::InvalidPayload),
        }
    }
    assert!(results.next().await.is_none());
    assert!(results.next().await.is_none());
    snakepit.shutdown().await;
}
