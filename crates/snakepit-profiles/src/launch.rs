//! The start of a worker, from the command to the description of its tools.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use snakepit_core::error::{ErrorCode, Stacks, StartError};
use snakepit_core::worker::{StartContext, WorkerInfo};
use snakepit_grpc::link::{ControlClient, DescribeError, HostRequests, LinkClient, Source};
use snakepit_grpc::pb::DescribeResponse;
use snakepit_grpc::preamble::{PROTOCOL_VERSION, Role, TOKEN_LEN, Token};
use snakepit_grpc::{convert, worker_env};
use snakepit_redact::Known;
use snakepit_registry::CommandSpec;

use crate::child::Process;
use crate::failure::Failure;
use crate::masking::Secrets;
use crate::recipe::Recipe;
use crate::rendezvous::Invitation;
use crate::shadowed::{self, Shadow};
use crate::stacks::without_secrets;
use crate::telemetry::Reports;
use crate::worker::PythonWorker;

/// The Python code that a worker runs. Python searches the working directory first, also for the
/// runtime; until the runtime is imported, this moves it to the end.
const BOOT: &str = "import sys; sys.path[:1] == [''] and sys.path.append(sys.path.pop(0)); import snakepit_bridge._boot";

/// Capability: one connection carries many concurrent calls.
const CONCURRENCY: &str = "concurrency";

/// Capability: the worker returns calls that it has not begun.
const RECALL: &str = "recall";

/// Capability: its stacks can be sampled.
const PROFILE: &str = "profile";

/// Capability: the worker reports telemetry of its code.
const TELEMETRY: &str = "telemetry";

/// A stage of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The process has not connected yet.
    Connecting,
    /// The worker loads its adapter.
    Loading,
}

/// Starts one worker. Dropping the future kills it.
pub(crate) async fn launch(
    recipe: &Recipe,
    host: Option<&Arc<dyn HostRequests>>,
    context: &StartContext,
) -> Result<PythonWorker, StartError> {
    let mut token = Token([0; TOKEN_LEN]);
    getrandom::fill(&mut token.0).map_err(|error| {
        StartError::new(
            ErrorCode::StartFailed,
            format!("no random token can be created: {error}"),
        )
    })?;
    mend(recipe).await?;
    let mut invitation =
        recipe
            .rendezvous
            .invite(&context.worker, token, recipe.connections().get());
    let spec = command(recipe, context, &token);
    let secrets = secrets(recipe);
    let process = Process::spawn(
        &recipe.run,
        spec,
        &context.worker,
        (&recipe.log, &secrets.0),
        &recipe.tasks,
    )
    .await
    .map_err(|error| crate::failure::not_spawned(recipe, &error))?;
    let failure = Failure {
        recipe,
        context,
        process: &process,
    };

    // Kept open until the last output has arrived: the process ends with its connections.
    let mut links = Links::new(recipe.connections());
    let reports = recipe.telemetry.of(context, &secrets);
    let deadline = context.timeout;
    let shared = recipe.config.concurrency.is_some();
    let outcome = tokio::select! {
        biased;
        outcome = tokio::time::timeout(
            deadline,
            connect(&mut invitation, &process, host, (context, &reports, &secrets), shared, &mut links),
        ) => outcome,
        exit = process.exited() => {
            // The process ended before it connected: Python itself may not have started.
            let shadow = match links.control {
                None => shadow(recipe).await,
                Some(_) => None,
            };
            return Err(shadow.map_or_else(|| failure.exited(&exit), |it| failure.shadowed(&it)));
        }
    };
    match outcome {
        Ok(Ok((info, can))) => {
            let slots = links.slots.into_iter().flatten().collect();
            let control = links
                .control
                .expect("a worker is described after it has connected");
            process.note_ready();
            if !recipe.config.dependent {
                process.let_live();
            }
            Ok(PythonWorker::new(
                info,
                slots,
                shared,
                can,
                control,
                (process, reports),
                context,
            ))
        }
        Ok(Err(Refusal::Adapter(error))) => {
            // The process exits by itself; its last output is worth a moment.
            let _ = tokio::time::timeout(Duration::from_millis(200), process.exited()).await;
            Err(failure.refused(error))
        }
        Ok(Err(Refusal::Version(version))) => Err(failure.other_version(version)),
        Ok(Err(Refusal::Lost(reason))) => {
            let exited = tokio::time::timeout(Duration::from_millis(500), process.exited()).await;
            match exited {
                Ok(exit) => Err(failure.exited(&exit)),
                Err(_) => Err(failure.lost(&reason)),
            }
        }
        Err(_) => {
            let mut error = failure.timed_out(links.stage());
            // Before the worker is ended, while its stacks can still be read.
            let stacks = links.stacks(context.stacks).await;
            error.stacks = stacks.map(|stacks| Box::new(without_secrets(stacks, &secrets)));
            Err(error)
        }
    }
}

/// Creates the set of secrets of a worker.
fn secrets(recipe: &Recipe) -> Secrets {
    let variables = Arc::clone(&recipe.secrets);
    let shared = Arc::clone(recipe.run.secrets());
    Secrets(Arc::new(Known::over(variables, Some(shared))))
}

/// Finds a file on the workers' search path that prevents Python from starting.
async fn shadow(recipe: &Recipe) -> Option<Shadow> {
    let path = recipe.environment.get(OsStr::new("PYTHONPATH"))?;
    let dirs = shadowed::on(path, &recipe.working_dir);
    shadowed::find(&recipe.run, &recipe.interpreter.executable, dirs).await
}

/// Checks that the socket for the worker still exists, and restores it if not.
async fn mend(recipe: &Recipe) -> Result<(), StartError> {
    let registry = recipe.run.registry().clone();
    let mended = tokio::task::spawn_blocking(move || registry.mend()).await;
    match mended.expect("nothing in it panics") {
        Ok(()) => recipe
            .rendezvous
            .mend()
            .map_err(|message| StartError::new(ErrorCode::StartFailed, message)),
        // The registry reports the error again, with details, when the worker is recorded.
        Err(_) => Ok(()),
    }
}

/// Optional capabilities of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capabilities {
    /// Returns calls that it has not begun.
    pub(crate) recall: bool,
    /// The worker's stacks can be sampled.
    pub(crate) profile: bool,
    /// Reports telemetry of its code.
    pub(crate) telemetry: bool,
}

/// The reason why a running worker cannot be used.
enum Refusal {
    Adapter(Box<snakepit_core::error::ToolError>),
    Version(u32),
    Lost(String),
}

/// The connections of a worker so far.
struct Links {
    slots: Vec<Option<LinkClient>>,
    control: Option<ControlClient>,
}

impl Links {
    fn new(slots: NonZeroU16) -> Self {
        Self {
            slots: (0..slots.get()).map(|_| None).collect(),
            control: None,
        }
    }

    /// Returns the stacks of a worker that has connected. `None` if it does not answer within
    /// `wait`.
    async fn stacks(&self, wait: Duration) -> Option<Stacks> {
        let control = self.control.as_ref().filter(|_| !wait.is_zero())?;
        let asked = tokio::time::timeout(wait, control.stacks(wait));
        asked.await.ok().flatten()
    }

    fn stage(&self) -> Stage {
        if self.control.is_some() && self.slots.iter().all(Option::is_some) {
            Stage::Loading
        } else {
            Stage::Connecting
        }
    }
}

async fn connect(
    invitation: &mut Invitation,
    process: &Process,
    host: Option<&Arc<dyn HostRequests>>,
    (context, reports, secrets): (&StartContext, &Arc<Reports>, &Secrets),
    shared: bool,
    links: &mut Links,
) -> Result<(WorkerInfo, Capabilities), Refusal> {
    while links.stage() == Stage::Connecting {
        match invitation.next().await {
            (Role::Slot(slot), stream) => {
                let limit = context.max_payload;
                // Only invited slots can connect.
                let link = match host {
                    Some(host) => {
                        let worker = context.worker.clone();
                        LinkClient::with_host(stream, limit, worker, Arc::clone(host))
                    }
                    None => LinkClient::new(stream, limit),
                };
                let source = Source::new(
                    context.pool.clone(),
                    context.worker.clone(),
                    context.events.clone(),
                )
                .masked(Arc::new(secrets.clone()));
                let link = link.of(source);
                links.slots[usize::from(slot)] = Some(if shared { link.shared() } else { link });
            }
            (Role::Control, stream) => {
                let reports = Arc::clone(reports);
                let take = Arc::new(move |head: Bytes| reports.take(&head));
                let known = Arc::clone(&secrets.0);
                let hide = Arc::new(move |value: &str| known.add(value).is_ok());
                links.control = Some(ControlClient::with_secrets(stream, take, hide));
            }
        }
    }
    let slot = links.slots[0]
        .as_ref()
        .expect("the loop ends with all connections");
    let description: DescribeResponse = slot.describe().await.map_err(|error| match error {
        DescribeError::Refused(error) => Refusal::Adapter(error),
        other => Refusal::Lost(other.to_string()),
    })?;
    if description.protocol_version != PROTOCOL_VERSION {
        return Err(Refusal::Version(description.protocol_version));
    }
    let can = |what: &str| description.capabilities.iter().any(|it| it == what);
    let capabilities = Capabilities {
        recall: can(RECALL),
        profile: can(PROFILE),
        telemetry: can(TELEMETRY),
    };
    if shared && !can(CONCURRENCY) {
        return Err(Refusal::Version(description.protocol_version));
    }
    let mut info = convert::worker_info(description);
    secrets.describe(&mut info);
    info.pid = Some(process.pid());
    Ok((info, capabilities))
}

/// Returns the command line that the running worker shows in `ps`.
fn title(recipe: &Recipe, context: &StartContext) -> String {
    let run = recipe.run.registry().run_id();
    format!(
        "snakepit worker {} pool {} run {run}",
        context.worker, context.pool
    )
}

fn command(recipe: &Recipe, context: &StartContext, token: &Token) -> CommandSpec {
    let mut spec = CommandSpec::new(&recipe.interpreter.executable)
        .arg("-c")
        .arg(BOOT)
        .arg(title(recipe, context));
    spec.cwd = Some(recipe.working_dir.clone());
    spec.dependent = recipe.config.dependent;
    // The worker unblocks them once it can tell their senders apart.
    spec.hold_signals = true;
    spec.containment = Some(recipe.config.containment);
    let passed = recipe.environment.iter();
    spec.env = passed
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let config = &recipe.config;
    let concurrency = config.concurrency.map_or(0, NonZeroU16::get);
    let ours: [(&str, OsString); 12] = [
        (worker_env::LINK, recipe.rendezvous.path().into()),
        (worker_env::TOKEN, token.to_hex().into()),
        (worker_env::ID, context.worker.as_str().into()),
        (worker_env::ADAPTER, config.adapter.as_str().into()),
        (worker_env::SLOTS, recipe.slots.to_string().into()),
        (
            worker_env::THREAD_SAFETY_CHECKS,
            config.thread_safety_checks.name().into(),
        ),
        (worker_env::CONCURRENCY, concurrency.to_string().into()),
        (worker_env::EVENT_LOOP, config.event_loop.name().into()),
        (worker_env::LOG_LEVELS, "1".into()),
        (
            worker_env::TELEMETRY,
            convert::telemetry_variable(&context.telemetry).into(),
        ),
        (
            worker_env::DEPENDENT,
            u8::from(config.dependent).to_string().into(),
        ),
        (
            worker_env::MAX_PAYLOAD,
            context.max_payload.to_string().into(),
        ),
    ];
    let strict = config.strict_hints.map(|strict| {
        let value = u8::from(strict).to_string();
        (worker_env::STRICT_HINTS, OsString::from(value))
    });
    let ours = || ours.iter().chain(&strict);
    spec.env
        .retain(|(name, _)| !ours().any(|(own, _)| name == own));
    for (name, value) in ours() {
        spec = spec.env(*name, value.clone());
    }
    spec
}
