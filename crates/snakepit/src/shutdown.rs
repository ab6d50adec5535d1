//! The shutdown in order: the gate, the pools, and the remains of the run.

use futures_util::future::join_all;
use tokio::sync::OnceCell;

#[cfg(feature = "process")]
use crate::StartError;
use crate::{HostState, Pool, RecycleBudget};

/// The result of a shutdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Processes that were killed after the pools had closed, for example children of tools that
    /// had left their process group.
    pub killed: Vec<i32>,
    /// Processes that were killed and did not die in time. Usually empty.
    pub leftover: Vec<i32>,
    /// Processes that are configured to outlive their host.
    pub independent: Vec<i32>,
    /// The error of the cleanup. `None` if it succeeded.
    pub problem: Option<String>,
}

/// State and resources that all pools of the host share.
#[derive(Debug)]
pub(crate) struct Host {
    #[cfg(feature = "process")]
    run: Option<snakepit_profiles::Run>,
    state: HostState,
    recycle_budget: RecycleBudget,
    report: OnceCell<ShutdownReport>,
    #[cfg(feature = "telemetry")]
    telemetry: Option<crate::telemetry::Attached>,
    #[cfg(feature = "diag")]
    admin: Option<snakepit_diag::AdminServer>,
}

#[cfg(feature = "process")]
impl Host {
    /// Opens the run of this host.
    pub(crate) async fn open(
        state: HostState,
        data_dir: Option<std::path::PathBuf>,
    ) -> Result<Self, StartError> {
        let events = state.events().clone();
        let open = move || snakepit_profiles::Run::open_with(data_dir.as_deref(), &events);
        let run = tokio::task::spawn_blocking(open).await;
        let run = run.map_err(|_| {
            StartError::new(
                crate::ErrorCode::StartFailed,
                "the runtime is shutting down",
            )
        })??;
        Ok(Self::with_run(state, run))
    }

    /// Creates a host that records its workers in this run.
    pub(crate) fn with_run(state: HostState, run: snakepit_profiles::Run) -> Self {
        Self {
            run: Some(run),
            ..Self::new(state)
        }
    }

    pub(crate) const fn run(&self) -> Option<&snakepit_profiles::Run> {
        self.run.as_ref()
    }

    async fn close_gate(&self) {
        if let Some(run) = self.run.clone() {
            // Fails only if the runtime is shutting down.
            let _ = tokio::task::spawn_blocking(move || run.close_gate()).await;
        }
    }

    async fn close(&self) -> ShutdownReport {
        let Some(run) = self.run.clone() else {
            return ShutdownReport::default();
        };
        let closed = tokio::task::spawn_blocking(move || run.close()).await;
        let mut report = ShutdownReport::default();
        match closed {
            Ok(Ok(closed)) => {
                report.killed = closed.killed;
                report.leftover = closed.leftover;
                report.independent = closed.independent.iter().map(|left| left.pid).collect();
            }
            Ok(Err(error)) => report.problem = Some(error.to_string()),
            Err(error) => report.problem = Some(error.to_string()),
        }
        report
    }
}

#[cfg(not(feature = "process"))]
impl Host {
    async fn close_gate(&self) {}

    async fn close(&self) -> ShutdownReport {
        ShutdownReport::default()
    }
}

#[cfg(feature = "telemetry")]
impl Host {
    /// Sets the exporters.
    pub(crate) fn with_telemetry(self, telemetry: Option<crate::telemetry::Attached>) -> Self {
        Self { telemetry, ..self }
    }

    pub(crate) const fn telemetry(&self) -> Option<&crate::telemetry::Attached> {
        self.telemetry.as_ref()
    }
}

#[cfg(feature = "diag")]
impl Host {
    /// Serves the admin socket if it is `wanted` and there is a run. Without it the host works as
    /// usual.
    pub(crate) fn with_admin(self, wanted: bool) -> Self {
        let Some(run) = self.run().filter(|_| wanted) else {
            return self;
        };
        let host =
            snakepit_diag::AdminHost::new(run.registry(), self.state.events(), run.last_lines());
        host.add_host_tools(self.state.tools());
        match snakepit_diag::AdminServer::start(host) {
            Ok(admin) => Self {
                admin: Some(admin),
                ..self
            },
            Err(error) => {
                tracing::warn!(%error, "the admin service could not start");
                self
            }
        }
    }

    pub(crate) const fn admin(&self) -> Option<&snakepit_diag::AdminServer> {
        self.admin.as_ref()
    }
}

impl Host {
    /// Creates a host whose pools record no workers.
    pub(crate) fn new(state: HostState) -> Self {
        Self {
            #[cfg(feature = "process")]
            run: None,
            state,
            recycle_budget: RecycleBudget::new(),
            report: OnceCell::new(),
            #[cfg(feature = "telemetry")]
            telemetry: None,
            #[cfg(feature = "diag")]
            admin: None,
        }
    }

    pub(crate) const fn state(&self) -> &HostState {
        &self.state
    }

    /// Returns the budget that bounds the replacements of all pools together.
    pub(crate) const fn recycle_budget(&self) -> &RecycleBudget {
        &self.recycle_budget
    }

    /// Adds a pool to the metrics and to the admin service, if there are any.
    pub(crate) fn watch(&self, pool: &Pool) {
        #[cfg(feature = "diag")]
        if let Some(admin) = &self.admin {
            admin.host().add_pool(pool);
        }
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.add_pool(pool);
        }
        let _ = pool;
    }

    /// Stops the admin service.
    pub(crate) async fn end_admin(&self) {
        #[cfg(feature = "diag")]
        if let Some(admin) = &self.admin {
            admin.stop().await;
        }
    }

    /// Flushes the exporters if they end with the host.
    pub(crate) async fn end_telemetry(&self) {
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.end().await;
        }
    }

    /// Shuts down in order. All callers receive the report of the first.
    pub(crate) async fn shutdown(&self, pools: &[Pool]) -> ShutdownReport {
        let end = async {
            // First, since a worker that starts later would be missed.
            let gate = self.close_gate();
            let pools = join_all(pools.iter().map(Pool::close));
            tokio::join!(gate, pools);
            // Until now, running tools could still use the state.
            self.state.close().await;
            self.end_admin().await;
            let report = self.close().await;
            if !report.leftover.is_empty() {
                tracing::error!(pids = ?report.leftover, "workers were killed and did not die in time");
            }
            // Last, so that everything before is exported.
            self.end_telemetry().await;
            report
        };
        self.report.get_or_init(|| end).await.clone()
    }

    /// Kills the workers without waiting for calls.
    pub(crate) async fn kill(&self) -> ShutdownReport {
        self.close().await
    }
}
