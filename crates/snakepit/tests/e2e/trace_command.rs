//! `snakepit trace` beside a program whose tool waits, and after the program's end.

use std::fs;
use std::sync::Arc;

use serde_json::Value as Json;
use snakepit::args;
use snakepit::diag::{Hosts, Trace};
use tokio::sync::OnceCell;

use crate::diagnostics::Host;
use crate::nested::recursive;
use crate::sessions::builder;

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

#[tokio::test(flavor = "multi_thread")]
async fn arrows_lead_over_a_host_tool_into_the_call_that_it_makes() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("pit");
    let whole = Arc::new(OnceCell::new());
    let host = builder(2).data_dir(&data).host_tool(recursive(&whole));
    let snakepit = host.start().await.unwrap();
    whole.set(snakepit.downgrade()).unwrap();
    let depth = args! { "depth" => 1 };
    snakepit.execute::<i64>("again", depth).await.unwrap();
    let recorded = Hosts::find(&data).unwrap().recordings(None).unwrap();
    let calls = &recorded.pools[0].calls;
    let tools = recorded.host_tools.as_ref().unwrap();
    let outer = calls.iter().find(|call| call.caller.is_none()).unwrap();
    let inner = calls.iter().find(|call| call.caller.is_some()).unwrap();
    let [tool] = &tools.calls[..] else {
        panic!("one call of a host tool: {tools:?}");
    };
    assert_eq!((&*tool.tool, tool.outcome), ("again", "ok"));
    assert_eq!(
        (tool.caller, &tool.worker, inner.caller),
        (Some(outer.call), &outer.worker, Some(tool.call))
    );
    let trace = Trace::of(&recorded.run, &recorded.pools, Some(tools), usize::MAX);
    assert_eq!(trace.size(), "3 calls in 3 lanes");
    let trace = serde_json::to_value(trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let arrows = events.iter().filter(|event| event["cat"] == "caller");
    assert_eq!(arrows.count(), 4, "{trace}");
    snakepit.shutdown().await;
}
