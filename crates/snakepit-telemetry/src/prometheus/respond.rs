//! The answers of the endpoint.

use std::collections::BTreeSet;
use std::sync::Mutex;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use snakepit_core::pool::PoolState;
use snakepit_core::printable::Printable;

use super::page::{self, Format};
use crate::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The served pages.
#[derive(Debug)]
pub(super) struct Pages {
    metrics: Metrics,
    /// Instruments that were omitted from a page; each is reported once.
    reported: Mutex<BTreeSet<String>>,
}

impl Pages {
    pub(super) fn new(metrics: Metrics) -> Self {
        let reported = Mutex::default();
        Self { metrics, reported }
    }

    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.scrape(format(request)),
            // Liveness only requires that the process answers.
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(),
            _ => text(
                StatusCode::NOT_FOUND,
                "no such page; the pages are /metrics, /healthz and /readyz\n",
            ),
        }
    }

    fn scrape(&self, format: Format) -> Response<Full<Bytes>> {
        let (page, left_out) = page::write(&self.metrics.families(), format);
        for name in left_out {
            self.report(&name);
        }
        let kind = match format {
            Format::OpenMetrics => OPEN_METRICS,
            Format::Plain => PROMETHEUS,
        };
        answer(StatusCode::OK, kind, page)
    }

    fn report(&self, name: &str) {
        let mut reported = self.reported.lock().expect("nothing panics under it");
        if reported.insert(name.to_owned()) {
            tracing::warn!(
                target: crate::TARGET,
                "the instrument `{}` is not on the metrics page because another one has its name; rename it",
                Printable(name)
            );
        }
    }

    /// Reports readiness: each pool has a ready worker, as in the gRPC health service.
    fn readiness(&self) -> Response<Full<Bytes>> {
        let pools = self.metrics.pools();
        let mut waiting = Vec::new();
        for pool in &pools {
            let status = pool.status();
            if status.ready == 0 || status.state == PoolState::Closed {
                waiting.push(format!("pool {}: no worker is ready", status.pool));
            }
        }
        if pools.is_empty() {
            waiting.push("there is no pool".to_owned());
        }
        if waiting.is_empty() {
            return text(StatusCode::OK, "ready\n");
        }
        let page = format!("{}\n", waiting.join("\n"));
        text(StatusCode::SERVICE_UNAVAILABLE, &page)
    }
}

/// Returns the format that the scraper requests; the older one if it requests none, as with curl.
fn format<B>(request: &Request<B>) -> Format {
    let accepted = request.headers().get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains("application/openmetrics-text")) {
        Format::OpenMetrics
    } else {
        Format::Plain
    }
}

fn text(status: StatusCode, page: &str) -> Response<Full<Bytes>> {
    answer(status, PLAIN, page.to_owned())
}

fn answer(status: StatusCode, kind: &'static str, page: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
