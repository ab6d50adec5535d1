//! A receiver of OTLP over gRPC whose behaviour a test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tonic::codec::CompressionEncoding;
use tonic::transport::ServerTlsConfig;
use tonic::transport::server::{Router, Server, TcpIncoming};
use tonic::{Code, Request, Response, Status};

use crate::support::LONG;

/// The reason for rejected records.
pub(crate) const LIMIT: &str = "the limit of the tenant is reached";

const GZIP: CompressionEncoding = CompressionEncoding::Gzip;

/// The treatment of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Take,
    Refuse(Code),
    Hang,
    /// Each request waits for a permit.
    Slow,
    /// This number of records of each request is rejected, and the rest is accepted.
    Reject(i64),
}

#[derive(Debug)]
pub(crate) struct Received {
    mode: Mutex<Mode>,
    pub(crate) permits: Semaphore,
    news: Notify,
    all: Mutex<All>,
}

/// All received records.
#[derive(Clone, Debug, Default)]
pub(crate) struct All {
    pub(crate) requests: usize,
    /// Spans and logs that were rejected.
    pub(crate) rejected: usize,
    pub(crate) headers: Vec<String>,
    /// Compressions of requests by signal.
    pub(crate) encodings: Vec<(&'static str, Option<String>)>,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) spans: Vec<Span>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) logs: Vec<LogRecord>,
}

#[derive(Clone)]
struct Service(Arc<Received>);

/// The running receiver, on a runtime of its own. Dropping it closes its connections, as its death
/// would.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Received>,
    runtime: Option<Runtime>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Collector {
    pub(crate) async fn start(mode: Mode) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), mode).await
    }

    pub(crate) async fn at(address: SocketAddr, mode: Mode) -> Self {
        Self::serve(address, mode, Server::builder()).await
    }

    /// Starts a receiver that accepts everything, over TLS.
    pub(crate) async fn with_tls(tls: ServerTlsConfig) -> Self {
        let server = Server::builder().tls_config(tls).unwrap();
        Self::serve(([127, 0, 0, 1], 0).into(), Mode::Take, server).await
    }

    /// Starts a receiver that accepts everything that is not compressed.
    pub(crate) async fn without_compression() -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        Self::listen(address, Mode::Take, |service| {
            Server::builder()
                .add_service(TraceServiceServer::new(service.clone()))
                .add_service(LogsServiceServer::new(service))
        })
        .await
    }

    async fn serve(address: SocketAddr, mode: Mode, mut server: Server) -> Self {
        Self::listen(address, mode, |service| {
            server
                .add_service(TraceServiceServer::new(service.clone()).accept_compressed(GZIP))
                .add_service(MetricsServiceServer::new(service.clone()).accept_compressed(GZIP))
                .add_service(LogsServiceServer::new(service).accept_compressed(GZIP))
        })
        .await
    }

    async fn listen(
        address: SocketAddr,
        mode: Mode,
        router: impl FnOnce(Service) -> Router,
    ) -> Self {
        let received = Arc::new(Received {
            mode: Mutex::new(mode),
            permits: Semaphore::new(0),
            news: Notify::new(),
            all: Mutex::default(),
        });
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let bound = runtime.spawn(TcpListener::bind(address)).await;
        let listener = bound.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        let server = router(Service(Arc::clone(&received)));
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(listener);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            address,
            received,
            runtime: Some(runtime),
        }
    }

    /// Closes all connections; no request is accepted afterwards.
    pub(crate) async fn die(mut self) {
        let runtime = self.runtime.take().unwrap();
        let ended = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(LONG));
        ended.await.unwrap();
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn mode(&self, mode: Mode) {
        *self.received.mode.lock().unwrap() = mode;
    }

    pub(crate) fn all(&self) -> All {
        self.received.all.lock().unwrap().clone()
    }

    /// Waits until the received records satisfy a condition.
    pub(crate) async fn until(&self, enough: impl Fn(&All) -> bool) -> All {
        loop {
            let news = self.received.news.notified();
            let all = self.all();
            if enough(&all) {
                return all;
            }
            news.await;
        }
    }
}

impl Service {
    /// Treats a request. Returns the number of records to reject, `None` if all are accepted.
    async fn take<T>(
        &self,
        signal: &'static str,
        request: Request<T>,
        put: impl FnOnce(&mut All, T),
    ) -> Result<Option<i64>, Status> {
        let header = |name: &str| {
            let header = request.metadata().get(name);
            header.map(|value| value.to_str().unwrap().to_owned())
        };
        let (header, encoding) = (header("authorization"), header("grpc-encoding"));
        let received = &self.0;
        let mode = {
            let mut all = received.all.lock().unwrap();
            all.requests += 1;
            all.headers.extend(header);
            all.encodings.push((signal, encoding));
            *received.mode.lock().unwrap()
        };
        received.news.notify_waiters();
        let mut rejected = None;
        match mode {
            Mode::Take => {}
            Mode::Reject(number) => rejected = Some(number),
            Mode::Refuse(code) => return Err(Status::new(code, "on purpose")),
            Mode::Hang => std::future::pending().await,
            Mode::Slow => received.permits.acquire().await.unwrap().forget(),
        }
        {
            let mut all = received.all.lock().unwrap();
            let before = all.spans.len() + all.logs.len();
            put(&mut all, request.into_inner());
            let records = all.spans.len() + all.logs.len() - before;
            let number = rejected.and_then(|number| usize::try_from(number).ok());
            all.rejected += number.unwrap_or(0).min(records);
        }
        received.news.notify_waiters();
        Ok(rejected)
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let put = |all: &mut All, request: ExportTraceServiceRequest| {
            for resource in request.resource_spans {
                all.resource = resource.resource.unwrap_or_default().attributes;
                let scopes = resource.scope_spans.into_iter();
                all.spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        };
        let rejected = self.take("traces", request, put).await?;
        let partial_success = rejected.map(|number| ExportTracePartialSuccess {
            rejected_spans: number,
            error_message: LIMIT.to_owned(),
        });
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success,
        }))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let put = |all: &mut All, request: ExportMetricsServiceRequest| {
            let resources = request.resource_metrics.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_metrics);
            // Metrics are totals, so the last ones are sufficient.
            all.metrics = scopes.flat_map(|scope| scope.metrics).collect();
        };
        let rejected = self.take("metrics", request, put).await?;
        let partial_success = rejected.map(|number| ExportMetricsPartialSuccess {
            rejected_data_points: number,
            error_message: LIMIT.to_owned(),
        });
        Ok(Response::new(ExportMetricsServiceResponse {
            partial_success,
        }))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let put = |all: &mut All, request: ExportLogsServiceRequest| {
            let resources = request.resource_logs.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_logs);
            all.logs.extend(scopes.flat_map(|scope| scope.log_records));
        };
        let rejected = self.take("logs", request, put).await?;
        let partial_success = rejected.map(|number| ExportLogsPartialSuccess {
            rejected_log_records: number,
            error_message: LIMIT.to_owned(),
        });
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}

/// Returns the value of an attribute as text. `None` if it does not exist.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        any_value::Value::BoolValue(value) => Some(value.to_string()),
        other => Some(format!("{other:?}")),
    }
}
