//! Profiles of workers, taken for the admin service.

use std::time::Duration;

use futures_util::future::join_all;
use snakepit_core::error::ErrorCode;
use snakepit_core::id::{CallId, PoolName, WorkerId};
use snakepit_core::pool::Pool;
use snakepit_core::worker::ToolInfo;
use snakepit_core::worker::profiling::{
    Profile, ProfileError, ProfileReport, ProfiledThreads, UnprofiledWorker,
};
use tonic::Status;

use super::error::refusal;
use super::host::AdminHost;
use super::pb;

/// Longest duration of one profile.
const LONGEST: Duration = Duration::from_secs(3600);

/// Time beyond the profile's duration in which workers report its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the profile that a client requests.
pub(super) async fn make(
    host: &AdminHost,
    request: pb::ProfileRequest,
) -> Result<ProfileReport, Status> {
    let threads = match request.threads() {
        pb::ProfileThreads::All => ProfiledThreads::All,
        pb::ProfileThreads::Gil => ProfiledThreads::Gil,
        pb::ProfileThreads::OnCpu => ProfiledThreads::OnCpu,
    };
    let mut profile = Profile {
        threads,
        ..Profile::default()
    };
    if request.hz > 0 {
        profile.hz = request.hz;
    }
    if request.duration_ms > 0 {
        profile.duration = Duration::from_millis(request.duration_ms.into()).min(LONGEST);
    }
    let mut workers = match request.call {
        0 => host.workers(&request.pool, &request.worker)?,
        call => {
            let (pool, call) = host.call(call)?;
            profile.call = Some(CallId(call.attempt));
            vec![(pool, WorkerId::new(call.worker))]
        }
    };
    let suspended = host.stopped(&workers);
    workers.retain(|(_, worker)| !suspended.iter().any(|(one, _)| one == worker));
    let tools = match &*request.tool {
        "" => None,
        tool => Some(tools(&workers, tool)?),
    };
    let begun = workers
        .iter()
        .map(|(pool, worker)| pool.profile(worker, &profile));
    let (mut handles, mut errors) = (Vec::new(), Vec::new());
    for (index, begun) in join_all(begun).await.into_iter().enumerate() {
        match begun {
            Ok(handle) => handles.push((index, handle)),
            Err(error) => errors.push(error),
        }
    }
    if handles.is_empty() {
        return Err(match (errors.first(), suspended.first()) {
            (_, Some((worker, pid))) => refusal(
                ErrorCode::NoProfile,
                format!("worker `{worker}` cannot be profiled: {}", is_stopped(*pid)),
            ),
            (Some(error), _) => refusal(error.code(), error.to_string()),
            (None, _) => refusal(ErrorCode::UnknownWorker, "no worker is ready"),
        });
    }
    let ended = join_all(handles.iter().map(|(_, handle)| handle.ended()));
    // Stopping below ends the profile of workers that are late.
    let _ = tokio::time::timeout(profile.duration + PATIENCE, ended).await;
    let mut report = ProfileReport::default();
    let stopped = handles.into_iter();
    let stopped = stopped.map(|(index, handle)| async move { (index, handle.stop().await) });
    for (index, part) in join_all(stopped).await {
        let pool = workers.get(index).map(|(pool, _)| pool.name());
        let tool = tools.as_ref().and_then(|tools| {
            let mut tools = tools.iter();
            let of_pool = tools.find(|(name, _)| Some(name) == pool);
            of_pool.map(|(_, tool)| tool)
        });
        report.add(match tool {
            Some(tool) => part.of_tool(tool),
            None => part,
        });
    }
    report
        .unprofiled
        .extend(errors.into_iter().filter_map(unprofiled));
    let suspended = suspended.into_iter().map(|(worker, pid)| UnprofiledWorker {
        worker: worker.as_str().to_owned(),
        reason: is_stopped(pid),
    });
    report.unprofiled.extend(suspended);
    Ok(report)
}

fn is_stopped(pid: u32) -> String {
    format!("process {pid} is stopped; resume it with `kill -CONT {pid}`")
}

fn unprofiled(error: ProfileError) -> Option<UnprofiledWorker> {
    match error {
        ProfileError::Unavailable { worker, reason } => Some(UnprofiledWorker {
            worker: worker.as_str().to_owned(),
            reason,
        }),
        // The call has ended meanwhile.
        _ => None,
    }
}

/// Returns each pool that has the tool of this name, with that tool.
fn tools(workers: &[(Pool, WorkerId)], name: &str) -> Result<Vec<(PoolName, ToolInfo)>, Status> {
    let mut found = Vec::new();
    for (pool, _) in workers {
        let mut tools = pool.tools().into_iter();
        if let Some(tool) = tools.find(|tool| tool.name == name) {
            found.push((pool.name().clone(), tool));
        }
    }
    if found.is_empty() {
        return Err(refusal(
            ErrorCode::UnknownTool,
            format!("no pool has a tool `{name}`"),
        ));
    }
    Ok(found)
}
