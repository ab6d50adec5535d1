//! A host with a run, a pool of scripted workers and the admin service.

use std::path::PathBuf;
use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::events::Events;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use snakepit_core::worker::{LogLine, Tail};
use snakepit_diag::{AdminHost, AdminServer, Client, Hosts, RunningHost};
use snakepit_registry::{Registry, RegistryConfig};

/// Longer than any step takes in a healthy test.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Host {
    pub(crate) data: PathBuf,
    pub(crate) registry: Registry,
    pub(crate) profile: ScriptedProfile,
    pub(crate) pool: Pool,
    pub(crate) events: Events,
    pub(crate) lines: Tail<LogLine>,
    pub(crate) server: Option<AdminServer>,
    _home: Option<tempfile::TempDir>,
}

impl Host {
    pub(crate) async fn start(workers: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("pit");
        let mut host = Self::start_in(data, workers).await;
        host._home = Some(home);
        host
    }

    /// Starts a host in a data directory that other hosts may share.
    pub(crate) async fn start_in(data: PathBuf, workers: usize) -> Self {
        let registry = Registry::open(RegistryConfig::new(&data)).unwrap();
        let state = HostState::new(HostStateConfig::new()).unwrap();
        let events = state.events().clone();
        let lines = Tail::default();
        let admin = AdminHost::new(&registry, &events, &lines);
        let server = AdminServer::start(admin).unwrap();
        let profile = ScriptedProfile::new(1).with_state(state);
        let mut config = PoolConfig::new("main");
        config.workers = workers;
        let pool = Pool::start(config, std::sync::Arc::new(profile.clone())).unwrap();
        server.host().add_pool(&pool);
        pool.await_all_ready(LONG).await.unwrap();
        Self {
            data,
            registry,
            profile,
            pool,
            events,
            lines,
            server: Some(server),
            _home: None,
        }
    }

    pub(crate) fn hosts(&self) -> Hosts {
        Hosts::find(&self.data).unwrap()
    }

    pub(crate) fn found(&self) -> RunningHost {
        self.hosts().only().unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.found()).await.unwrap()
    }

    pub(crate) async fn call(&self, tool: &str) -> Result<Payload, Error> {
        call(&self.pool, tool).await
    }

    /// Starts a call and waits until a worker runs it. Also returns the call's number.
    pub(crate) async fn running(
        &self,
        tool: &'static str,
    ) -> (u64, tokio::task::JoinHandle<Result<Payload, Error>>) {
        let pool = self.pool.clone();
        let calling =
            tokio_util::task::TaskTracker::new().spawn(async move { call(&pool, tool).await });
        let mut client = self.client().await;
        loop {
            let report = client.report().await.unwrap();
            let calls = &report.pools[0].calls;
            if let Some(call) = calls.iter().find(|call| call.tool == tool) {
                return (call.call, calling);
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn call(pool: &Pool, tool: &str) -> Result<Payload, Error> {
    let args = Payload::encode(&1).unwrap();
    pool.execute(tool, args, &CallOptions::new()).await
}
