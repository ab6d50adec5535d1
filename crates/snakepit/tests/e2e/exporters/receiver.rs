//! A receiver of OTLP over gRPC.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

/// All that came.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) spans: Vec<Span>,
    pub(super) logs: Vec<LogRecord>,
    /// Names of metrics.
    pub(super) metrics: Vec<String>,
}

#[derive(Clone)]
struct Service(Arc<Mutex<Received>>);

/// The running receiver.
pub(super) struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    _server: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service(Arc::clone(&received));
        let server = Server::builder()
            .add_service(TraceServiceServer::new(service.clone()))
            .add_service(MetricsServiceServer::new(service.clone()))
            .add_service(LogsServiceServer::new(service));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let incoming = TcpIncoming::from(listener);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            address,
            received,
            _server: tasks,
        }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn all(&self) -> Received {
        self.received.lock().unwrap().clone()
    }
}

impl Received {
    /// The only span of this name.
    pub(super) fn only(&self, name: &str) -> &Span {
        let named = self.spans.iter().filter(|span| span.name == name);
        one(&named.collect::<Vec<_>>())
    }

    /// The only child of this name.
    pub(super) fn child(&self, parent: &Span, name: &str) -> &Span {
        one(&self.children(parent, name))
    }

    /// The children of this name.
    pub(super) fn children(&self, parent: &Span, name: &str) -> Vec<&Span> {
        let spans = self.spans.iter();
        let children = spans.filter(|span| {
            span.trace_id == parent.trace_id && span.parent_span_id == parent.span_id
        });
        children.filter(|span| span.name == name).collect()
    }

    /// All spans of a trace, in the order of their starts.
    pub(super) fn trace(&self, root: &Span) -> Vec<Span> {
        let spans = self
            .spans
            .iter()
            .filter(|span| span.trace_id == root.trace_id);
        let mut spans: Vec<_> = spans.cloned().collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// An attribute that is text.
    pub(super) fn text(span: &Span, name: &str) -> Option<String> {
        let attribute = span.attributes.iter().find(|it| it.key == name)?;
        match attribute.value.as_ref()?.value.as_ref()? {
            any_value::Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    }
}

#[track_caller]
fn one<'a>(spans: &[&'a Span]) -> &'a Span {
    match spans {
        [span] => span,
        _ => panic!("one span: {spans:#?}"),
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.0.lock().unwrap().spans.extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics);
        let names = metrics.map(|metric| metric.name);
        self.0.lock().unwrap().metrics.extend(names);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let resources = request.into_inner().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        let logs = scopes.flat_map(|scope| scope.log_records);
        self.0.lock().unwrap().logs.extend(logs);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
