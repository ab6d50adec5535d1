//! One test for each row of the table, and the rules that hold for all evidence.

use std::time::Duration;

use proptest::prelude::*;

use super::{Cause, Evidence, Limits, LivenessVerdict, judge};

const SECOND: Duration = Duration::from_secs(1);

const LIMITS: Limits = Limits {
    misses: 3,
    patience: Duration::from_secs(10),
    stall: None,
    grace: Duration::from_secs(5),
    kill_when_queued: false,
};

/// A worker that has a call and uses the CPU.
const WORKS: Evidence = Evidence {
    late: false,
    busy: true,
    misses: 0,
    held: Duration::ZERO,
    flat: Some(Duration::ZERO),
    overdue: None,
    innocent: false,
    queued: false,
};

/// A worker without a call, which uses no CPU.
const IDLE: Evidence = Evidence {
    busy: false,
    flat: Some(Duration::from_secs(1000)),
    ..WORKS
};

fn verdict(evidence: Evidence) -> LivenessVerdict {
    judge(&evidence, &LIMITS)
}

#[test]
fn idle_and_silent_is_unresponsive() {
    assert_eq!(
        verdict(Evidence { misses: 3, ..IDLE }),
        LivenessVerdict::Unresponsive
    );
    assert_eq!(
        verdict(Evidence { misses: 2, ..IDLE }),
        LivenessVerdict::Well
    );
}

#[test]
fn idle_with_a_held_interpreter_is_well() {
    let held = 1000 * SECOND;
    assert_eq!(verdict(Evidence { held, ..IDLE }), LivenessVerdict::Well);
}

#[test]
fn busy_and_silent_with_growing_cpu_is_quiet() {
    assert_eq!(
        verdict(Evidence {
            misses: 1000,
            ..WORKS
        }),
        LivenessVerdict::Quiet
    );
    assert_eq!(
        verdict(Evidence { misses: 2, ..WORKS }),
        LivenessVerdict::Well
    );
}

#[test]
fn busy_with_a_held_interpreter_is_quiet() {
    let held = 10 * SECOND;
    assert_eq!(verdict(Evidence { held, ..WORKS }), LivenessVerdict::Quiet);
    let held = 9 * SECOND;
    assert_eq!(verdict(Evidence { held, ..WORKS }), LivenessVerdict::Well);
}

#[test]
fn busy_with_flat_cpu_is_told_and_kept() {
    let flat = Some(1000 * SECOND);
    let rests = Evidence { flat, ..WORKS };
    assert_eq!(verdict(rests), LivenessVerdict::Stalled { reachable: true });
    let silent = Evidence { misses: 3, ..rests };
    assert_eq!(
        verdict(silent),
        LivenessVerdict::Stalled { reachable: false }
    );
    let unknown = Evidence {
        flat: None,
        ..rests
    };
    assert_eq!(verdict(unknown), LivenessVerdict::Well);
}

#[test]
fn busy_with_flat_cpu_is_killed_when_asked_for() {
    let limits = Limits {
        stall: Some(60 * SECOND),
        ..LIMITS
    };
    let after = |flat| judge(&Evidence { flat, ..WORKS }, &limits);
    assert_eq!(
        after(Some(60 * SECOND)),
        LivenessVerdict::Kill(Cause::Stalled)
    );
    assert_eq!(
        after(Some(59 * SECOND)),
        LivenessVerdict::Stalled { reachable: true }
    );
    assert_eq!(after(None), LivenessVerdict::Well);
    let flat = Some(1000 * SECOND);
    assert_eq!(
        judge(&Evidence { flat, ..IDLE }, &limits),
        LivenessVerdict::Well
    );
}

#[test]
fn busy_after_the_deadline_has_its_grace() {
    let late = |seconds, queued| Evidence {
        overdue: Some(seconds * SECOND),
        queued,
        ..WORKS
    };
    assert_eq!(verdict(late(4, true)), LivenessVerdict::Well);
    assert_eq!(
        verdict(late(5, false)),
        LivenessVerdict::Kill(Cause::Overdue)
    );
    let limits = Limits {
        kill_when_queued: true,
        ..LIMITS
    };
    assert_eq!(judge(&late(4, false), &limits), LivenessVerdict::Well);
    assert_eq!(
        judge(&late(0, true), &limits),
        LivenessVerdict::Kill(Cause::Overdue)
    );
}

#[test]
fn calls_that_nobody_gave_up_protect_their_worker() {
    for queued in [false, true] {
        let limits = Limits {
            kill_when_queued: true,
            ..LIMITS
        };
        let overdue = Evidence {
            overdue: Some(1000 * SECOND),
            queued,
            ..WORKS
        };
        let shared = Evidence {
            innocent: true,
            ..overdue
        };
        assert_eq!(
            judge(&overdue, &limits),
            LivenessVerdict::Kill(Cause::Overdue)
        );
        assert_eq!(judge(&shared, &limits), LivenessVerdict::Well);
    }
}

#[test]
fn a_host_that_was_late_judges_nobody() {
    let silent = Evidence {
        misses: 9,
        late: true,
        ..IDLE
    };
    assert_eq!(verdict(silent), LivenessVerdict::Discard);
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let seconds = || (0_u64..100).prop_map(Duration::from_secs);
    let maybe = || proptest::option::of((0_u64..100).prop_map(Duration::from_secs));
    let flags = any::<[bool; 4]>();
    (flags, 0_u32..10, seconds(), maybe(), maybe()).prop_map(
        |([late, busy, innocent, queued], misses, held, flat, overdue)| Evidence {
            late,
            busy,
            misses,
            held,
            flat,
            overdue,
            innocent,
            queued,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let stall = proptest::option::of((1_u64..100).prop_map(Duration::from_secs));
    (1_u32..10, 1_u64..100, stall, 0_u64..100, any::<bool>()).prop_map(
        |(misses, patience, stall, grace, kill_when_queued)| Limits {
            misses,
            patience: Duration::from_secs(patience),
            stall,
            grace: Duration::from_secs(grace),
            kill_when_queued,
        },
    )
}

proptest! {
    #[test]
    fn a_busy_worker_is_never_killed_for_its_heartbeats(mut seen in evidence(), limits in limits()) {
        seen.busy = true;
        if !seen.innocent {
            seen.overdue = None;
        }
        let verdict = judge(&seen, &limits);
        let asked_for = seen.flat.is_some() && seen.flat >= limits.stall && limits.stall.is_some();
        let killed = matches!(verdict, LivenessVerdict::Kill(_));
        prop_assert!(verdict != LivenessVerdict::Unresponsive);
        prop_assert!(!killed || asked_for, "{verdict:?}");
    }

    #[test]
    fn a_late_host_discards_whatever_it_saw(mut seen in evidence(), limits in limits()) {
        seen.late = true;
        prop_assert_eq!(judge(&seen, &limits), LivenessVerdict::Discard);
    }

    #[test]
    fn an_idle_worker_is_judged_by_its_heartbeats_alone(mut seen in evidence(), limits in limits()) {
        (seen.busy, seen.late) = (false, false);
        let silent = seen.misses >= limits.misses;
        let expected = if silent { LivenessVerdict::Unresponsive } else { LivenessVerdict::Well };
        prop_assert_eq!(judge(&seen, &limits), expected);
    }

    #[test]
    fn a_worker_that_answers_and_works_is_well(mut seen in evidence(), limits in limits()) {
        seen = Evidence { misses: 0, held: Duration::ZERO, flat: Some(Duration::ZERO), overdue: None, late: false, ..seen };
        prop_assert_eq!(judge(&seen, &limits), LivenessVerdict::Well);
    }
}
