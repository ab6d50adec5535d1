//! The records that a collector receives.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use snakepit_core::events::record::{Attribute, SpanEvent};
use snakepit_core::events::{Event, Shown};
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::id::CallId;
use snakepit_telemetry::{Sampling, Telemetry};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::collector::{Collector, Mode, attribute};
use crate::support::{log, measurement, span, text};

fn state() -> HostState {
    HostState::new(HostStateConfig::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_logs_and_metrics_arrive_together_and_without_secrets() {
    let (collector, state) = (Collector::start(Mode::Take).await, state());
    let telemetry = Telemetry::builder()
        .otlp(collector.endpoint())
        .service_name("shop")
        .configure(|config| {
            let otlp = config.otlp.as_mut().unwrap();
            let header = ("authorization".to_owned(), "Bearer x".to_owned());
            otlp.headers.extend([header]);
            let attribute = ("deployment.environment.name".to_owned(), "test".to_owned());
            config.resource.extend([attribute]);
            config.hash_sessions = true;
        })
        .own_subscriber()
        .start()
        .unwrap();
    telemetry.attach(&state);
    // Attaching once more counts nothing twice.
    telemetry.attach(&state);
    let (events, recorder) = (state.events(), state.events().recorder().unwrap());
    let mut one = span(
        events,
        vec![
            ("snakepit.tool".into(), text("mean")),
            ("db.password".into(), text("hushhush")),
            ("snakepit.session".into(), text("alice")),
            ("snakepit.attempts".into(), Attribute::Integer(2)),
        ],
    );
    one.error = Some("SP3001".into());
    one.events.push(SpanEvent {
        name: "dispatched".into(),
        at: one.start,
        attributes: vec![("token".into(), text("hushhush"))],
    });
    let context = one.context;
    recorder.span(one.clone());
    recorder.log(&log("careful", Some(context)));
    recorder.measurement(&measurement("tool.time", 0.2, Some(context)));
    events.publish(Event::CallCompleted {
        pool: "main".into(),
        worker: None,
        call: CallId(1),
        tool: "mean".into(),
        outcome: "ok",
        code: None,
        items: 1,
        failed: 0,
        attempts: 1,
        sent_bytes: 100,
        received_bytes: 7,
        queued_us: 10,
        duration_us: 1000,
        trace: Some(Shown(context)),
    });
    let report = telemetry.shutdown().await;
    assert!(report.complete, "{report:?}");
    assert_eq!(report.dropped, 0);

    let all = collector.all();
    assert!(!format!("{all:?}").contains("hushhush"));
    assert!(!format!("{all:?}").contains("alice"));
    assert_eq!(all.headers, ["Bearer x"; 3]);
    assert_eq!(
        attribute(&all.resource, "service.name").as_deref(),
        Some("shop")
    );
    let environment = attribute(&all.resource, "deployment.environment.name");
    assert_eq!(environment.as_deref(), Some("test"));
    let [got] = &all.spans[..] else {
        panic!("one span: {:?}", all.spans);
    };
    assert_eq!(got.trace_id, context.trace_id());
    assert_eq!(got.span_id, context.span_id());
    assert_eq!((&*got.name, got.parent_span_id.len()), ("snakepit.call", 0));
    assert_eq!(got.status.as_ref().unwrap().message, "SP3001");
    assert_eq!(
        attribute(&got.attributes, "snakepit.tool").as_deref(),
        Some("mean")
    );
    assert_eq!(
        attribute(&got.attributes, "snakepit.attempts").as_deref(),
        Some("2")
    );
    assert_eq!(got.events[0].name, "dispatched");
    let [record] = &all.logs[..] else {
        panic!("one record: {:?}", all.logs);
    };
    assert_eq!(record.trace_id, context.trace_id());
    assert_eq!(record.span_id, context.span_id());
    assert_eq!(record.severity_text, "WARN");
    assert_eq!(
        attribute(&record.attributes, "snakepit.call.id").as_deref(),
        Some("7")
    );
    for name in ["tool.time", "rpc.client.call.duration"] {
        let metric = all.metrics.iter().find(|metric| metric.name == name);
        let Some(Data::Histogram(histogram)) = metric.and_then(|metric| metric.data.as_ref())
        else {
            panic!("{name} is a histogram: {:?}", all.metrics);
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.count, 1);
        assert_eq!(point.exemplars[0].trace_id, context.trace_id(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_child_of_the_span_in_which_it_is_made() {
    let (collector, state) = (Collector::start(Mode::Take).await, state());
    let telemetry = Telemetry::builder()
        .otlp(collector.endpoint())
        .configure(|config| {
            let quiet = ("otlp::quiet".to_owned(), LevelFilter::ERROR);
            config.log_levels.extend([quiet]);
        })
        .own_subscriber()
        .start()
        .unwrap();
    telemetry.attach(&state);
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    let begun = tracing::subscriber::with_default(subscriber, || {
        let caller = tracing::info_span!("checkout", password = "hushhush");
        let _entered = caller.enter();
        tracing::warn!(api_key = "hushhush", "low on stock");
        tracing::warn!(target: "otlp::quiet::part", "nobody wants this");
        tracing::debug!("nor this");
        let recorder = state.events().recorder().unwrap();
        let one = span(state.events(), Vec::new());
        recorder.span(one.clone());
        one
    });
    assert!(telemetry.shutdown().await.complete);
    let all = collector.all();
    assert!(!format!("{all:?}").contains("hushhush"), "{all:?}");
    let caller = all
        .spans
        .iter()
        .find(|span| span.name == "checkout")
        .unwrap();
    let call = all
        .spans
        .iter()
        .find(|span| span.name == "snakepit.call")
        .unwrap();
    assert_eq!(call.trace_id, caller.trace_id);
    assert_eq!(call.parent_span_id, caller.span_id);
    assert_eq!(begun.context.trace_id().to_vec(), caller.trace_id);
    let [record] = &all.logs[..] else {
        panic!("one record: {:?}", all.logs);
    };
    assert_eq!(record.span_id, caller.span_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampler_and_the_named_parent_decide() {
    let (collector, state) = (Collector::start(Mode::Take).await, state());
    let start = |sampling| {
        Telemetry::builder()
            .otlp(collector.endpoint())
            .sampling(sampling)
            .own_subscriber()
            .start()
            .unwrap()
    };
    let off = start(Sampling::parse("parentbased_always_off", None).unwrap());
    off.attach(&state);
    let recorder = state.events().recorder().unwrap();
    assert_eq!(recorder.begin(None), None);
    let parent = snakepit_core::events::TraceContext::start(true);
    let begun = recorder.begin(Some(parent)).unwrap();
    assert!(begun.context.is_sampled());
    assert_eq!(begun.context.trace_id(), parent.trace_id());
    assert_eq!(begun.parent, Some(parent.span_id()));
    let unsampled = snakepit_core::events::TraceContext::start(false);
    assert!(
        !recorder
            .begin(Some(unsampled))
            .unwrap()
            .context
            .is_sampled()
    );
    off.shutdown().await;
    assert!(state.events().recorder().is_none());
}
