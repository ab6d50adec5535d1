//! `snakepit trace` beside a program whose tool waits, and after the program's end.

use std::fs;

use serde_json::Value as Json;

use crate::diagnostics::Host;

#[test]
fn a_trace_is_written_of_a_host_that_runs_and_of_one_that_was_killed() {
    let mut host = Host::start();
    let written = host.run(&["trace", "-o", "trace.json"]);
    assert_eq!(written.status, Some(0), "{written:?}");
    assert!(
        written
            .stdout
            .starts_with("wrote trace.json: 1 call in 1 lane"),
        "{written:?}"
    );
    let file = fs::read_to_string(host.dir().join("trace.json")).unwrap();
    let trace: Json = serde_json::from_str(&file).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slice = events.iter().find(|event| event["ph"] == "X").unwrap();
    assert_eq!(
        (&slice["name"], &slice["args"]["outcome"]),
        (&"wait".into(), &"running".into())
    );
    let lane = events
        .iter()
        .find(|event| event["name"] == "thread_name")
        .unwrap();
    assert_eq!(
        (&lane["args"]["name"], &lane["tid"]),
        (&"main-1".into(), &slice["tid"])
    );
    let unknown = host.run(&["trace", "--pool", "gpu"]);
    assert_eq!(unknown.status, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("error[SP1003]"), "{unknown:?}");
    let nowhere = host.run(&["trace", "-o", "no/where"]);
    assert_eq!(nowhere.status, Some(1), "{nowhere:?}");
    let run = host.json(&["ps"])[0]["run"].as_str().unwrap().to_owned();
    host.kill();
    host.child.wait().unwrap();
    let left = host.run(&["trace", "--run", &run[..8]]);
    assert_eq!(left.status, Some(0), "{left:?}");
    let left: Json = serde_json::from_str(&left.stdout).unwrap();
    assert_eq!(left["otherData"]["run"], *run);
    assert_eq!(left["traceEvents"].as_array().unwrap().len(), events.len());
}
