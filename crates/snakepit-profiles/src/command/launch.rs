//! The start of a command, until the worker has described itself.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_core::id::SessionId;
use snakepit_core::worker::StartContext;
use snakepit_grpc::link::Source;
use snakepit_grpc::service::{Address, ConnectError, GrpcWorker};
use snakepit_grpc::worker_env;
use snakepit_redact::Known;
use snakepit_registry::CommandSpec;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::failure::{Failure, not_spawned};
use super::ready::Signs;
use super::worker::CommandWorker;
use super::{Readiness, Shared, listener};
use crate::child::Process;

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

/// Number of signs in the output that wait to be read; a worker gives one.
const LINES: usize = 16;

/// Pause between two attempts to connect to a worker that has told that it is ready.
const AGAIN: Duration = Duration::from_millis(10);

/// Time for the exit status of a process that has closed its connection.
const EXIT: Duration = Duration::from_millis(500);

/// Number of the next directory of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The private directory of one worker, with its socket and its ready file. Dropping it removes
/// the directory.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    fn create(shared: &Shared) -> Result<Self, StartError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let registry = shared.run.registry();
        // It creates directories again that a cleaner of temporary files has removed. If that
        // fails, so does the next step.
        let _ = registry.mend();
        let path = registry.socket_dir().join(format!("c{number}"));
        let created = std::fs::DirBuilder::new().mode(0o700).create(&path);
        created.map_err(|error| {
            let message = format!(
                "the directory {} cannot be created: {error}",
                path.display()
            );
            let mut error = StartError::new(ErrorCode::StartFailed, message);
            error.help = Some("set TMPDIR to a short, writable path".to_owned());
            error
        })?;
        Ok(Self(path))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    fn ready_file(&self) -> PathBuf {
        self.0.join("r")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What remains is removed with the run.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts one worker. Dropping the future kills it.
pub(super) async fn launch(
    shared: &Arc<Shared>,
    state: Option<&HostState>,
    context: &StartContext,
) -> Result<Arc<CommandWorker>, StartError> {
    let host = match state {
        Some(state) => Some(shared.door.address(state, &shared.run).await?),
        None => None,
    };
    let place = {
        let shared = Arc::clone(shared);
        let creating = tokio::task::spawn_blocking(move || Place::create(&shared));
        creating.await.map_err(|_| crate::ground::closing())??
    };
    if let Readiness::Address(address) = shared.config.ready
        && tokio::net::TcpStream::connect(address).await.is_ok()
    {
        return Err(taken(&address.to_string(), context));
    }
    let spec = command(shared, context, &place, host.as_deref());
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
    let failure = Failure {
        shared,
        context,
        process: &process,
    };
    let mut signs = Signs {
        kind: shared.config.ready.clone(),
        socket: place.socket(),
        file: place.ready_file(),
        lines,
    };
    let mut stage = Stage::Waiting;
    let outcome = tokio::select! {
        biased;
        outcome = tokio::time::timeout(
            context.timeout,
            meet(&mut signs, &mut stage, &process, context),
        ) => outcome,
        exit = process.exited() => return Err(failure.exited(&exit)),
    };
    let link = match (outcome, &stage) {
        (Ok(Ok(link)), _) => link,
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
    Ok(CommandWorker::new(link, process, place, context))
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

/// Waits for a sign, connects, and reads the description.
async fn meet(
    signs: &mut Signs,
    stage: &mut Stage,
    process: &Process,
    context: &StartContext,
) -> Result<GrpcWorker, Problem> {
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
    Ok(link)
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
    place: &Place,
    host: Option<&str>,
) -> CommandSpec {
    let config = &shared.config;
    let socket = place.socket().to_string_lossy().into_owned();
    let ready_file = place.ready_file().to_string_lossy().into_owned();
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
    let filled = |arg: &String| {
        let arg = arg
            .replace("{socket}", &socket)
            .replace("{ready_file}", &ready_file);
        let arg = arg.replace("{host}", host.unwrap_or_default());
        OsString::from(
            arg.replace("{worker}", context.worker.as_str())
                .replace("{slots}", &slots),
        )
    };
    let mut spec = CommandSpec::new(&shared.program);
    spec.args = config.args.iter().map(filled).collect();
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
