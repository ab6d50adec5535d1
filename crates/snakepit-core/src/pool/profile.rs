//! Profiles of the workers of a pool.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Pool, foreign};
use crate::id::WorkerId;
use crate::worker::Worker;
use crate::worker::profiling::{Profile, ProfileError, ProfileHandle, Profiling, UnprofiledWorker};

impl Pool {
    /// Starts to sample the stacks of all Python threads of a worker, whatever it does.
    ///
    /// # Errors
    /// [`ProfileError`].
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn profile(
        &self,
        worker: &WorkerId,
        profile: &Profile,
    ) -> Result<ProfileHandle, ProfileError> {
        let found = self.shared().worker(worker);
        let found = found.ok_or_else(|| ProfileError::UnknownWorker {
            pool: self.name().clone(),
            worker: worker.clone(),
        })?;
        collect(vec![(worker.clone(), begin(found, profile).await)])
    }

    /// Starts to sample all ready workers. Workers that cannot be profiled are listed in the
    /// report, unless no worker can be.
    ///
    /// # Errors
    /// [`ProfileError`].
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn profile_all(&self, profile: &Profile) -> Result<ProfileHandle, ProfileError> {
        let workers = self.workers().into_iter();
        let found = workers.filter_map(|one| Some((self.shared().worker(&one.id)?, one.id)));
        let begun = found.map(|(worker, id)| async move { (id, begin(worker, profile).await) });
        let begun = join_all(begun).await;
        if begun.is_empty() {
            return Err(ProfileError::NoWorkers {
                pool: self.name().clone(),
            });
        }
        collect(begun)
    }
}

/// A started profile of one worker, or the reason why there is none.
type Begun = Result<Box<dyn Profiling>, String>;

async fn begin(worker: Arc<dyn Worker>, profile: &Profile) -> Begun {
    foreign::profile(&*worker, profile).await
}

fn collect(begun: Vec<(WorkerId, Begun)>) -> Result<ProfileHandle, ProfileError> {
    let mut handle = ProfileHandle {
        running: Vec::new(),
        unprofiled: Vec::new(),
    };
    let mut refused = None;
    for (worker, one) in begun {
        match one {
            Ok(profiling) => handle.running.push((worker, profiling)),
            Err(reason) => {
                handle.unprofiled.push(UnprofiledWorker {
                    worker: worker.as_str().to_owned(),
                    reason: reason.clone(),
                });
                refused.get_or_insert(ProfileError::Unavailable { worker, reason });
            }
        }
    }
    match refused {
        Some(error) if handle.running.is_empty() => Err(error),
        _ => Ok(handle),
    }
}
