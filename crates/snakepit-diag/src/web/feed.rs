//! Reports of the host for all browsers, and the event stream of one browser.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::columns;
use crate::{AdminError, Client, Meter, RecordedCall, Recording, RunningHost, Watch};

/// Interval in which the feed reports to browsers for how long the host has been silent.
const STILL: Duration = Duration::from_secs(1);

/// The state that browsers receive.
#[derive(Clone, Debug, Default)]
pub(super) enum FeedState {
    /// There is no report yet.
    #[default]
    Waiting,
    /// The latest report.
    Look(Arc<Moment>),
    /// The host has not answered for some time.
    Silent(Arc<Silence>),
    /// The host is gone, for this reason.
    Gone(Arc<str>),
}

/// A host that does not answer.
#[derive(Debug)]
pub(super) struct Silence {
    /// Whole seconds since its last answer.
    seconds: u64,
    /// The reason, if it is known.
    why: Option<String>,
}

/// A report of the host with its flight recordings.
#[derive(Debug)]
pub(super) struct Moment {
    /// The report in JSON.
    look: String,
    recordings: Vec<Recording>,
}

/// Queries the host until it is gone, and returns the reason. Recordings are read only while a
/// browser is connected.
pub(super) async fn feed(
    host: &RunningHost,
    mut client: Client,
    every: Duration,
    state: &watch::Sender<FeedState>,
) -> AdminError {
    let (mut watch, mut meter) = (Watch::default(), Meter::default());
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = tokio::select! {
            biased;
            answer = client.look() => answer,
            never = report_silence(host, every, state) => match never {},
        };
        let mut report = match answer {
            Ok(report) => report,
            Err(error) => {
                state.send_replace(FeedState::Gone(error.to_string().into()));
                return error;
            }
        };
        meter.measure(&mut report);
        watch.add(report);
        // Without a readable recording the page shows no calls; the rest continues.
        let recordings = match state.receiver_count() {
            0 => Vec::new(),
            _ => host
                .recordings()
                .map_or_else(|_| Vec::new(), |read| read.pools),
        };
        let look = look(&watch);
        state.send_replace(FeedState::Look(Arc::new(Moment { look, recordings })));
    }
}

/// Reports to browsers once a second that the host does not answer, and that its process is stopped
/// if it is. A stopped host may continue.
async fn report_silence(
    host: &RunningHost,
    every: Duration,
    state: &watch::Sender<FeedState>,
) -> Infallible {
    let since = Instant::now();
    let mut still = interval(STILL.max(every));
    still.set_missed_tick_behavior(MissedTickBehavior::Delay);
    still.tick().await;
    loop {
        let at = still.tick().await;
        let silence = Silence {
            seconds: at.saturating_duration_since(since).as_secs(),
            why: host.is_stopped().then(|| {
                let error = host.stopped_error();
                format!("{}: {error}; {}", error.code(), error.help())
            }),
        };
        state.send_replace(FeedState::Silent(Arc::new(silence)));
    }
}

fn look(watch: &Watch) -> String {
    let report = watch.report();
    let pools = report.map_or(&[][..], |report| &report.pools);
    let trends: BTreeMap<&str, _> = pools
        .iter()
        .filter_map(|pool| {
            let trend = watch.trend(&pool.pool)?;
            Some((
                &*pool.pool,
                json!({ "rate": trend.rate, "queue": trend.queue }),
            ))
        })
        .collect();
    let workers = pools.iter().flat_map(|pool| &pool.workers);
    let cpu: BTreeMap<&str, f64> = workers
        .filter_map(|worker| Some((&*worker.id, watch.cpu(&worker.id)?)))
        .collect();
    let document = json!({
        "report": report,
        "findings": watch.findings(),
        "trends": trends,
        "cpu": cpu,
    });
    document.to_string()
}

/// Returns the events of one browser. A slow browser skips reports: its next event has the latest
/// report and all calls that it has not received.
pub(super) fn events(
    state: watch::Receiver<FeedState>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let mut state = state;
    state.mark_changed();
    unfold(Some((state, Seen::default())), |this| async move {
        let (mut state, mut seen) = this?;
        state.changed().await.ok()?;
        let now = state.borrow_and_update().clone();
        let (text, goes_on) = match now {
            FeedState::Waiting => (": waiting\n\n".to_owned(), true),
            FeedState::Look(moment) => (seen.text(&moment), true),
            FeedState::Silent(silence) => (silent(&silence), true),
            FeedState::Gone(why) => (event("gone", &json!({ "why": &*why }).to_string()), false),
        };
        let next = goes_on.then_some((state, seen));
        Some((Ok(Frame::data(Bytes::from(text))), next))
    })
}

fn silent(silence: &Silence) -> String {
    let Silence { seconds, why } = silence;
    event(
        "silent",
        &json!({ "seconds": seconds, "why": why }).to_string(),
    )
}

/// Formats one event. JSON contains no line breaks.
fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// The calls and deaths that a browser has received, by pool.
#[derive(Debug, Default)]
struct Seen {
    /// Calls by number: whether they had ended, and the number of attempts.
    calls: HashMap<String, HashMap<u64, (bool, u8)>>,
    /// Number of deaths and the time of the last one.
    deaths: HashMap<String, (usize, u64)>,
}

impl Seen {
    fn text(&mut self, moment: &Moment) -> String {
        let mut text = event("look", &moment.look);
        for recording in &moment.recordings {
            let calls = self.news(recording);
            let last = recording.deaths.last();
            let last = last.map_or(0, |last| last.death.at.to_bits());
            let deaths = (recording.deaths.len(), last);
            let same = self.deaths.insert(recording.pool.clone(), deaths) == Some(deaths);
            if calls.is_empty() && same {
                continue;
            }
            let mut data = json!({ "pool": recording.pool, "calls": columns::of(calls) });
            if !same {
                data["deaths"] = json!(recording.deaths);
            }
            text.push_str(&event("calls", &data.to_string()));
        }
        text
    }

    /// Returns the calls that are new or have changed.
    fn news<'a>(&mut self, recording: &'a Recording) -> Vec<&'a RecordedCall> {
        let mut now = HashMap::with_capacity(recording.calls.len());
        let seen = self.calls.entry(recording.pool.clone()).or_default();
        let mut news = Vec::new();
        for call in &recording.calls {
            let state = (call.duration_us.is_some(), call.attempts);
            if seen.get(&call.call) != Some(&state) {
                news.push(call);
            }
            now.insert(call.call, state);
        }
        *seen = now;
        news
    }
}
