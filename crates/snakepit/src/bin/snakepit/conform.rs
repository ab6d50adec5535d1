//! `snakepit conform`: checks a worker of any executable against the contract of workers.

mod calls;
mod values;

use std::time::Duration;

use snakepit::diag::{Check, CheckStatus};
use snakepit::{BuildError, Error, PoolBuilder, Snakepit};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::foreign_options::ConformOptions;
use crate::output;
use crate::settings;
use crate::words::Command;

/// Time that a worker has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Time that a cancelled tool has to end.
const CANCEL: Duration = Duration::from_secs(2);

pub(crate) async fn run(options: &ConformOptions) -> Result<(), Failure> {
    settings::refuse("conform")?;
    let Some(command) = Command::of(&options.foreign)? else {
        return Err(Failure::usage(
            snakepit::ErrorCode::WrongUsage,
            "`--command` is missing",
            "write for example snakepit conform --command 'node worker.js'",
        ));
    };
    let checks = checks(command, options).await;
    if options.json {
        output::document(&serde_json::json!(checks))?;
    } else {
        checks
            .iter()
            .try_for_each(|check| output::block(&check.to_string()))?;
    }
    let failed = checks
        .iter()
        .any(|check| check.status == CheckStatus::Failed);
    if failed { Err(Failure::Checks) } else { Ok(()) }
}

/// Runs the checks in order. Those that need a running worker follow its start.
async fn checks(command: Command, options: &ConformOptions) -> Vec<Check> {
    let slots = command.slots();
    let pool = PoolBuilder::command("conform", command.words.clone())
        .workers(1)
        .call_timeout(options.timeout)
        .stream_timeout(options.timeout)
        .start_timeout(options.timeout)
        .configure(|config| {
            config.restart.max_restarts = 2;
            config.stop_grace = GRACE;
            config.drain_timeout = Duration::ZERO;
            config.cancel_grace = CANCEL;
        });
    let pool = command.apply(pool).configure_command(|command| {
        if !options.clean_env {
            command.inherit_env.push("*".to_owned());
        }
    });
    let began = Instant::now();
    let snakepit = match Snakepit::builder().pool(pool).start().await {
        Ok(snakepit) => snakepit,
        Err(error) => return vec![not_started(&error)],
    };
    let mut checks = vec![Check::ok(
        "start",
        format!("ready after {:.0?}", began.elapsed()),
    )];
    checks.extend(description(&snakepit, slots));
    let kit = calls::Kit::new(&snakepit, options.timeout);
    checks.extend(kit.unknown_tool().await);
    checks.push(values::check(&kit).await);
    checks.push(values::large(&kit).await);
    checks.push(kit.streams().await);
    checks.push(kit.batches().await);
    checks.push(kit.failures().await);
    checks.push(kit.slots(slots).await);
    checks.push(kit.cancellation().await);
    checks.extend(end(snakepit).await);
    checks
}

fn not_started(error: &BuildError) -> Check {
    let help = match error {
        BuildError::Start { error, .. } => match &**error {
            Error::Start { source, .. } => source.help.clone(),
            _ => None,
        },
        BuildError::Profile { error, .. } => error.help.clone(),
        _ => None,
    };
    let detail = format!("{error} ({})", error.code());
    Check::new("start", CheckStatus::Failed, detail, help)
}

/// Checks what the worker says of itself.
fn description(snakepit: &Snakepit, slots: u16) -> Vec<Check> {
    let tools = snakepit.tools();
    if tools.is_empty() {
        let detail = "the worker has no tools, or does not answer `Describe`";
        let help = "implement `Describe`; without it, callers have to know the tools";
        return vec![Check::new(
            "description",
            CheckStatus::Warning,
            detail,
            Some(help.to_owned()),
        )];
    }
    let bare: Vec<&str> = tools
        .iter()
        .filter(|tool| tool.parameters.get("type").and_then(|it| it.as_str()) != Some("object"))
        .map(|tool| tool.name.as_str())
        .collect();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let detail = format!("{slots} slots; tools: {}", names.join(", "));
    let mut checks = vec![Check::ok("description", detail)];
    if !bare.is_empty() {
        let detail = format!("no schema of an object: {}", bare.join(", "));
        let help = "describe the arguments in `parameters_schema`, so that callers can check them";
        checks.push(Check::new(
            "schemas",
            CheckStatus::Warning,
            detail,
            Some(help.to_owned()),
        ));
    } else {
        checks.push(Check::ok("schemas", "every tool describes its arguments"));
    }
    checks
}

/// Ends the worker, and checks that it ends by itself and leaves nothing.
async fn end(snakepit: Snakepit) -> Vec<Check> {
    let began = Instant::now();
    let report = snakepit.shutdown().await;
    let took = began.elapsed();
    let ended = if took < GRACE {
        Check::ok("end", format!("ended {took:.0?} after SIGTERM"))
    } else {
        let detail = format!("did not end within {GRACE:?} after SIGTERM, and was killed");
        let help = "stop the server on SIGTERM, then exit";
        Check::new("end", CheckStatus::Failed, detail, Some(help.to_owned()))
    };
    let left: Vec<i32> = report
        .killed
        .iter()
        .chain(&report.leftover)
        .copied()
        .collect();
    let left = if left.is_empty() {
        Check::ok("processes", "none is left")
    } else {
        let detail = format!("the worker left processes that had to be killed: {left:?}");
        let help =
            "end these processes before the worker exits, and keep them in its process group";
        Check::new(
            "processes",
            CheckStatus::Failed,
            detail,
            Some(help.to_owned()),
        )
    };
    vec![ended, left]
}
