//! Requests of a person to a pool: draining a worker, stopping a call; and the observer of its
//! calls.

use std::sync::{Arc, Mutex};

use snakepit_core::call::{CallObserver, EndedCall, SentCall};
use snakepit_core::id::WorkerId;
use snakepit_core::pool::RecycleError;
use snakepit_core::testing::ScriptedProfile;

use crate::support::{begin, call, config, ready, until};

/// Records the reports that it receives.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl CallObserver for Notes {
    fn sent(&self, call: &SentCall<'_>) -> u32 {
        let mut notes = self.0.lock().expect("nothing panics");
        let (tool, mark) = (call.tool, call.mark);
        let worker = call.worker.map_or("nobody", WorkerId::as_str);
        notes.push(format!("sent {tool} to {worker} {mark:?}"));
        assert!(call.at >= call.begun);
        u32::try_from(notes.len()).expect("they are few")
    }

    fn ended(&self, call: &EndedCall<'_>) {
        let mut notes = self.0.lock().expect("nothing panics");
        let (tool, outcome, mark) = (call.tool, call.outcome, call.mark);
        notes.push(format!("ended {tool} {outcome} {:?} {mark:?}", call.code));
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_each_call_twice_and_brings_its_mark_back() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let notes = Arc::new(Notes::default());
    assert!(pool.observe(notes.clone()));
    assert!(!pool.observe(Arc::new(Notes::default())), "one is enough");
    call(&pool, "echo").await.expect("it answers");
    call(&pool, "fail").await.expect_err("it fails");
    drop(pool.execute(
        "never polled",
        crate::support::payload(1),
        &Default::default(),
    ));
    let hanging = begin(&pool, "hang").await;
    until(|| notes.0.lock().expect("nothing panics").len() == 5).await;
    hanging.abort();
    hanging.await.expect_err("it was aborted");
    let told = notes.0.lock().expect("nothing panics").clone();
    let expected = [
        "sent echo to test-1 None",
        "ended echo ok None Some(1)",
        "sent fail to test-1 None",
        "ended fail error Some(\"SP3001\") Some(3)",
        "sent hang to test-1 None",
        "ended hang cancelled Some(\"SP3002\") Some(5)",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_keeps_its_call_and_another_takes_its_place() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let running = begin(&pool, "gate").await;
    pool.drain(&WorkerId::new("test-1")).expect("it is there");
    call(&pool, "echo").await.expect("the other one answers");
    assert_eq!(profile.starts(), 2);
    profile.allow(1);
    running
        .await
        .expect("no panic")
        .expect("it ends on its own worker");
    until(|| pool.workers().len() == 1).await;
    for gone in ["test-1", "nobody"] {
        let error = pool.drain(&WorkerId::new(gone)).expect_err("it is gone");
        assert!(
            matches!(error, RecycleError::UnknownWorker { .. }),
            "{error}"
        );
    }
    assert_eq!(pool.status().recycled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_stopped_by_the_number_of_its_attempt() {
    /// Keeps the number of the last attempt.
    #[derive(Debug, Default)]
    struct Last(Mutex<Option<snakepit_core::id::CallId>>);

    impl CallObserver for Last {
        fn sent(&self, call: &SentCall<'_>) -> u32 {
            *self.0.lock().expect("nothing panics") = Some(call.attempt);
            0
        }

        fn ended(&self, _: &EndedCall<'_>) {}
    }

    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let last = Arc::new(Last::default());
    assert!(pool.observe(last.clone()));
    let running = begin(&pool, "hang").await;
    let attempt = last.0.lock().expect("nothing panics").expect("it was sent");
    assert!(!pool.cancel(&WorkerId::new("nobody"), attempt));
    assert!(pool.cancel(&WorkerId::new("test-1"), attempt));
    running
        .await
        .expect("no panic")
        .expect_err("it was stopped");
    call(&pool, "echo").await.expect("the worker goes on");
}
