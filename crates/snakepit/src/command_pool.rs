//! Pools whose workers are any executables.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use snakepit_core::pool::PoolConfig;
use snakepit_core::worker::Adapter;
use snakepit_profiles::{CommandConfig, CommandProfile, Readiness};

use crate::shutdown::Host;
use crate::source::Source;
use crate::{BuildError, PoolBuilder, PoolName};

/// An adapter that also says how its workers are started, in the way of the original library's
/// `Snakepit.Adapter`.
pub trait CommandAdapter: Adapter {
    /// Returns the program: a path, or a name that is searched on the `PATH` of the workers.
    fn executable(&self) -> PathBuf;

    /// Returns the arguments of the program, the script first; see
    /// [`CommandConfig`] for placeholders.
    fn args(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns environment variables for the workers.
    fn env(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

impl PoolBuilder {
    /// Creates a pool of workers that `command` starts: a program and its arguments, for example
    /// `["node", "worker.js"]`. The program serves the gRPC `BridgeService`, in any language;
    /// `docs/foreign-workers.md` describes how.
    ///
    /// ```no_run
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use snakepit::{PoolBuilder, Snakepit, args};
    ///
    /// let pool = PoolBuilder::command("node", ["node", "worker.js"]).workers(2).slots(4);
    /// let snakepit = Snakepit::builder().pool(pool).start().await?;
    /// let sum: i64 = snakepit.execute("add", args! { "a" => 1, "b" => 2 }).await?;
    /// assert_eq!(sum, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn command<A: Into<String>>(
        name: impl Into<PoolName>,
        command: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut words = command.into_iter().map(Into::into);
        let program = words.next().unwrap_or_default();
        Self::with_command(name, CommandConfig::new(program).args(words))
    }

    /// Creates a pool of workers with these settings, for example
    /// [`CommandConfig::original`].
    pub fn with_command(name: impl Into<PoolName>, command: CommandConfig) -> Self {
        Self::of_source(PoolConfig::new(name), Source::Command(Box::new(command)))
    }

    /// Creates a pool of the workers that an adapter names, whose calls it checks and converts.
    pub fn command_adapter(name: impl Into<PoolName>, adapter: Arc<dyn CommandAdapter>) -> Self {
        let mut command = CommandConfig::new(adapter.executable()).args(adapter.args());
        command.env = adapter.env();
        Self::with_command(name, command).adapted(adapter)
    }

    /// Sets the number of calls that one worker of a command runs at the same time; at least 1.
    #[must_use]
    pub fn slots(self, slots: u16) -> Self {
        self.configure_command(|command| {
            command.slots = NonZeroU16::new(slots).unwrap_or(NonZeroU16::MIN);
        })
    }

    /// Sets the way in which a worker of a command reports that it is ready.
    #[must_use]
    pub fn ready(self, ready: Readiness) -> Self {
        self.configure_command(|command| command.ready = ready)
    }

    /// Changes any setting of the workers of a command. Has no effect on other pools.
    #[must_use]
    pub fn configure_command(mut self, change: impl FnOnce(&mut CommandConfig)) -> Self {
        if let Source::Command(command) = self.source() {
            change(command);
        }
        self
    }
}

/// Prepares the profile of a command. Its workers are recorded in the run of the host, unless the
/// command has a data directory of its own.
pub(crate) async fn make(
    command: CommandConfig,
    pool: &PoolName,
    host: &Host,
) -> Result<CommandProfile, BuildError> {
    let run = host.run().filter(|_| command.data_dir.is_none()).cloned();
    let made = match run {
        Some(run) => CommandProfile::with_run(command, run).await,
        None => CommandProfile::new(command).await,
    };
    match made {
        Ok(profile) => Ok(profile.with_state(host.state().clone())),
        Err(error) => Err(BuildError::Profile {
            pool: pool.clone(),
            error: Box::new(error),
        }),
    }
}
