//! The source of a pool's workers.

use std::sync::Arc;

use crate::shutdown::Host;
use crate::{BuildError, PoolName, WorkerProfile};
#[cfg(feature = "process")]
use crate::{PythonConfig, PythonProfile};

/// The source of the workers.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Python processes.
    #[cfg(feature = "process")]
    Python(Box<PythonConfig>, PythonProfile),
    /// Processes of any executable.
    #[cfg(feature = "command")]
    Command(Box<snakepit_profiles::CommandConfig>),
    /// Workers of a profile that is created with the resources of the host.
    #[cfg(feature = "process")]
    Factory(Arc<dyn snakepit_profiles::ProfileFactory>),
    /// Workers of a given profile.
    Profile(Arc<dyn WorkerProfile>),
}

impl Source {
    /// Prepares the profile of the pool.
    #[cfg(feature = "process")]
    pub(crate) async fn profile(
        self,
        pool: &PoolName,
        host: &Host,
    ) -> Result<Arc<dyn WorkerProfile>, BuildError> {
        let (python, profile) = match self {
            Self::Python(python, profile) => (python, profile),
            #[cfg(feature = "command")]
            Self::Command(command) => {
                let profile = crate::command_pool::make(*command, pool, host).await?;
                return Ok(Arc::new(profile));
            }
            Self::Factory(factory) => return made(&*factory, pool, host).await,
            Self::Profile(profile) => return Ok(profile),
        };
        // A pool with its own data directory opens its own run.
        let run = host.run().filter(|_| python.data_dir.is_none()).cloned();
        let state = host.state().clone();
        let started = profile.make(*python, run, state).await;
        started.map_err(|error| BuildError::Profile {
            pool: pool.clone(),
            error: Box::new(error),
        })
    }

    #[cfg(not(feature = "process"))]
    pub(crate) async fn profile(
        self,
        _: &PoolName,
        _: &Host,
    ) -> Result<Arc<dyn WorkerProfile>, BuildError> {
        let Self::Profile(profile) = self;
        Ok(profile)
    }
}

/// Creates the profile of an application. Its host has a run, because the pool needs one.
#[cfg(feature = "process")]
async fn made(
    factory: &dyn snakepit_profiles::ProfileFactory,
    pool: &PoolName,
    host: &Host,
) -> Result<Arc<dyn WorkerProfile>, BuildError> {
    let made = async {
        let run = host.run().cloned().ok_or_else(|| {
            crate::StartError::new(crate::ErrorCode::StartFailed, "the host has no run")
        })?;
        let context = snakepit_profiles::ProfileContext::new(run, host.state().clone())?;
        factory.make(context).await
    };
    made.await.map_err(|error| BuildError::Profile {
        pool: pool.clone(),
        error: Box::new(error),
    })
}
