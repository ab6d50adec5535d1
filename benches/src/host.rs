//! Our entrant: a running host with Python workers, and its runtime.

use std::path::Path;
use std::time::Duration;

use snakepit::{
    Bytes, HostTools, PoolBuilder, PoolHandle, Report, Snakepit, SnakepitBuilder, Telemetry,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::Result;

/// A host whose workers are ready. Dropping it shuts it down.
pub(crate) struct Host {
    snakepit: Snakepit,
    runtime: Runtime,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Creates a runtime like that of `#[tokio::main]`.
pub(crate) fn multi_thread() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// Creates the runtime of `#[tokio::main(flavor = "current_thread")]`.
pub(crate) fn current_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

impl Host {
    /// Starts `workers` workers with the tools of `tools.py` on this runtime, and waits until all
    /// are ready.
    pub(crate) fn start(runtime: Runtime, python: &Path, workers: usize) -> Result<Self> {
        let pool = PoolBuilder::new("bench", format!("{}/tools.py", crate::HOME))
            .python(python)
            .workers(workers)
            // Random arrivals accumulate while the machine is busy elsewhere; they are to wait, not
            // to fail.
            .queue_limit(100_000);
        Self::with(runtime, pool)
    }

    /// Starts the pool on this runtime and waits until all its workers are ready.
    pub(crate) fn with(runtime: Runtime, pool: PoolBuilder) -> Result<Self> {
        Self::observed(runtime, pool, None)
    }

    /// Starts the same, with exporters.
    pub(crate) fn observed(
        runtime: Runtime,
        pool: PoolBuilder,
        telemetry: Option<&Telemetry>,
    ) -> Result<Self> {
        let builder = Snakepit::builder().pool(pool);
        Self::built(
            runtime,
            match telemetry {
                Some(telemetry) => builder.telemetry(telemetry),
                None => builder,
            },
        )
    }

    /// Starts the described host, and waits until it is ready.
    pub(crate) fn built(runtime: Runtime, builder: SnakepitBuilder) -> Result<Self> {
        let snakepit = runtime.block_on(async {
            builder
                .start()
                .await
                .map_err(|error| Report::from(&error).to_string())
        })?;
        Ok(Self { snakepit, runtime })
    }

    /// The runtime.
    pub(crate) const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Returns a handle for callers.
    pub(crate) fn caller(&self) -> Caller {
        Caller(self.snakepit.clone())
    }

    /// Returns a session of the pool.
    pub(crate) fn session(&self, id: &str) -> PoolHandle {
        self.snakepit.session(id)
    }

    /// The functions that tools may call.
    pub(crate) fn host_tools(&self) -> &HostTools {
        self.snakepit.host_tools()
    }

    /// The process ids of the workers.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.snakepit
            .workers()
            .iter()
            .filter_map(|worker| worker.pid)
            .collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.runtime.block_on(self.snakepit.shutdown());
    }
}

/// The actions of callers on the host.
#[derive(Clone)]
pub(crate) struct Caller(Snakepit);

impl Caller {
    /// The host itself.
    pub(crate) const fn snakepit(&self) -> &Snakepit {
        &self.0
    }

    /// Sends 32 bytes of text there and back.
    pub(crate) async fn echo(self) -> Result<()> {
        const TEXT: &str = "0123456789abcdef0123456789abcdef";
        let back: String = self.0.execute("echo", (TEXT,)).await?;
        if back == TEXT {
            Ok(())
        } else {
            Err("the echo differs".into())
        }
    }

    /// Sends bytes there and back.
    pub(crate) async fn echo_bytes(self, bytes: Bytes) -> Result<()> {
        let size = bytes.len();
        let back: Bytes = self.0.execute("echo", (bytes,)).await?;
        if back.len() == size {
            Ok(())
        } else {
            Err("the echo has another size".into())
        }
    }

    /// Reads a stream of `count` small integers. Returns the chunks a second.
    pub(crate) async fn chunks(self, count: u64) -> Result<f64> {
        let begin = Instant::now();
        let mut stream = self.0.execute_stream::<u64>("chunks", (count,)).await?;
        let mut next = 0;
        while let Some(chunk) = stream.next().await {
            if chunk? != next {
                return Err("a chunk is out of order".into());
            }
            next += 1;
        }
        if next != count {
            return Err(format!("{next} chunks came instead of {count}").into());
        }
        Ok(count as f64 / begin.elapsed().as_secs_f64())
    }

    /// Opens an endless stream of blocks of `size` bytes and reads one block each `pause`; calls
    /// `at` with the number of each.
    pub(crate) async fn read_slowly(
        self,
        size: usize,
        blocks: u32,
        pause: Duration,
        mut at: impl FnMut(u32) + Send,
    ) -> Result<()> {
        let mut stream = self.0.execute_stream::<Bytes>("endless", (size,)).await?;
        for number in 0..blocks {
            stream.next().await.ok_or("the stream ended")??;
            at(number);
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Adds `count` pairs in one `execute_many`. Returns the items a second.
    pub(crate) async fn many(self, count: u64) -> Result<f64> {
        let begin = Instant::now();
        let mut results = self
            .0
            .execute_many::<u64, _>("add", (0..count).map(|n| (n, 1)));
        let mut next = 0;
        while let Some(sum) = results.next().await {
            next += 1;
            if sum? != next {
                return Err("a result is out of order".into());
            }
        }
        if next != count {
            return Err(format!("{next} results came instead of {count}").into());
        }
        Ok(count as f64 / begin.elapsed().as_secs_f64())
    }
}
