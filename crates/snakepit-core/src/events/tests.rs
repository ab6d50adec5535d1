//! Tests of patterns, the catalogue and the hub.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::id::{CallId, PoolName, WorkerId};

/// The naive model, which tries every way to divide the name among the stars.
fn naive(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            naive(&pattern[1..], name) || (!name.is_empty() && naive(pattern, &name[1..]))
        }
        (Some(b'?'), Some(_)) => naive(&pattern[1..], &name[1..]),
        (Some(a), Some(b)) if a == b => naive(&pattern[1..], &name[1..]),
        _ => false,
    }
}

proptest! {
    #[test]
    fn patterns_match_as_the_model(pattern in "[ab.*?]{1,8}", name in "[ab.]{0,10}") {
        let parsed = Pattern::new(&pattern).unwrap();
        prop_assert_eq!(parsed.matches(&name), naive(pattern.as_bytes(), name.as_bytes()));
    }
}

#[test]
fn a_pattern_matches_with_and_without_the_prefix() {
    for pattern in ["worker.*", "snakepit.worker.*"] {
        let pattern = Pattern::new(pattern).unwrap();
        assert!(pattern.matches("worker.recycled"));
        assert!(pattern.matches("snakepit.worker.recycled"));
        assert!(!pattern.matches("pool.closed"));
    }
}

#[test]
fn what_no_name_can_match_is_refused() {
    for pattern in ["", "worker recycled", "a\n", "\u{1b}[2J", &"a".repeat(300)] {
        let error = Pattern::new(pattern).unwrap_err().to_string();
        assert!(
            !error.contains('\u{1b}') && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn a_storm_of_stars_ends() {
    let pattern = Pattern::new(&"*a".repeat(100)).unwrap();
    assert!(!pattern.matches(&"b".repeat(10_000)));
}

#[test]
fn names_in_the_catalogue_are_unique_and_valid() {
    let names: BTreeSet<_> = Event::CATALOGUE.iter().map(|info| info.name).collect();
    assert_eq!(names.len(), Event::CATALOGUE.len());
    for info in Event::CATALOGUE {
        assert!(Pattern::new(info.name).unwrap().matches(info.name));
        assert!(info.doc.trim().ends_with('.'), "{}", info.name);
    }
}

fn closed(pool: &str) -> Event {
    Event::PoolClosed {
        pool: PoolName::new(pool),
    }
}

#[test]
fn handlers_get_what_they_asked_for_until_they_are_detached() {
    let (events, seen) = (Events::new(), Arc::new(AtomicUsize::new(0)));
    assert!(!events.has_subscribers());
    let count = Arc::clone(&seen);
    let subscription = events
        .on_event("pool.*", move |emitted| {
            assert_eq!(emitted.event.name(), "pool.closed");
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    events.publish(closed("a"));
    events.publish(Event::CallAbandoned {
        pool: PoolName::new("a"),
        worker: WorkerId::new("a-1"),
        call: CallId(1),
    });
    assert!(subscription.is_attached());
    subscription.detach();
    events.publish(closed("a"));
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    assert!(!events.has_subscribers());
}

#[test]
fn an_event_is_made_only_if_its_kind_is_wanted() {
    let (events, seen) = (Events::new(), Arc::new(AtomicUsize::new(0)));
    let made = |kind, event: Event| {
        let mut made = false;
        events.emit(kind, || {
            made = true;
            event
        });
        made
    };
    let gave_up = || Event::PoolGaveUp {
        pool: PoolName::new("a"),
        error: "no".to_owned(),
    };
    let custom = || Event::Custom(CustomEvent::new("pool.mine"));
    assert!(!made(kind::PoolClosed, closed("a")));
    let count = Arc::clone(&seen);
    let plain = events.on_kinds(&[kind::PoolClosed], move |event| {
        assert_eq!(event.name(), "pool.closed");
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(made(kind::PoolClosed, closed("a")));
    assert!(!made(kind::PoolGaveUp, gave_up()) && !made(kind::Custom, custom()));
    let count = Arc::clone(&seen);
    let timed = events.on_event("pool.g*", move |emitted| {
        assert_eq!(emitted.event.name(), "pool.gave_up");
        count.fetch_add(10, Ordering::Relaxed);
    });
    assert!(made(kind::PoolGaveUp, gave_up()) && made(kind::Custom, custom()));
    plain.detach();
    assert!(!made(kind::PoolClosed, closed("a")) && made(kind::PoolGaveUp, gave_up()));
    timed.unwrap().detach();
    assert!(!made(kind::PoolGaveUp, gave_up()));
    assert_eq!(seen.load(Ordering::Relaxed), 21);
}

#[test]
fn subscribers_that_come_and_go_at_once_leave_the_kinds_of_those_that_stay() {
    let events = Events::new();
    std::thread::scope(|scope| {
        for kind in [
            kind::PoolClosed,
            kind::PoolGaveUp,
            kind::SessionCreated,
            kind::OrphansFound,
        ] {
            let events = events.clone();
            scope.spawn(move || {
                for _ in 0..200 {
                    let own = events.on_kinds(&[kind], |_| {});
                    assert!(events.enabled(kind));
                    own.detach();
                    assert!(!events.enabled(kind));
                }
            });
        }
    });
    assert!(!events.has_subscribers());
}

proptest! {
    #[test]
    fn a_set_has_the_kinds_whose_names_match(pattern in "[a-z.*?]{1,12}") {
        let pattern = Pattern::new(&pattern).unwrap();
        let kinds = kinds::Kinds::of(&pattern);
        prop_assert!(kinds.has(kind::Custom));
        for (number, info) in Event::CATALOGUE.iter().enumerate() {
            let kind = Kind::new(u8::try_from(number).unwrap(), info.level);
            prop_assert_eq!(kinds.has(kind), pattern.matches(info.name), "{}", info.name);
        }
    }
}

#[test]
fn a_kind_is_known_by_its_place_in_the_catalogue() {
    let place = |name| Event::CATALOGUE.iter().position(|info| info.name == name);
    for (kind, name) in [
        (kind::PoolInitStarted, "pool.init_started"),
        (closed("a").kind(), "pool.closed"),
        (kind::ScriptShutdownExit, "script.shutdown.exit"),
    ] {
        let number = u8::try_from(place(name).unwrap()).unwrap();
        assert_eq!(kind, Kind::new(number, kind.level()), "{name}");
    }
}

#[test]
fn a_handler_that_panics_is_detached_and_the_others_get_the_event() {
    let (events, seen) = (Events::new(), Arc::new(AtomicUsize::new(0)));
    let bad = events.on_event("*", |_| panic!("on purpose")).unwrap();
    let count = Arc::clone(&seen);
    let good = events.on_event("*", move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for _ in 0..3 {
        events.publish(closed("a"));
    }
    assert!(!bad.is_attached());
    assert!(good.unwrap().is_attached());
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

#[test]
fn a_handler_may_attach_detach_and_emit() {
    let events = Events::new();
    let inner = events.clone();
    let outer = events.on_event("pool.closed", move |_| {
        let nested = inner.on_event("pool.gave_up", |_| {}).unwrap();
        nested.detach();
        inner.publish(Event::Custom(CustomEvent::new("tool.seen")));
    });
    events.publish(closed("a"));
    assert!(outer.unwrap().is_attached());
}

#[test]
fn a_stream_is_bounded_and_counts_what_it_lost() {
    let events = Events::new();
    let mut stream = events.subscribe(2);
    for pool in ["a", "b", "c", "d"] {
        events.publish(closed(pool));
    }
    let names: Vec<_> = std::iter::from_fn(|| stream.try_next())
        .map(|emitted| serde_json::to_value(&*emitted).unwrap()["pool"].clone())
        .collect();
    assert_eq!((names, stream.lost()), (vec!["a".into(), "b".into()], 2));
    drop(stream);
    assert!(!events.has_subscribers());
}

#[test]
fn an_event_shows_as_a_flat_object() {
    let mut custom = CustomEvent::new("python.memory.sampled");
    custom
        .measurements
        .insert("rss_bytes".into(), Number::Integer(5));
    custom.metadata.insert("device".into(), "cpu".into());
    let events = Events::new();
    let mut stream = events.subscribe(1);
    events.publish(Event::Custom(custom));
    let mut value = serde_json::to_value(&*stream.try_next().unwrap()).unwrap();
    assert!(value["at"].take().as_f64().unwrap() > 1e9);
    let expected = serde_json::json!({
        "at": null, "event": "python.memory.sampled", "rss_bytes": 5, "device": "cpu",
    });
    assert_eq!(value, expected);
}
