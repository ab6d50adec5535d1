//! The responses of the server.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};
use snakepit_core::printable::Printable;
use tokio::sync::watch;

use super::feed::{FeedState, events};
use super::guard::{Guard, Refused, random, value};
use super::page;
use crate::live::{LOGS, STACKS};
use crate::{AdminError, Client, Profiled};

/// Duration of a profile, as the page states it.
const PROFILE: Duration = Duration::from_secs(2);

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The site: access control, the admin client, and the state that browsers receive.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) guard: Guard,
    pub(super) client: Client,
    pub(super) state: watch::Sender<FeedState>,
}

impl Site {
    /// Handles a request.
    pub(super) async fn answer<T>(&self, request: Request<T>) -> Response<Body> {
        let mut response = self.route(&request).await;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn route<T>(&self, request: &Request<T>) -> Response<Body> {
        if let Err(refused) = self.guard.check(request.uri(), request.headers()) {
            return refusal(refused);
        }
        let query = request.uri().query().unwrap_or_default();
        if request.method() != Method::GET {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported\n");
            let allowed = HeaderValue::from_static("GET");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        let of = |name: &str| {
            let value = value(query, name).unwrap_or_default();
            percent_decode_str(value).decode_utf8_lossy()
        };
        match request.uri().path() {
            "/" => front(),
            "/events" => {
                let stream = StreamBody::new(events(self.state.subscribe()));
                answer("text/event-stream", stream.boxed_unsync())
            }
            "/stacks" => self.json(self.stacks(of("worker")).await),
            "/logs" => self.json(self.logs(of("worker")).await),
            "/profile" => self.json(self.profile(of("pool")).await),
            _ => text(StatusCode::NOT_FOUND, "there is no such page\n"),
        }
    }

    async fn stacks(&self, worker: Cow<'_, str>) -> Result<Json, AdminError> {
        let mut client = self.client.clone();
        let stacks = client.stacks(None, Some(&worker), STACKS).await?;
        Ok(json!(stacks.try_collect::<Vec<_>>().await?))
    }

    async fn logs(&self, worker: Cow<'_, str>) -> Result<Json, AdminError> {
        let mut client = self.client.clone();
        let lines = client.logs(None, Some(&worker), LOGS, false).await?;
        Ok(json!(lines.try_collect::<Vec<_>>().await?))
    }

    async fn profile(&self, pool: Cow<'_, str>) -> Result<Json, AdminError> {
        let mut client = self.client.clone();
        let what = Profiled {
            pool: Some(pool.into_owned()),
            duration: PROFILE,
            ..Profiled::default()
        };
        Ok(json!(client.profile(&what).await?))
    }

    fn json(&self, found: Result<Json, AdminError>) -> Response<Body> {
        let (status, document) = match found {
            Ok(document) => (StatusCode::OK, document),
            Err(error) => {
                let document = json!({ "code": error.code().as_str(), "error": error.to_string() });
                (StatusCode::BAD_GATEWAY, document)
            }
        };
        let mut response = answer("application/json", full(document.to_string()));
        *response.status_mut() = status;
        response
    }
}

/// Returns the page with its own content security policy.
fn front() -> Response<Body> {
    let Ok(nonce) = random() else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the system provides no random numbers\n",
        );
    };
    let mut response = answer("text/html; charset=utf-8", full(page::live_page(&nonce)));
    let policy = format!("{}; frame-ancestors 'none'", page::policy(&nonce, true));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn refusal(refused: Refused) -> Response<Body> {
    text(StatusCode::FORBIDDEN, refused.text())
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = answer(
        "text/plain; charset=utf-8",
        full(Printable(text.trim_end()).to_string() + "\n"),
    );
    *response.status_mut() = status;
    response
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed_unsync()
}

fn answer(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
