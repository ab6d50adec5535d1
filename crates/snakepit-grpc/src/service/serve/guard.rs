//! The checks of every request before its handler: token, limit and deadline. Panics of handlers
//! end here.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service as _;

use super::super::deadline::{self, Deadline};
use super::super::peer::Peer;
use super::super::status::from_tool;
use super::account::Account;
use super::body::GuardedBody;
use super::places::{Place, Share};
use super::received::{Expected, Messages, Received, STREAMS};
use super::scope::Scope;
use super::token::Token;

/// Streams that end only with the object that they watch.
const ENDLESS: [&str; 2] = [
    "/snakepit.bridge.BridgeService/WatchVariables",
    "/grpc.health.v1.Health/Watch",
];

/// The state shared by all requests of a server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) routes: Routes,
    /// The tokens, each with the scope of its clients. `None` if no token is needed.
    pub(super) tokens: Option<Arc<[(Token, Scope)]>>,
    pub(super) stall_timeout: Duration,
    pub(super) stopping: CancellationToken,
}

impl Guard {
    /// Creates the service of one connection. The first accepted request cancels `known`.
    pub(super) const fn connection(
        self,
        peer: Peer,
        known: CancellationToken,
        accounts: Accounts,
    ) -> GuardedConnection {
        GuardedConnection {
            guard: self,
            peer,
            known,
            accounts,
        }
    }

    fn admit(
        &self,
        request: &Request<Incoming>,
        known: &CancellationToken,
        share: &Arc<Share>,
    ) -> Result<(Place, Option<Deadline>, Scope), Status> {
        let scope = match &self.tokens {
            Some(tokens) => {
                let known = tokens.iter().map(|(token, scope)| (token, scope));
                Token::find(request.headers(), known)?.clone()
            }
            None => Scope::all(),
        };
        known.cancel();
        let path = request.uri().path();
        let place = share.take(ENDLESS.contains(&path) || STREAMS.contains(&path))?;
        let deadline = deadline::from_headers(request.headers()).map_err(from_tool)?;
        Ok((place, deadline, scope))
    }

    async fn answer(
        mut self,
        mut request: Request<Incoming>,
        peer: Peer,
        known: CancellationToken,
        accounts: Accounts,
    ) -> Response<GuardedBody> {
        let (place, deadline, scope) = match self.admit(&request, &known, &accounts.share) {
            Ok(admitted) => admitted,
            Err(status) => return refusal(status),
        };
        let endless = ENDLESS.contains(&request.uri().path());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(scope);
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let routes = &mut self.routes;
        let Accounts {
            requests, answers, ..
        } = accounts;
        let expected = Expected::of(request.uri().path(), self.stall_timeout);
        let messages = Messages::default();
        let counted = messages.clone();
        let running = AssertUnwindSafe(async {
            answers.room().await?;
            routes
                .call(
                    request.map(|body| Body::new(Received::new(body, requests, counted, expected))),
                )
                .await
                .map_err(|never| match never {})
        });
        let running = running.catch_unwind();
        let answered = match deadline {
            Some(deadline) => match timeout_at(deadline.0, running).await {
                Ok(answered) => answered,
                Err(_) => return refusal(Status::deadline_exceeded("the deadline has passed")),
            },
            None => running.await,
        };
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => return refusal(status),
            Err(_) => {
                return refusal(Status::internal(
                    "the host panicked while it answered the request",
                ));
            }
        };
        let stopping = endless.then(|| self.stopping.clone());
        let (parts, body) = response.into_parts();
        let body = GuardedBody::new(body, Some((place, messages)), deadline, stopping);
        match body.counted(answers).await {
            Ok(body) => Response::from_parts(parts, body),
            Err(status) => refusal(status),
        }
    }
}

fn refusal(status: Status) -> Response<GuardedBody> {
    let response = status.into_http::<Body>();
    response.map(|body| GuardedBody::new(body, None, None, None))
}

/// The accounts of one connection.
#[derive(Clone)]
pub(super) struct Accounts {
    pub(super) requests: Arc<Account>,
    pub(super) answers: Arc<Account>,
    pub(super) share: Arc<Share>,
}

/// The service of one connection.
#[derive(Clone)]
pub(super) struct GuardedConnection {
    guard: Guard,
    peer: Peer,
    known: CancellationToken,
    accounts: Accounts,
}

impl hyper::service::Service<Request<Incoming>> for GuardedConnection {
    type Response = Response<GuardedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (peer, known) = (self.peer.clone(), self.known.clone());
        let accounts = self.accounts.clone();
        let answer = self.guard.clone().answer(request, peer, known, accounts);
        Box::pin(answer.map(Ok))
    }
}
