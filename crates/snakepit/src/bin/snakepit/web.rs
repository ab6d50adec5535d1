//! `snakepit web`: a running host in the browser; `snakepit report --html`: the same page as a
//! file.

use std::fs;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use serde_json::json;
use snakepit::ErrorCode;
use snakepit::diag::web::{Document, PoolProfile, STACKS, WebError, WebServer, report_page};
use snakepit::diag::{
    AdminError, Client, Found, Hosts, Profiled, Report, RunningHost, WorkerStacks,
};

use crate::failure::Failure;
use crate::host_options::ReportOptions;
use crate::hosts::{data_dir, find, now, warn_of_left_out};
use crate::live_options::{SHORTEST, WebOptions};
use crate::output;
use crate::profile;
use crate::session::Signals;

/// Time that a worker has to report its stacks.
const WAIT: Duration = Duration::from_secs(2);

pub(crate) async fn run(options: &WebOptions) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let host = find(&options.host)?;
    let client = Client::connect(&host).await?;
    let server = WebServer::bind(options.addr).await?;
    let url = server.url();
    match options.json {
        true => output::document(&json!({ "url": url }))?,
        false => output::line(&url)?,
    }
    tokio::select! {
        gone = server.serve(&host, client, options.every.max(SHORTEST)) => Err(gone.into()),
        number = signals.next() => Err(Failure::Signal(number)),
    }
}

pub(crate) async fn report(options: &ReportOptions) -> Result<(), Failure> {
    let Some(file) = &options.html else {
        return Ok(());
    };
    if let Some(duration) = options.profile {
        profile::check("--profile", duration)?;
    }
    let hosts = Hosts::find(&data_dir(options.host.data_dir.as_deref()))?;
    let document = match hosts.select(options.host.run.as_deref())? {
        Found::Running(host) => of_host(&host, options.profile).await?,
        Found::Ended(host) => {
            if options.profile.is_some() {
                return Err(Failure::usage(
                    ErrorCode::WrongUsage,
                    format!(
                        "`--profile` samples a running program, and run {} has ended",
                        host.run
                    ),
                    "leave out --profile",
                ));
            }
            let recorded = host.recordings()?;
            warn_of_left_out(&recorded);
            Document::of_recordings(recorded.run, now(), recorded.pools)
        }
    };
    fs::write(file, report_page(&document)?)
        .map_err(|error| Failure::unwritten(file, &error, "--html"))?;
    output::line(&format!("wrote {}", file.display()))
}

async fn of_host(host: &RunningHost, profile: Option<Duration>) -> Result<Document, Failure> {
    let mut client = Client::connect(host).await?;
    let profiles = match profile {
        Some(duration) => profiles(host, &client.report().await?, duration).await?,
        None => Vec::new(),
    };
    let report = client.report().await?;
    let findings = report.findings(None);
    let calls = report.pools.iter().flat_map(|pool| &pool.calls);
    let mut busy: Vec<&str> = calls.map(|call| &*call.worker).collect();
    busy.sort_unstable();
    busy.dedup();
    let mut stacks = Vec::new();
    for worker in busy.into_iter().take(STACKS) {
        stacks.extend(stacks_of(&mut client, worker).await);
    }
    let recorded = host.recordings()?;
    warn_of_left_out(&recorded);
    let mut document = Document::of_host(report, findings, recorded.pools, stacks);
    document.profiles = profiles;
    Ok(document)
}

/// Profiles all pools at the same time. A pool that cannot be profiled is left out, unless none
/// can.
async fn profiles(
    host: &RunningHost,
    report: &Report,
    duration: Duration,
) -> Result<Vec<PoolProfile>, Failure> {
    let pools = report.pools.iter().map(|pool| async move {
        let pool = pool.pool.clone();
        let what = Profiled {
            pool: Some(pool.clone()),
            duration,
            ..Profiled::default()
        };
        let profile = Client::connect(host).await?.profile(&what).await?;
        Ok(PoolProfile { pool, profile })
    });
    let mut profiles = Vec::new();
    let mut problems: Vec<AdminError> = Vec::new();
    for profiled in join_all(pools).await {
        match profiled {
            Ok(profile) => profiles.push(profile),
            Err(problem) => problems.push(problem),
        }
    }
    if profiles.is_empty() && !problems.is_empty() {
        return Err(problems.swap_remove(0).into());
    }
    for problem in problems {
        output::warn(&format!("left out: {problem} ({})", problem.code()));
    }
    Ok(profiles)
}

/// Returns the stacks of a worker; none if it is gone.
async fn stacks_of(client: &mut Client, worker: &str) -> Vec<WorkerStacks> {
    let asked: Result<Vec<_>, AdminError> = async {
        let stacks = client.stacks(None, Some(worker), WAIT).await?;
        stacks.try_collect().await
    }
    .await;
    asked.unwrap_or_default()
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        let help = "name a loopback address that is free: --addr 127.0.0.1:0";
        Self::usage(ErrorCode::WrongUsage, error.to_string(), help)
    }
}
