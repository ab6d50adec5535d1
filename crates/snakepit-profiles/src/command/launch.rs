//! The start of a command, until the worker has described itself.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_core::id::SessionId;
use snakepit_core::worker::StartContext;
use snakepit_grpc::link::Source;
use snakepit_grpc::service::{Address, ConnectError, GrpcWorker, PeerTool};
use snakepit_grpc::worker_env;
use snakepit_redact::Known;
use snakepit_registry::CommandSpec;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::failure::{Failure, not_spawned};
use super::host::Host;
use super::ready::Signs;
use super::worker::CommandWorker;
use super::{CommandRuntime, Readiness, Shared, listener};
use crate::child::Process;
use crate::worker_dir::WorkerDir;

/// Variable with the file into which a worker writes its port; a name of the original library.
const READY_FILE: &str = "SNAKEPIT_READY_FILE";

/// Variable with the address of the host, for gRPC clients; a name of the original library.
const HOST: &str = "SNAKEPIT_GRPC_ADDRESS";

/// Settings of workers of the original library: the death pipe replaces their heartbeats, and
/// their traces would be printed.
const OF_THE_ORIGINAL: [(&str, &str); 2] = [
    ("SNAKEPIT_HEARTBEAT_CONFIG", "{\"enabled\":false}"),
    ("SNAKEPIT_OTEL_CONSOLE", "false"),
];

/// Arguments that servers of the original library need.
const ARGS_OF_THE_ORIGINAL: [(&str, &str); 2] = [("--port", "0"), ("--elixir-address", "{host}")];

/// Threads of a server beyond one for each slot, for pings and telemetry.
const SPARE_THREADS: u32 = 2;

/// Number of signs in the output that wait to be read; a worker gives one.
const LINES: usize = 16;

/// Pause between two attempts to connect to a worker that has announced its readiness.
const AGAIN: Duration = Duration::from_millis(10);

/// Time for the exit status of a process that has closed its connection.
const EXIT: Duration = Duration::from_millis(500);

/// Starts one worker. Dropping the future kills it.
pub(super) async fn launch(
    shared: &Arc<Shared>,
    state: Option<&HostState>,
    context: &StartContext,
) -> Result<Arc<CommandWorker>, StartError> {
    let host = match state {
        Some(state) => Some(shared.door.host(state, shared).await?),
        None => None,
    };
    let place = WorkerDir::create(&shared.run).await?;
    if let Readiness::Address(address) = shared.config.ready
        && tokio::net::TcpStream::connect(address).await.is_ok()
    {
        return Err(taken(&address.to_string(), context));
    }
    let address = host.as_ref().map(|host| &*host.address);
    let spec = command(shared, context, &place, address);
    let variables = spec.env.iter();
    let variables = variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    let known = Arc::new(Known::of_variables(variables));
    let (sender, lines) = mpsc::channel(LINES);
    let log = match &shared.config.ready {
        Readiness::Any => shared.log.announcing(Readiness::PREFIX, sender),
        Readiness::Line(prefix) => shared.log.announcing(prefix, sender),
        _ => shared.log.clone(),
    };
    let process = Process::spawn(
        &shared.run,
        spec,
        &context.worker,
        (&log, &known),
        &shared.tasks,
    )
    .await
    .map_err(|error| not_spawned(shared, &error))?;
    drop(log);
    let entry = shared.door.enter(process.pid(), &context.worker);
    let failure = Failure {
        shared,
        context,
        process: &process,
    };
    let mut signs = Signs {
        kind: shared.config.ready.clone(),
        socket: place.path().join("s"),
        file: place.path().join("r"),
        lines,
    };
    let mut stage = Stage::Waiting;
    let outcome = tokio::select! {
        biased;
        outcome = tokio::time::timeout(
            context.timeout,
            meet(&mut signs, &mut stage, &process, context, host.as_ref()),
        ) => outcome,
        exit = process.exited() => return Err(failure.exited(&exit)),
    };
    let (link, tools) = match (outcome, &stage) {
        (Ok(Ok(met)), _) => met,
        (Ok(Err(problem)), _) => {
            // A process that has ended is the cause of a lost connection.
            let lost = matches!(
                problem,
                Problem::Unusable(ConnectError::Rpc { .. } | ConnectError::Unreachable { .. })
            );
            if lost && let Ok(exit) = tokio::time::timeout(EXIT, process.exited()).await {
                return Err(failure.exited(&exit));
            }
            return Err(match problem {
                Problem::Sign(reason) => failure.bad_sign(&reason),
                Problem::Unusable(reason) => failure.unusable(reason),
            });
        }
        (Err(_), Stage::Waiting) => return Err(failure.not_ready(&signs)),
        (Err(_), Stage::Unreachable(error)) => return Err(failure.unusable(error.clone())),
        (Err(_), Stage::Connected(address)) => return Err(failure.not_described(address)),
    };
    let slots = link.info().slots;
    if slots != 0 && slots < shared.config.slots.get() {
        return Err(failure.few_slots(slots));
    }
    process.note_ready();
    if !shared.config.dependent {
        process.let_live();
    }
    Ok(CommandWorker::new(
        link,
        tools,
        process,
        (place, entry),
        context,
    ))
}

/// A stage of a start, with what is known then.
enum Stage {
    /// The worker has given no sign.
    Waiting,
    /// It has, but there is no connection.
    Unreachable(ConnectError),
    /// Something accepts connections at this address.
    Connected(String),
}

/// The reason why a running worker cannot be used.
enum Problem {
    Sign(String),
    Unusable(ConnectError),
}

/// Waits for a sign, connects, and reads the description. Returns the tools that the worker has
/// registered with its host instead.
async fn meet(
    signs: &mut Signs,
    stage: &mut Stage,
    process: &Process,
    context: &StartContext,
    host: Option<&Host>,
) -> Result<(GrpcWorker, Vec<PeerTool>), Problem> {
    let address: Address = signs.first().await.map_err(Problem::Sign)?;
    *stage = Stage::Connected(address.to_string());
    let link = loop {
        let source = Source::new(
            context.pool.clone(),
            context.worker.clone(),
            context.events.clone(),
        );
        let connecting = GrpcWorker::connect(
            address.clone(),
            listener::check(process.pid(), &address),
            source,
            SessionId::from(format!("worker-{}", context.worker)),
            context.max_payload,
        );
        match connecting.await {
            Ok(link) => break link,
            Err(error @ ConnectError::Unreachable { .. }) => {
                *stage = Stage::Unreachable(error);
                sleep(AGAIN).await;
            }
            Err(error) => return Err(Problem::Unusable(error)),
        }
    };
    signs.check(&address).map_err(Problem::Sign)?;
    let mut tools = Vec::new();
    if let (Some(host), Some(session)) = (host, link.private_session()) {
        link.probe().await;
        tools = host.server.tools_of(session, &context.worker);
    }
    Ok((link, tools))
}

/// Returns the error of an address at which another process listens already.
fn taken(address: &str, context: &StartContext) -> StartError {
    let worker = &context.worker;
    let message = format!(
        "worker `{worker}` cannot listen at {address}: another process accepts connections there"
    );
    let mut error = StartError::new(ErrorCode::StartFailed, message);
    error.help = Some("end that process, or set another address in `ready`".to_owned());
    error
}

fn command(
    shared: &Shared,
    context: &StartContext,
    place: &WorkerDir,
    host: Option<&str>,
) -> CommandSpec {
    let config = &shared.config;
    let socket = place.path().join("s").to_string_lossy().into_owned();
    let ready_file = place.path().join("r").to_string_lossy().into_owned();
    let slots = config.slots.to_string();
    let dependent = u8::from(config.dependent).to_string();
    let limit = context.max_payload.to_string();
    let ours = [
        (worker_env::ID, context.worker.as_str()),
        (worker_env::SOCKET, &socket),
        (worker_env::SLOTS, &slots),
        (worker_env::MAX_PAYLOAD, &limit),
        (worker_env::DEPENDENT, &dependent),
        (READY_FILE, &ready_file),
    ];
    let ours = ours.into_iter().chain(host.map(|host| (HOST, host)));
    let threads = (u32::from(config.slots.get()) + SPARE_THREADS).to_string();
    let filled = |arg: &String| {
        let arg = arg
            .replace("{threads}", &threads)
            .replace("{socket}", &socket)
            .replace("{ready_file}", &ready_file);
        let arg = arg.replace("{host}", host.unwrap_or_default());
        OsString::from(
            arg.replace("{worker}", context.worker.as_str())
                .replace("{slots}", &slots),
        )
    };
    let mut spec = CommandSpec::new(&shared.program);
    let added = match config.runtime {
        CommandRuntime::Described => &[][..],
        CommandRuntime::Original => &ARGS_OF_THE_ORIGINAL,
    };
    // An argument of the settings has precedence.
    let added = added
        .iter()
        .filter(|(name, _)| !config.args.iter().any(|arg| is_option(arg, name)));
    let added: Vec<String> = added
        .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()])
        .collect();
    spec.args = config.args.iter().chain(&added).map(filled).collect();
    spec.cwd = Some(shared.working_dir.clone());
    spec.dependent = config.dependent;
    spec.containment = Some(config.containment);
    let mut environment = shared.environment.clone();
    // That of an outer host, if this program runs in a worker.
    environment.remove(OsStr::new(HOST));
    for (name, value) in OF_THE_ORIGINAL {
        environment
            .entry(name.into())
            .or_insert_with(|| value.into());
    }
    environment.extend(ours.map(|(name, value)| (name.into(), value.into())));
    spec.env = environment.into_iter().collect();
    spec
}

/// Returns `true` for the option of this name, with or without its value.
fn is_option(arg: &str, name: &str) -> bool {
    let rest = arg.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_recognised_with_and_without_its_value() {
        for (arg, expected) in [
            ("--port", true),
            ("--port=5000", true),
            ("--ports", false),
            ("port", false),
        ] {
            assert_eq!(is_option(arg, "--port"), expected, "{arg}");
        }
    }
}
