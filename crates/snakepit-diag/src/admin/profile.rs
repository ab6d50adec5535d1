//! Profiles of workers, as the admin service makes them.

use std::time::Duration;

use futures_util::future::join_all;
use snakepit_core::profiling::{
    Profile, ProfileError, ProfileReport, ProfiledThreads, UnprofiledWorker,
};
use snakepit_core::{CallId, ErrorCode, Pool, PoolName, ToolInfo, WorkerId};
use tonic::Status;

use super::error::refusal;
use super::host::AdminHost;
use super::pb;

/// Longest time of one request.
const LONGEST: Duration = Duration::from_secs(3600);

/// Time in which workers that have ended say so, beyond the time of the profile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the profile that a client asks for.
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
    let workers = match request.call {
        0 => host.workers(&request.pool, &request.worker)?,
        call => {
            let (pool, call) = host.call(call)?;
            profile.call = Some(CallId(call.attempt));
            vec![(pool, WorkerId::new(call.worker))]
        }
    };
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
        return Err(match errors.first() {
            Some(error) => refusal(error.code(), error.to_string()),
            None => refusal(ErrorCode::UnknownWorker, "no worker is ready"),
        });
    }
    let ended = join_all(handles.iter().map(|(_, handle)| handle.ended()));
    // Whoever has not ended by then is ended.
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
    Ok(report)
}

fn unprofiled(error: ProfileError) -> Option<UnprofiledWorker> {
    match error {
        ProfileError::Unavailable { worker, reason } => Some(UnprofiledWorker {
            worker: worker.as_str().to_owned(),
            reason,
        }),
        // It has ended meanwhile.
        _ => None,
    }
}

/// The tool of this name in each pool that has it.
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
