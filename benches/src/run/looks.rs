//! Cost to a host of four reports a second, as `snakepit top` requests them.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use snakepit::diag::{AdminHost, AdminServer, Client, Hosts};
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::worker::Tail;
use snakepit_registry::{Registry, RegistryConfig};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Result;
use crate::cli::Plan;
use crate::host::current_thread;
use crate::row::{Row, Target};

const BENCH: &str = "looks";

/// Number of workers of the host.
const WORKERS: usize = 1000;

/// Reports a second.
const RATE: f64 = 4.0;

/// Time limit for all workers to become ready.
const START: Duration = Duration::from_secs(60);

/// Returns the CPU time of this thread.
fn cpu() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let looks = if plan.quick { 20 } else { 100 };
    let home = tempfile::tempdir()?;
    let data = home.path().join("pit");
    let (ready, started) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let of_host = data.clone();
    // The host has a separate thread, so that its CPU time is that of the thread.
    let host = std::thread::spawn(move || -> std::result::Result<Duration, String> {
        let runtime = current_thread().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let registry =
                Registry::open(RegistryConfig::new(&of_host)).map_err(|e| e.to_string())?;
            let state = HostState::new(HostStateConfig::new()).map_err(|e| e.to_string())?;
            let admin = AdminHost::new(&registry, state.events(), &Tail::default());
            let server = AdminServer::start(admin).map_err(|e| e.to_string())?;
            let profile = ScriptedProfile::new(1).with_state(state);
            let mut config = PoolConfig::new("bench");
            config.workers = WORKERS;
            let pool = Pool::start(config, Arc::new(profile)).map_err(|e| e.to_string())?;
            server.host().add_pool(&pool);
            pool.await_all_ready(START)
                .await
                .map_err(|e| e.to_string())?;
            let before = cpu().map_err(|e| e.to_string())?;
            // The receiver may have gone.
            let _ = ready.send(());
            let _ = stopped.await;
            let used = cpu().map_err(|e| e.to_string())?.saturating_sub(before);
            pool.close().await;
            server.stop().await;
            Ok(used)
        })
    });
    started.recv()?;
    let runtime = current_thread()?;
    let times: Result<Vec<Duration>> = runtime.block_on(async {
        let mut client = Client::connect(&Hosts::find(&data)?.only()?).await?;
        let mut times = Vec::new();
        for _ in 0..looks {
            let begun = Instant::now();
            client.look().await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    });
    let times = times?;
    // The host ends even if it does not receive this.
    let _ = stop.send(());
    let used = host.join().map_err(|_| "the host panicked")??;
    let mut millis: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    millis.sort_unstable_by(f64::total_cmp);
    let share = used.as_secs_f64() / f64::from(looks) * RATE * 100.0;
    let case = format!("{WORKERS} workers");
    Ok(vec![
        Row::of(BENCH, &case, ("CPU of the host at 4 looks/s", "%"), share)
            .target(Target::AtMost(1.0)),
        Row::of(
            BENCH,
            &case,
            ("p50 of a look", "ms"),
            millis[millis.len() / 2],
        )
        .target(Target::AtMost(30.0)),
    ])
}
