//! One test for each way to misbehave, with the names of the functions in `worker/`.

use crate::host::{FULL, Report, attack};

/// Defines a test for each mode, which asserts that the host survives and that the innocent call is
/// answered.
macro_rules! modes {
    ($($mode:ident)*) => {$(
        #[test]
        fn $mode() {
            let report = attack(stringify!($mode));
            assert!(!report.outcomes.is_empty(), "{report:?}");
        }
    )*};
}

modes! {
    body_of_2_to_the_64 head_of_4_gib body_of_4_gib_begun body_that_never_comes half_a_frame one_byte_at_a_time another_call twice
    chunks_after_the_end chunks_without_end large_chunks items_without_end items_of_wrong_length too_many_items wrong_kind
    kind_of_the_host unknown_kind reserved_bits array_of_4_gi map_of_4_gi bytes_of_4_gi extension_of_4_gi deep_arrays deep_maps
    deep_keys keys_that_double unknown_extension array_whose_size_overflows array_without_elements array_of_many_dimensions nils
    parts_without_end parts_of_nothing parts_of_two_calls parts_of_every_kind recall_never_answered recall_answered_twice
    recall_of_other_calls recall_answered_with_nonsense equal_keys bytes_behind_the_value no_bytes long_message many_notes many_causes cancels_of_nothing
    slots_without_end equal_tools nameless_tools schema_that_is_no_json deep_schema garbage never_described
    cancels_before_the_answer held_for_ever stopped_after_ages pong_of_nothing gil_of_a_megabyte pong_with_a_body
    head_that_never_comes flood_of_reports flood_of_secrets secret_of_a_megabyte secrets_of_words telemetry_garbage telemetry_of_a_megabyte telemetry_with_a_body
    telemetry_of_empty_records telemetry_dropped_for_ever telemetry_with_escapes span_that_was_not_asked_for span_of_garbage
    span_of_all_times span_in_an_error span_without_an_id_at_the_end one_variable_ten_thousand_times answers_that_nobody_reads
    every_operation_with_bad_bodies request_zero requests_of_other_calls flood_of_requests before_slot_taken_twice
    before_bad_preambles before_silent_connections before_connections_without_end
}

/// Asserts that all values of a mode came, that each way to use them ended, and that the host
/// went on.
#[track_caller]
fn values_are_used(mode: &str, least: usize) {
    let report = attack(mode);
    let values = report
        .outcomes
        .iter()
        .filter(|one| one.starts_with("value "));
    let failed = |one: &&String| one.contains(": SP5") || one.contains(": SP4");
    assert!(values.clone().count() >= least, "{report:?}");
    assert_eq!(values.filter(failed).count(), 0, "{report:?}");
}

#[test]
fn values_of_many_parts_are_refused_before_they_take_memory() {
    values_are_used("values_of_many_parts", 2);
}

#[test]
fn frames_that_mean_more_than_they_say_are_refused() {
    values_are_used("values_of_frames", 17);
}

#[test]
fn values_of_odd_kinds_are_values_or_errors() {
    values_are_used("values_of_odd_kinds", 140);
}

#[track_caller]
fn none_of(report: &Report, texts: &[&str]) {
    for text in texts {
        assert!(
            !report.outcomes.iter().any(|one| one.contains(text)),
            "{text}: {report:?}"
        );
    }
}

#[test]
fn the_codes_of_the_host_are_its_own() {
    for mode in ["code_of_the_host", "code_of_the_configuration"] {
        let report = attack(mode);
        assert!(report.outcomes[0].contains("SP3001"), "{report:?}");
        none_of(&report, &["call: SP5001", "call: SP1001"]);
    }
}

/// The process with most of the socket's places loses its oldest connections, and another process
/// keeps its own.
#[test]
fn silent_connections_take_the_places_of_their_own_process_alone() {
    // If the machine is too busy to answer before all connections are closed for their silence, the
    // test tries again.
    let said = |mark: &str| {
        let report = attack("before_silent_connections");
        let line = report.text.lines().find(|line| line.contains(mark));
        let found = line
            .and_then(|line| line.split(mark).nth(1)?.split(" worker=").next())
            .map(str::to_owned);
        found.unwrap_or_else(|| panic!("{report:?}"))
    };
    let told = (0..5)
        .map(|_| said("places: "))
        .find(|told| !told.contains("late"));
    let told = told.expect("it was in time once");
    let numbers: Vec<usize> = told
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [opened, lost, other_lost] = numbers[..] else {
        panic!("{told}");
    };
    assert!(opened > 300, "{told}");
    // 256 places, one of which the other process has.
    assert!(lost >= opened - 256, "{told}");
    assert_eq!(other_lost, 0, "{told}");
}

#[test]
fn an_orphan_of_a_dead_worker_does_not_answer() {
    let report = attack("dies_and_a_child_keeps_the_socket");
    assert!(report.outcomes[0].contains("SP5001"), "{report:?}");
    none_of(&report, &["ok", "SP4003"]);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let report = attack("invalid_utf8");
    let refused = report.outcomes[0].contains("the text at byte 1 is not UTF-8");
    assert!(refused, "{report:?}");
}

#[test]
fn what_is_decoded_into_the_callers_type_has_a_budget() {
    for mode in ["nils_beside_text", "lists_in_lists"] {
        let report = attack(mode);
        assert!(report.outcomes[0].contains("SP2010"), "{report:?}");
        assert!(report.outcomes[0].contains("more items"), "{report:?}");
    }
}

#[test]
fn escapes_reach_neither_terminal_nor_log() {
    for mode in [
        "escapes_in_an_error",
        "escapes_in_names",
        "escapes_in_the_failure",
    ] {
        let report = attack(mode);
        let forged = |line: &str| line.starts_with("SP4004 forged");
        assert!(!report.text.lines().any(forged), "{report:?}");
    }
}

#[test]
fn secrets_in_records_reach_no_log() {
    let report = attack("telemetry_with_secrets");
    for shown in ["sent token='<redacted>'", "raised token='<redacted>'"] {
        assert!(report.text.contains(shown), "{shown}: {report:?}");
    }
    assert!(!report.text.contains("hush-hush"), "{report:?}");
}

#[test]
fn a_flood_of_records_costs_little_and_holds_nobody_up() {
    let report = attack("telemetry_flood");
    let answered = |kind| report.outcomes.iter().any(|one| one.starts_with(kind));
    assert!(answered("call: ok"), "{report:?}");
    assert!(report.text.contains("telemetry.dropped"), "{report:?}");
    assert!(report.grown < 64 << 10, "{} KiB", report.grown);
}

#[test]
fn wrong_records_are_counted_and_a_right_one_behind_them_is_heard() {
    let report = attack("telemetry_of_wrong_records");
    assert!(report.outcomes[0].starts_with("call: ok"), "{report:?}");
    for name in ["tool.still heard", "telemetry.dropped"] {
        assert!(report.text.contains(name), "{name}: {report:?}");
    }
}

#[test]
fn labels_without_end_cost_a_bounded_memory_and_page() {
    let report = attack("telemetry_of_labels_without_end");
    assert!(report.page < 40 << 20, "{} bytes", report.page);
    assert!(report.grown < 128 << 10, "{} KiB", report.grown);
}

#[test]
fn measurements_forge_nothing_on_the_page_of_metrics() {
    let report = attack("telemetry_of_forged_metrics");
    assert!(report.outcomes[0].starts_with("call: ok"), "{report:?}");
    let page = report
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("@metric "));
    let page: Vec<_> = page.collect();
    assert!(
        page.iter().any(|line| line.starts_with("python_up")),
        "{page:#?}"
    );
    let mut series = std::collections::BTreeSet::new();
    for line in &page {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(!["up", "ALERTS"].contains(&name), "{line}");
        assert!(
            !line.contains("pool=\"other\"") && !line.starts_with('#'),
            "{line}"
        );
        let (labels, _) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(labels), "twice: {line}");
    }
}

#[test]
fn a_host_without_descriptors_says_so() {
    let report = attack(FULL);
    let [outcome] = &report.outcomes[..] else {
        panic!("{report:?}");
    };
    assert!(outcome.starts_with("start: SP5002"), "{report:?}");
    assert!(outcome.contains("Too many open files"), "{report:?}");
}
