//! Variables of other programs: they are not keys and do not fail a start.

use snakepit_profiles::variables::{WORKER_PREFIX, WORKER_SETTINGS};

use super::{failure, load};
use crate::ErrorCode;

const POOL: &str = "[pools.main]\nadapter = 'tools.py'\n";

#[test]
fn a_worker_starts_programs_with_its_own_variables() {
    let names = [
        "LINK",
        "ID",
        "CONCURRENCY",
        "EVENT_LOOP",
        "COOKIES",
        "NEWER",
    ];
    for name in names {
        let name = format!("{WORKER_PREFIX}{name}");
        load(POOL, &[(&name, "0")]).1.unwrap();
    }
    for name in WORKER_SETTINGS {
        load(POOL, &[(name, "marker")]).1.unwrap();
    }
}

#[test]
fn those_of_the_original_library_are_left_alone() {
    for (name, value) in [
        ("SNAKEPIT_HEARTBEAT_CONFIG", "{\"enabled\": true}"),
        ("SNAKEPIT_GRPC_ADDRESS", "localhost:50051"),
        ("SNAKEPIT_READY_FILE", "ready"),
        ("SNAKEPIT_LOG_LEVEL", "error"),
    ] {
        load(POOL, &[(name, value)]).1.unwrap();
    }
}

#[test]
fn kubernetes_may_have_a_service_of_this_name() {
    for (name, value) in [
        ("SNAKEPIT_SERVICE_HOST", "10.0.0.11"),
        ("SNAKEPIT_SERVICE_PORT", "8080"),
        ("SNAKEPIT_SERVICE_PORT_HTTP_ALT", "8080"),
        ("SNAKEPIT_PORT", "tcp://10.0.0.11:8080"),
        ("SNAKEPIT_PORT_8080_TCP", "tcp://10.0.0.11:8080"),
        ("SNAKEPIT_PORT_8080_TCP_PROTO", "tcp"),
        ("SNAKEPIT_PORT_8080_TCP_PORT", "8080"),
        ("SNAKEPIT_PORT_8080_TCP_ADDR", "10.0.0.11"),
        ("SNAKEPIT_PORT_53_UDP", "udp://10.0.0.11:53"),
        ("SNAKEPIT_POOLS_SERVICE_HOST", "10.0.0.11"),
        ("SNAKEPIT_POOLS_PORT", "tcp://10.0.0.11:8080"),
        ("SNAKEPIT_DATA_DIR_PORT_8080_TCP_ADDR", "10.0.0.11"),
    ] {
        load(POOL, &[(name, value)])
            .1
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_only_resembles_them_is_an_unknown_key() {
    for (name, value) in [
        ("SNAKEPIT_PORT", "8080"),
        ("SNAKEPIT_WORKERS", "2"),
        ("SNAKEPIT_SERVICE_PORT", "many"),
        ("SNAKEPIT_PORT_8080_HTTP", "8080"),
        ("SNAKEPIT_POOLS__MAIN__SERVICE_HOST", "10.0.0.11"),
        ("SNAKEPIT_POOLS__MAIN__PORT", "tcp://10.0.0.11:8080"),
        ("SNAKEPIT_UNSERIALISABLE", "marker"),
    ] {
        let (code, _, _, _, location) = failure(POOL, &[(name, value)]);
        assert_eq!((code, location.as_str()), (ErrorCode::UnknownKey, name));
    }
}
