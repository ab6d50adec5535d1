//! Export of metrics: the same values that Prometheus scrapes, with their exemplars.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram as HistogramData, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use super::Connection;
use super::channel::chain;
use super::delivery::Delivery;
use super::rejected::Rejected;
use crate::metrics::{Family, Histogram, Kind, Labels, Point, Value};
use crate::{Compression, Metrics};

/// Exports all metrics at an interval.
#[derive(Clone, Debug)]
pub(super) struct Push {
    client: MetricsServiceClient<Channel>,
    delivery: Arc<Delivery>,
    metadata: MetadataMap,
    resource: Resource,
    metrics: Metrics,
    start: u64,
    interval: Duration,
    timeout: Duration,
}

impl Push {
    pub(super) fn new(
        connection: Connection,
        resource: &opentelemetry_sdk::Resource,
        metrics: Metrics,
    ) -> Self {
        let resource = ResourceAttributesWithSchema::from(resource);
        let resource = Resource {
            attributes: resource.attributes.0,
            ..Resource::default()
        };
        let config = connection.config;
        let client = MetricsServiceClient::new(connection.channel);
        Self {
            client: match config.compression {
                Compression::None => client,
                Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
            },
            delivery: connection.delivery,
            metadata: connection.metadata,
            resource,
            metrics,
            start: nanos(SystemTime::now()),
            interval: config.metrics_interval,
            timeout: config.timeout,
        }
    }

    /// Starts exporting at each interval.
    pub(super) fn start(&self, (handle, tasks, stop): (&Handle, &TaskTracker, &CancellationToken)) {
        let this = self.clone();
        let send = async move {
            let mut ticks = tokio::time::interval(this.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is immediate, when there are no values yet.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                this.send(this.timeout).await;
            }
        };
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(send), handle);
    }

    /// Exports for the last time. Returns `false` if the collector has not accepted the metrics.
    pub(super) fn last(&self, handle: &Handle, timeout: Duration) -> bool {
        handle.block_on(self.send(timeout))
    }

    async fn send(&self, timeout: Duration) -> bool {
        let (metrics, points) = self.encode(SystemTime::now());
        let scope = InstrumentationScope {
            name: "snakepit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        };
        let mut request = Request::new(ExportMetricsServiceRequest {
            resource_metrics: vec![metrics],
        });
        *request.metadata_mut() = self.metadata.clone();
        let mut client = self.client.clone();
        let error = match tokio::time::timeout(timeout, client.export(request)).await {
            Ok(Ok(answer)) => {
                let rejected = answer.into_inner().partial_success.unwrap_or_default();
                let rejected = Rejected::new(rejected.rejected_data_points, rejected.error_message);
                self.delivery.accepted(points, &rejected);
                return true;
            }
            Ok(Err(status)) => {
                // The message may repeat a secret header, so only the code and the causes, which
                // concern the connection, are reported.
                let causes = std::error::Error::source(&status).map(chain);
                let code = format!("{:?}", status.code());
                causes.map_or(code.clone(), |causes| format!("{code}: {causes}"))
            }
            Err(_) => format!("it did not answer within {timeout:?}"),
        };
        self.delivery.over(points, Some(&error));
        false
    }

    fn encode(&self, now: SystemTime) -> (Vec<Metric>, usize) {
        let families = self.metrics.families();
        let points = families.iter().map(|family| family.points.len()).sum();
        let times = (self.start, nanos(now));
        let metrics = families.into_iter().map(|family| encode(family, times));
        (metrics.collect(), points)
    }
}

fn encode(family: Family, times: (u64, u64)) -> Metric {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let (desc, points) = (family.desc, family.points);
    let data = match desc.kind {
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: numbers(points, desc.custom, times),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Gauge => metric::Data::Gauge(Gauge {
            data_points: numbers(points, desc.custom, times),
        }),
        Kind::Histogram => metric::Data::Histogram(HistogramData {
            data_points: histograms(points, desc.custom, times),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        name: desc.name.into_owned(),
        description: desc.help.into_owned(),
        unit: desc.unit.into_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn numbers(points: Vec<Point>, custom: bool, (start, now): (u64, u64)) -> Vec<NumberDataPoint> {
    let numbers = points.into_iter().filter_map(|point| match point.value {
        Value::Number(value) => Some((point.labels, value)),
        Value::Histogram(_) => None,
    });
    let encoded = numbers.map(|(labels, value)| NumberDataPoint {
        attributes: attributes(&labels, custom),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    });
    encoded.collect()
}

fn histograms(
    points: Vec<Point>,
    custom: bool,
    (start, now): (u64, u64),
) -> Vec<HistogramDataPoint> {
    let histograms = points.into_iter().filter_map(|point| match point.value {
        Value::Histogram(histogram) => Some((point.labels, histogram)),
        Value::Number(_) => None,
    });
    let encoded = histograms.map(|(labels, histogram)| {
        let exemplars = exemplars(&histogram);
        HistogramDataPoint {
            attributes: attributes(&labels, custom),
            start_time_unix_nano: start,
            time_unix_nano: now,
            count: histogram.count(),
            sum: Some(histogram.sum),
            explicit_bounds: histogram.bounds.to_vec(),
            bucket_counts: histogram.counts,
            exemplars,
            ..HistogramDataPoint::default()
        }
    });
    encoded.collect()
}

fn exemplars(histogram: &Histogram) -> Vec<Exemplar> {
    let kept = histogram.exemplars.iter().flatten();
    let encoded = kept.map(|one| Exemplar {
        time_unix_nano: nanos(one.at),
        span_id: one.trace.span_id().to_vec(),
        trace_id: one.trace.trace_id().to_vec(),
        value: Some(exemplar::Value::AsDouble(one.value)),
        ..Exemplar::default()
    });
    encoded.collect()
}

/// Converts labels to attributes, with the names of the semantic conventions where they exist. For
/// a metric of worker code, only the pool is set by the host.
fn attributes(labels: &Labels, custom: bool) -> Vec<KeyValue> {
    let attributes = labels.iter().map(|(name, value)| {
        let name = match &**name {
            "pool" => "snakepit.pool".to_owned(),
            other if custom => other.to_owned(),
            "tool" => "rpc.method".to_owned(),
            "code" => "error.type".to_owned(),
            own @ ("worker" | "outcome" | "state" | "step" | "cause" | "reason" | "signal") => {
                format!("snakepit.{own}")
            }
            other => other.to_owned(),
        };
        KeyValue {
            key: name,
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue(value.to_string())),
            }),
            ..KeyValue::default()
        }
    });
    attributes.collect()
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
