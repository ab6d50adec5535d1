//! The running exporters.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snakepit_core::events::record::Recorder;
use snakepit_core::events::{Events, Subscription};
use snakepit_core::host_tools::HostState;
use snakepit_core::pool::Pool;

#[cfg(any(feature = "otlp", feature = "prometheus"))]
use crate::background::Background;
use crate::levels::Levels;
use crate::recorder::{Exporter, Sinks};
use crate::redact::Redaction;
use crate::{Metrics, TelemetryConfig, TelemetryError};

/// Time limit for exporting the waiting records when the last handle is dropped without a shutdown.
const AT_DROP: Duration = Duration::from_secs(1);

/// The running exporters. Cheap to clone; [`shutdown`](Self::shutdown) exports the waiting records
/// and ends the exporters.
///
/// The exporters run on a thread of their own, so they do not depend on the application's runtime.
/// Calls put their records into bounded queues and never wait. While a collector is absent, slow or
/// failing, records are dropped and counted in the metric `snakepit.telemetry.dropped`, and one
/// warning is logged.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    sinks: Arc<Sinks>,
    #[cfg(any(feature = "otlp", feature = "prometheus"))]
    background: Background,
    #[cfg(feature = "prometheus")]
    server: Option<crate::prometheus::Server>,
    attached: Mutex<Vec<Attached>>,
    report: Mutex<Option<FlushReport>>,
    timeout: Duration,
}

/// A hub whose records are received.
struct Attached {
    events: Events,
    recorder: Option<Arc<Box<dyn Recorder>>>,
    subscription: Subscription,
}

/// The result of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// `true` if all waiting records were accepted in time.
    pub complete: bool,
    /// Number of records that collectors have accepted since the start.
    pub exported: u64,
    /// Number of records that were dropped since the start.
    pub dropped: u64,
}

impl Telemetry {
    /// Returns a builder for exporters.
    pub fn builder() -> crate::TelemetryBuilder {
        crate::TelemetryBuilder::default()
    }

    /// Starts the exporters that the environment variables describe, see
    /// [`TelemetryConfig::from_env`]. Installs a `tracing` subscriber if there is none.
    ///
    /// # Errors
    /// A variable has an invalid value, or an endpoint cannot be opened. An absent collector is not
    /// an error.
    pub fn from_env() -> Result<Self, TelemetryError> {
        Self::builder().config(TelemetryConfig::from_env()?).start()
    }

    /// Starts exporters.
    pub(crate) fn start(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        config.validate()?;
        features(config)?;
        #[cfg(any(feature = "otlp", feature = "prometheus"))]
        let background = Background::start().map_err(TelemetryError::Thread)?;
        let metrics = Metrics::new(config.label_sets);
        let redaction = Redaction::new(&config.redact, config.hash_sessions);
        #[cfg(feature = "otlp")]
        let otlp = crate::otlp::Otlp::start(config, &metrics, &redaction, &background)?;
        #[cfg(feature = "prometheus")]
        let server = match &config.prometheus {
            Some(address) => {
                let parts = background.parts();
                let metrics = metrics.clone();
                Some(crate::prometheus::Server::start(address, metrics, parts)?)
            }
            None => None,
        };
        let sinks = Arc::new(Sinks {
            metrics,
            redaction,
            sampling: config.sampling,
            levels: Levels::new(config),
            #[cfg(feature = "otlp")]
            otlp,
        });
        let inner = Inner {
            sinks,
            #[cfg(any(feature = "otlp", feature = "prometheus"))]
            background,
            #[cfg(feature = "prometheus")]
            server,
            attached: Mutex::default(),
            report: Mutex::default(),
            timeout: config.shutdown_timeout,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Receives the events, spans, logs and measurements of a host from now on. Call it before the
    /// host's pools start, so that no record is missed. Attaching the same host twice has no
    /// effect.
    pub fn attach(&self, state: &HostState) {
        let (events, sinks) = (state.events(), &self.inner.sinks);
        let mut attached = lock(&self.inner.attached);
        let now = events.recorder();
        if let Some(now) = &now
            && attached.iter().any(|one| one.records_by(now))
        {
            return;
        }
        sinks.metrics.add_state(state);
        let subscription = sinks.metrics.attach(events);
        events.set_recorder(Some(Box::new(Exporter(Arc::clone(sinks)))));
        attached.push(Attached {
            events: events.clone(),
            recorder: events.recorder(),
            subscription,
        });
    }

    /// Adds a pool to the metrics without keeping it alive.
    pub fn add_pool(&self, pool: &Pool) {
        self.inner.sinks.metrics.add_pool(pool);
    }

    /// Returns the metrics, for example to present them in another form.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.sinks.metrics
    }

    /// Returns the address of the endpoint for Prometheus, with the chosen port. `None` if there is
    /// no endpoint.
    pub fn prometheus_address(&self) -> Option<SocketAddr> {
        #[cfg(feature = "prometheus")]
        let address = self.inner.server.as_ref().map(|server| server.address());
        #[cfg(not(feature = "prometheus"))]
        let address = None;
        address
    }

    /// Returns a layer for the application's own subscriber that exports the application's spans
    /// and logs. Calls become children of the spans in which they are made.
    #[cfg(feature = "otlp")]
    pub fn layer<S>(&self) -> impl tracing_subscriber::Layer<S> + Send + Sync + 'static
    where
        S: tracing::Subscriber
            + for<'a> tracing_subscriber::registry::LookupSpan<'a>
            + Send
            + Sync
            + 'static,
    {
        let sinks = &self.inner.sinks;
        sinks.otlp.layers(&sinks.levels)
    }

    /// Installs a `tracing` subscriber that exports spans and logs, and prints warnings to stderr.
    /// Returns `false` if a subscriber is already installed, which then stays.
    pub fn install_subscriber(&self) -> bool {
        use tracing_subscriber::Layer as _;
        use tracing_subscriber::layer::SubscriberExt as _;
        if tracing::dispatcher::has_been_set() {
            return false;
        }
        let warnings = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let warnings = warnings.with_filter(tracing::level_filters::LevelFilter::WARN);
        let subscriber = tracing_subscriber::registry();
        #[cfg(feature = "otlp")]
        let subscriber = subscriber.with(self.layer());
        tracing::subscriber::set_global_default(subscriber.with(warnings)).is_ok()
    }

    /// Returns the number of records that wait for export.
    pub fn waiting(&self) -> usize {
        #[cfg(feature = "otlp")]
        let waiting = self.inner.sinks.otlp.waiting();
        #[cfg(not(feature = "otlp"))]
        let waiting = 0;
        waiting
    }

    /// Exports the waiting records, then ends the exporters and the endpoint, within
    /// [`shutdown_timeout`](TelemetryConfig::shutdown_timeout). Further calls return the first
    /// report.
    ///
    /// # Cancel safety
    /// Once polled, the shutdown completes even if the future is dropped.
    pub async fn shutdown(&self) -> FlushReport {
        let (done, report) = tokio::sync::oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name("snakepit-flush".to_owned());
        let spawned = thread.spawn(move || done.send(inner.finish(inner.timeout)));
        match spawned {
            Ok(_) => report.await.unwrap_or_else(|_| self.inner.now(false)),
            // No thread can be started, so the waiting records are lost.
            Err(_) => self.inner.now(false),
        }
    }
}

impl Inner {
    /// Ends everything. All callers receive the first caller's report.
    fn finish(&self, timeout: Duration) -> FlushReport {
        let mut report = lock(&self.report);
        if let Some(report) = *report {
            return report;
        }
        for one in lock(&self.attached).drain(..) {
            // Another recorder may have replaced this one.
            if one
                .events
                .recorder()
                .is_some_and(|now| one.records_by(&now))
            {
                one.events.set_recorder(None);
            }
            one.subscription.detach();
        }
        #[cfg(feature = "otlp")]
        let complete = self.sinks.otlp.finish(&self.background, timeout);
        #[cfg(not(feature = "otlp"))]
        let complete = {
            let _ = timeout;
            true
        };
        #[cfg(any(feature = "otlp", feature = "prometheus"))]
        self.background.stop();
        *report.insert(self.now(complete))
    }

    fn now(&self, complete: bool) -> FlushReport {
        let metrics = &self.sinks.metrics;
        FlushReport {
            complete,
            exported: metrics.total_exported(),
            dropped: metrics.total_dropped(),
        }
    }
}

impl Attached {
    fn records_by(&self, recorder: &Arc<Box<dyn Recorder>>) -> bool {
        let own = self.recorder.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, recorder))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.finish(self.timeout.min(AT_DROP));
    }
}

/// Rejects settings whose feature is not compiled in.
fn features(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    for (feature, key, asked, there) in [
        (
            "otlp",
            "otlp",
            config.otlp.is_some(),
            cfg!(feature = "otlp"),
        ),
        (
            "prometheus",
            "prometheus",
            config.prometheus.is_some(),
            cfg!(feature = "prometheus"),
        ),
    ] {
        if asked && !there {
            let message = "is not part of this build".to_owned();
            let help = format!("build with the feature `{feature}`");
            return Err(TelemetryError::setting(key, message, help));
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("prometheus", &self.prometheus_address())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
