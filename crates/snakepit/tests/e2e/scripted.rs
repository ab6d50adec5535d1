//! The facade over scripted workers: its own features, without Python.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use snakepit::core::testing::{Script, ScriptedProfile};
use snakepit::{
    BuildError, CallOptions, Error, ErrorCode, PoolConfig, Snakepit, SnakepitBuilder, Value, args,
};

fn config(name: &str) -> PoolConfig {
    let mut config = PoolConfig::new(name);
    config.workers = 1;
    config
}

fn with_pool(profile: &ScriptedProfile) -> SnakepitBuilder {
    Snakepit::builder().pool_with_profile(config("main"), Arc::new(profile.clone()))
}

#[tokio::test(start_paused = true)]
async fn values_are_typed_both_ways() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i64,
        y: Vec<String>,
    }
    let snakepit = with_pool(&ScriptedProfile::new(1)).start().await.unwrap();
    let point = Point {
        x: -1,
        y: vec!["a".into()],
    };
    assert_eq!(
        snakepit.execute::<Point>("echo", &point).await.unwrap(),
        point
    );
    let tuple: (i64, bool) = snakepit.execute("echo", (1, true)).await.unwrap();
    assert_eq!(tuple, (1, true));
    assert_eq!(
        snakepit.execute::<Value>("echo", ()).await.unwrap(),
        Value::Null
    );
    let map: Value = snakepit.execute("echo", args! { "a" => 1 }).await.unwrap();
    assert_eq!(
        map,
        Value::Map(vec![(Value::Str("a".into()), Value::Int(1))])
    );
    let error = snakepit.execute::<bool>("echo", &point).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnexpectedType);
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_encoded_never_reaches_a_worker() {
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
    let snakepit = with_pool(&ScriptedProfile::new(1)).start().await.unwrap();
    let error = snakepit
        .execute::<Value>("echo", args! { "a" => Even(1) })
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidPayload);
    assert!(error.to_string().contains("argument `a`"), "{error}");
    for range in [0..100, 1..2, 0..0] {
        let mut results = snakepit.execute_many::<(i64,), _>("echo", range.clone().map(Even));
        for n in range {
            match (n % 2, results.next().await.unwrap()) {
                (0, result) => assert_eq!(result.unwrap(), (n,)),
                (_, result) => assert_eq!(result.unwrap_err().code(), ErrorCode::InvalidPayload),
            }
        }
        assert!(results.next().await.is_none());
        assert!(results.next().await.is_none());
    }
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn streams_are_typed_and_end_when_dropped() {
    let snakepit = with_pool(&ScriptedProfile::new(1)).start().await.unwrap();
    let mut stream = snakepit.execute_stream::<u64>("count", ()).await.unwrap();
    for n in 0..10 {
        assert_eq!(stream.next().await.unwrap().unwrap(), n);
    }
    drop(stream);
    snakepit.execute::<Value>("echo", ()).await.unwrap();
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pools_are_found_by_name() {
    let builder = with_pool(&ScriptedProfile::new(1))
        .pool_with_profile(config("gpu"), Arc::new(ScriptedProfile::new(1)));
    let snakepit = builder.start().await.unwrap();
    assert_eq!(snakepit.default_pool().name().as_str(), "main");
    let gpu = snakepit.pool("gpu").unwrap();
    gpu.execute::<Value>("echo", ()).await.unwrap();
    let error = snakepit.pool("cpu").unwrap_err();
    let Error::UnknownPool { known, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(known, &["main", "gpu"]);
    let requests: Vec<u64> = snakepit
        .status()
        .iter()
        .map(|status| status.requests)
        .collect();
    assert_eq!(requests, [0, 1]);
    snakepit.shutdown().await;
    let error = gpu.execute::<Value>("echo", ()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_the_options_wins() {
    let snakepit = with_pool(&ScriptedProfile::new(1)).start().await.unwrap();
    let session = snakepit.session("a");
    let options = CallOptions::new()
        .session("b")
        .timeout(Duration::from_secs(1));
    session
        .call::<Value>("echo")
        .options(&options)
        .await
        .unwrap();
    session
        .session("c")
        .execute::<Value>("echo", ())
        .await
        .unwrap();
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_start_stops_the_others() {
    let good = ScriptedProfile::new(1);
    let bad = ScriptedProfile::new(1).then(Script::Fail { permanent: true });
    let builder = with_pool(&good).pool_with_profile(config("bad"), Arc::new(bad));
    let error = builder.start().await.unwrap_err();
    let BuildError::Start { pool, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(pool.as_str(), "bad");
    assert!(good.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_a_start_that_is_waited_for() {
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Fail { permanent: false });
    assert!(with_pool(&profile).start().await.is_err());
    assert_eq!(profile.starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_is_given_up() {
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Hang);
    assert!(with_pool(&profile).start().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_start_can_be_left_to_the_background() {
    let profile = ScriptedProfile::new(1);
    let snakepit = with_pool(&profile).wait_ready(false).start().await.unwrap();
    snakepit
        .await_all_ready(Duration::from_secs(1))
        .await
        .unwrap();
    snakepit.shutdown().await;
    snakepit.shutdown().await;
    assert!(profile.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn settings_are_checked_before_anything_starts() {
    let profile = ScriptedProfile::new(1);
    for workers in [0, 1025] {
        let mut config = config("main");
        config.workers = workers;
        let builder = with_pool(&profile).pool_with_profile(config, Arc::new(profile.clone()));
        assert_eq!(
            builder.start().await.unwrap_err().code(),
            ErrorCode::InvalidConfig
        );
    }
    let error = with_pool(&profile)
        .default_pool("mian")
        .start()
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownPool);
    assert!(
        snakepit::Report::from(&error)
            .to_string()
            .contains("did you mean `main`?")
    );
    assert_eq!(
        Snakepit::builder().start().await.unwrap_err().code(),
        ErrorCode::InvalidConfig
    );
    assert_eq!(profile.starts(), 0);
}

#[tokio::test(start_paused = true)]
async fn defect_15_streams_are_a_matter_of_the_pool_that_is_called() {
    let profile = ScriptedProfile::new(1);
    let snakepit = with_pool(&ScriptedProfile::new(1))
        .pool_with_profile(config("other"), Arc::new(profile.clone()))
        .start()
        .await
        .unwrap();
    let pool = snakepit.pool("other").unwrap();
    let mut stream = pool.execute_stream::<u64>("count", ()).await.unwrap();
    for n in 0..3 {
        assert_eq!(stream.next().await.unwrap().unwrap(), n);
    }
    drop(stream);
    let requests: Vec<u64> = snakepit.status().iter().map(|pool| pool.requests).collect();
    assert_eq!(requests, [0, 1]);
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_found_by_its_name_while_no_worker_is_ready() {
    let profile = ScriptedProfile::new(1);
    profile.set_tools(&["echo"]);
    let snakepit = with_pool(&profile).start().await.unwrap();
    let pool = snakepit.default_pool().clone();
    profile.otherwise(Script::Slow(Duration::from_secs(3)));
    profile.workers()[0].die("killed by signal 9", false);
    while pool.status().ready > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(snakepit.tools().len(), 1);
    let reply: i64 = snakepit.execute_tool("s", "echo", 7).await.unwrap();
    assert_eq!(reply, 7);
    let error = snakepit.execute_tool::<i64>("s", "ecko", 7).await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::UnknownTool);
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_found_by_its_name_before_the_first_worker_is_ready() {
    let profile = ScriptedProfile::new(1).then(Script::Slow(Duration::from_secs(3)));
    profile.set_tools(&["echo"]);
    let builder = with_pool(&profile).wait_ready(false);
    let snakepit = builder.start().await.unwrap();
    let reply: i64 = snakepit.execute_tool("s", "echo", 7).await.unwrap();
    assert_eq!(reply, 7);
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_start_hides_no_tool_of_another_one() {
    let broken = ScriptedProfile::new(1).then(Script::Fail { permanent: true });
    let good = ScriptedProfile::new(1);
    good.set_tools(&["echo"]);
    let snakepit = with_pool(&broken)
        .pool_with_profile(config("other"), Arc::new(good))
        .wait_ready(false)
        .start()
        .await
        .unwrap();
    let reply: i64 = snakepit.execute_tool("s", "echo", 7).await.unwrap();
    assert_eq!(reply, 7);
    let error = snakepit.execute_tool::<i64>("s", "ecko", 7).await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::StartFailed);
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_warm_up_is_why_the_start_fails() {
    for tools in [&["echo"][..], &[]] {
        let profile = ScriptedProfile::new(1);
        profile.set_tools(tools);
        let mut config = config("main");
        config.warm_up = Some("fail".to_owned());
        let builder = Snakepit::builder().pool_with_profile(config, Arc::new(profile.clone()));
        let began = tokio::time::Instant::now();
        let error = builder.start().await.unwrap_err();
        let text = snakepit::Report::from(&error).to_string();
        assert!(text.contains("fail"), "{text}");
        assert_eq!((profile.starts(), began.elapsed()), (1, Duration::ZERO));
    }
}
