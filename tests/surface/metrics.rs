//! Every figure that is documented is there, none else is, and they are true.
//!
//! Recorders are of the thread: the tree runs on the test's own, on paused time, so that tests do
//! not see each other's figures. Only a run that blocks its thread needs more than one, and so the
//! recorder of the process, which no other test writes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ractor::call_t;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RejectedRow, RunBounds,
};
use ractor_housekeeper::metrics;
use ractor_housekeeper::metrics::Kind;
use ractor_housekeeper::model::{Event, WorkerStatus};
use ractor_housekeeper::testing::{
    Fault, FaultyJob, Gate, MemoryBooking, MemoryStore, Step, next_event, next_report,
};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, JobName, Report, Scope, Subscriber, start,
};
use uuid::Uuid;

use crate::support::alone::ran_alone;
use crate::support::blocker::Blocker;
use crate::support::host::{Host, Setup, messages_only, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn exactly_the_documented_metrics_and_labels_appear() {
    let figures = Figures::here();
    let host = host_with_history(&figures).await;
    host.add_overdue(3);

    let _ = host.run_now(Scope::All).await;
    let page = Page::default();
    let preview = |reply| HousekeeperMsg::Preview(BookingExpirer::NAME, Scope::All, page, reply);
    host.ask(preview).await.expect("is not refused");
    let history = |reply| HousekeeperMsg::History(BookingExpirer::NAME, 9, reply);
    host.ask(history).await.expect("is not refused");
    deliver().await;

    let seen = figures.labels();
    let documented: BTreeMap<String, BTreeSet<String>> = metrics::ALL
        .iter()
        .map(|metric| {
            let labels = metric.labels.iter().map(|label| (*label).to_owned());
            (metric.name.to_owned(), labels.collect())
        })
        .collect();
    assert_eq!(seen, documented);
    for metric in metrics::ALL {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let (name, help) = (metric.name, metric.help);
        let scrape = figures.scrape();
        assert!(
            scrape.contains(&format!("# TYPE {name} {kind}\n")),
            "{name}"
        );
        assert!(
            scrape.contains(&format!("# HELP {name} {help}\n")),
            "{name}"
        );
    }
    let steps = [
        "check",
        "begin_run",
        "forecast",
        "preview",
        "history_read",
        "history_write",
    ];
    for step in steps {
        let count =
            format!("housekeeper_step_seconds_count{{job=\"booking-expirer\",step=\"{step}\"}}");
        assert_eq!(figures.of(&count), Some(1.0), "{step}");
    }
}

#[test]
fn the_table_in_the_documentation_is_the_table_in_the_code() {
    let documented: Vec<(String, String, Vec<String>)> = include_str!("../../src/metrics/names.rs")
        .lines()
        .filter(|line| line.starts_with("//! | `housekeeper_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let kind = cells[2].split(',').next().unwrap_or_default();
            let labels = cells[3].split(", ").filter(|label| !label.is_empty());
            let plain = |text: &str| text.trim_matches('`').to_owned();
            (
                plain(cells[1]),
                kind.to_owned(),
                labels.map(plain).collect(),
            )
        })
        .collect();

    let table: Vec<_> = metrics::ALL
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels = metric.labels.iter().map(|label| (*label).to_owned());
            (metric.name.to_owned(), kind, labels.collect())
        })
        .collect();
    let sorted = |mut rows: Vec<(String, String, Vec<String>)>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(documented), sorted(table));
}

/// Has one entry acknowledged and one parked, and kills the courier.
async fn deliver() {
    let outbox = ractor_housekeeper::testing::MemoryOutbox::new();
    let receiver = ractor_housekeeper::testing::FaultyReceiver::start().await;
    let refuse = ractor_housekeeper::testing::ReceiverFault::Refuse("no".to_owned());
    receiver.once(1, refuse);
    for key in ["a", "b"] {
        outbox.write(BookingExpirer::NAME, "bookings", key, "{}");
    }
    let mut arguments = ractor_housekeeper::HousekeeperArguments::new(Vec::new()).with_courier(
        BookingExpirer::NAME,
        outbox,
        receiver.destination(),
    );
    arguments.config.courier.max_attempts = 1.try_into().expect("is not zero");
    let started = ractor_housekeeper::start(None, arguments).await;
    let housekeeper = started.expect("starts").housekeeper;
    receiver.acknowledged(1).await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    for child in housekeeper.get_children() {
        child.kill();
    }
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
}

#[test]
fn only_histograms_have_buckets_which_grow() {
    for metric in metrics::ALL {
        assert_eq!(metric.buckets.is_empty(), metric.kind != Kind::Histogram);
        assert!(metric.buckets.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[tokio::test(start_paused = true)]
async fn rows_runs_batches_and_restarts_match_the_reports() {
    let figures = Figures::here();
    let mut host = host_with_history(&figures).await;
    host.add_overdue(5);

    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    let _ = host.run_now(Scope::All).await;
    host.faults.once(Step::Batch, 2, Fault::Panic);
    next_report(&mut host.events, |report| report.counts.total() == 2).await;
    next_report(&mut host.events, Report::success).await;
    let _ = host.run_now(Scope::All).await;
    let _ = host.run_now(Scope::user(Uuid::nil())).await;

    let runs = |trigger, outcome| {
        let name = format!(
            "housekeeper_runs_total{{job=\"booking-expirer\",trigger=\"{trigger}\",outcome=\"{outcome}\"}}"
        );
        figures.of(&name)
    };
    assert_eq!(host.expired().len(), 5);
    assert_eq!(figures.job("rows_total", ",kind=\"bookings\""), Some(5.0));
    assert_eq!(runs("manual", "failed"), Some(1.0));
    assert_eq!(runs("retry", "crashed"), Some(1.0));
    assert_eq!(runs("retry", "completed"), Some(1.0));
    assert_eq!(runs("manual", "completed"), Some(2.0));
    assert_eq!(figures.job("run_seconds_count", ""), Some(5.0));
    // Two rows; two, one; none; none. The one that panicked took its time, and committed nothing.
    assert_eq!(figures.job("batches_total", ""), Some(5.0));
    assert_eq!(figures.job("batch_rows_sum", ""), Some(5.0));
    assert_eq!(figures.job("batch_seconds_count", ""), Some(6.0));
    assert_eq!(figures.job("restarts_total", ""), Some(1.0));
    // Its sibling did nothing, and nothing is counted for it.
    assert_eq!(host.sibling_faults.calls(Step::BeginRun), 0);
    let sibling = figures.of("housekeeper_batches_total{job=\"session-cleaner\"}");
    assert_eq!(sibling, Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_run_is_not_counted() {
    let figures = Figures::here();
    let host = host_with_history(&figures).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::All);
    gate.reached().await;
    let waiting = host.run_now(Scope::All);

    let stopping = host.ask(|reply| HousekeeperMsg::Shutdown(seconds(9), reply));
    let turned_away = waiting.await.expect("is not refused");
    gate.open();
    let ended = running.await.expect("is not refused");
    stopping.await;

    let outcomes = [turned_away, ended].map(|report| report.outcome.as_str());
    assert_eq!(outcomes, ["shutting down", "completed"]);
    assert_eq!(figures.job("run_seconds_count", ""), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_times_out_is_measured_too() {
    let figures = Figures::here();
    let host = host_with_history(&figures).await;
    host.faults.once(Step::Batch, 1, Fault::Hang);

    let report = host.run_now(Scope::All).await.expect("is not refused");

    assert_eq!(report.outcome.as_str(), "failed");
    let sum = figures.job("batch_seconds_sum", "").expect("is there");
    assert!((30.0..30.1).contains(&sum), "{sum}");
}

#[tokio::test(start_paused = true)]
async fn gauges_match_the_status() {
    let figures = Figures::here();
    let host = host_with_history(&figures).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let began = host.clock.now();
    let running = host.run_now(Scope::All);
    gate.reached().await;
    let pause = |reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply);
    let _ = host.ask(pause).await;

    let during = ["running", "paused", "stalled", "degraded"].map(|name| figures.job(name, ""));
    gate.open();
    let _ = running.await;
    let status = host.status().await;
    let after = ["running", "paused", "backlog_rows", "unsaved_runs"];
    let after = after.map(|name| figures.job(name, ""));

    assert_eq!(during, [Some(1.0), Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(after, [Some(0.0), Some(1.0), Some(0.0), Some(0.0)]);
    let success = figures.job("last_success_timestamp_seconds", "");
    let expected = status.last_success.expect("it completed");
    assert!(expected >= began);
    let milliseconds = TimeDelta::from_std(Duration::from_secs_f64(success.expect("is there")));
    assert_eq!(
        milliseconds.expect("is near").num_milliseconds(),
        expected.timestamp_millis()
    );
    assert_eq!(figures.health(), ["healthy"]);
}

#[tokio::test(start_paused = true)]
async fn the_overdue_gauge_grows_while_nothing_works() {
    let figures = Figures::here();
    let host = with_a_row_left(&figures).await;

    tokio::time::sleep(minutes(10)).await;

    let overdue = figures.job("oldest_overdue_seconds", "").expect("is there");
    assert!((540.0..=602.0).contains(&overdue), "{overdue}");
    assert_eq!(figures.job("backlog_rows", ""), Some(1.0));
    assert_eq!(figures.health(), ["late"]);
    drop(host);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_or_killed_housekeeper_keeps_one_gauge() {
    for killed in [false, true] {
        let figures = Figures::here();
        let host = with_a_row_left(&figures).await;
        let _ = host.run_now(Scope::user(Uuid::nil())).await;
        host.faults.always(Step::BeginRun, Fault::Panic);
        for _ in 0..2 {
            let _ = host.run_now(Scope::All).await;
        }
        let before = figures.gauges();
        assert!(
            before.iter().filter(|(_, value)| *value != 0.0).count() > 2,
            "{before:?}"
        );

        if killed {
            host.housekeeper.kill();
        } else {
            host.housekeeper.stop(None);
        }
        host.housekeeper.wait(None).await.expect("it ends");
        // Its memory is dropped behind the news of its end.
        tokio::task::yield_now().await;

        for (name, value) in figures.gauges() {
            let is_fact = name.starts_with("housekeeper_last_success");
            assert_eq!(value != 0.0, is_fact, "{name} {value}, killed: {killed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn missed_ticks_timer_crashes_and_missed_events_are_counted() {
    let figures = Figures::here();
    let mut setup = Setup::new();
    setup.config.job.schedule.every = Some(minutes(15));
    let mut host = setup.start().await;
    // In batches of two with room for one event: the others are missed.
    let (slow, _unread) = Subscriber::channel();
    let slow = HousekeeperMsg::Subscribe(slow.with_buffer(1));
    host.housekeeper.cast(slow).expect("it runs");

    host.child("timer").kill();
    next_event(&mut host.events, |news| {
        matches!(news, Event::TimerRestarted { .. })
    })
    .await;
    host.clock.advance_wall(TimeDelta::hours(2));
    next_report(&mut host.events, |report| {
        report.job == BookingExpirer::NAME
    })
    .await;

    let missed = host.status().await.missed_ticks;
    assert!(missed > 5, "{missed}");
    let counted = figures.job("missed_ticks_total", "").expect("is there");
    assert_eq!(counted.to_string(), missed.to_string());
    assert_eq!(figures.of("housekeeper_timer_restarts_total"), Some(1.0));
    let events = figures.of("housekeeper_events_missed_total");
    assert!(events.is_some_and(|events| events >= 2.0), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn rejected_rows_are_shown_until_a_tick_handles_them() {
    let figures = Figures::here();
    let (job, faults) = FaultyJob::new(RejectsItsRow);
    let arguments = HousekeeperArguments::new(Vec::new()).with_job(job);
    let arguments = arguments.with_config(Setup::new().config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let (job, all) = (RejectsItsRow.name(), Scope::All);
    let _ = call_t!(housekeeper, HousekeeperMsg::RunNow, 60_000, job, all).expect("an answer");
    let first = figures.of("housekeeper_rejected_rows{job=\"stuck\"}");
    let gate = Gate::closed();
    faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let (reply, _answer) = ractor::concurrency::oneshot();
    let message = HousekeeperMsg::RunNow(RejectsItsRow.name(), Scope::All, reply.into());
    housekeeper.cast(message).expect("it runs");
    gate.reached().await;
    let during = figures.of("housekeeper_rejected_rows{job=\"stuck\"}");

    assert_eq!([first, during], [Some(1.0), Some(1.0)]);
}

// On real threads, and so with the recorder of the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_blocks_its_thread_is_stalled_until_it_continues() {
    if ran_alone("metrics::a_run_that_blocks_its_thread_is_stalled_until_it_continues") {
        return;
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let figures = Figures {
        scrapes: recorder.handle(),
        _of_this_thread: None,
    };
    ::metrics::set_global_recorder(recorder).expect("it is the only one");
    let (job, release) = Blocker::new();
    let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]);
    arguments.config.job.schedule = messages_only();
    arguments.config.job.step_timeout = Duration::from_millis(20);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let stalled = || figures.of("housekeeper_stalled{job=\"session-cleaner\"}");

    let (reply, answer) = ractor::concurrency::oneshot();
    let message = HousekeeperMsg::RunNow(Blocker::NAME, Scope::All, reply.into());
    housekeeper.cast(message).expect("it runs");
    while stalled() != Some(1.0) {
        let status = call_t!(housekeeper, HousekeeperMsg::Status, 60_000).expect("it answers");
        let job = &status.jobs[&Blocker::NAME];
        assert!(matches!(job.worker, WorkerStatus::Running(_)));
        tokio::task::yield_now().await;
    }
    release.send(()).expect("it waits");
    answer.await.expect("an answer").expect("is not refused");
    // Looks again before it answers.
    let _ = call_t!(housekeeper, HousekeeperMsg::Status, 60_000).expect("it answers");

    assert_eq!(stalled(), Some(0.0));
}

#[test]
fn alert_rules_name_only_existing_metrics_and_labels() {
    let rules = include_str!("../../examples/prometheus/alerts.yml");

    let alerts = alerts(rules);

    let alerted: BTreeSet<&str> = alerts
        .iter()
        .flat_map(|alert| names(alert["expr"]))
        .collect();
    for alert in &alerts {
        assert_eq!(faults(alert["expr"]), [""; 0], "{}", alert["alert"]);
        assert!(!names(alert["expr"]).is_empty(), "{}", alert["alert"]);
        assert!(alert["runbook"].len() > 40, "{}", alert["alert"]);
        let known = labels_of(alert["expr"]);
        for used in alert["summary"].split("$labels.").skip(1) {
            let label = word_of(used);
            assert!(known.contains(label), "{}: {label}", alert["alert"]);
        }
    }
    let [health, rejected] = ["housekeeper_health", "housekeeper_rejected_rows"];
    assert!(alerts.len() > 10 && alerted.contains(health) && alerted.contains(rejected));
}

#[test]
fn an_alert_rule_with_an_unknown_name_is_found() {
    let wrong = [
        "housekeeper_backlog > 1",
        "housekeeper_backlog_rows_bucket > 1",
        "housekeeper_backlog_rows{kind=\"bookings\"} > 1",
        "housekeeper_health{state=\"poorly\"} == 1",
        "housekeeper_runs_total{outcome=~\"failed|died\"} == 1",
        "housekeeper_step_seconds_count{step!=\"write\"} > 1",
        "sum by (state) (housekeeper_backlog_rows) > 1",
        "housekeeper_paused unless on (step) housekeeper_degraded",
    ];

    for expression in wrong {
        assert_eq!(faults(expression).len(), 1, "{expression}");
    }
}

/// The content of this thread's recorder, as a scrape shows it.
struct Figures {
    scrapes: PrometheusHandle,
    _of_this_thread: Option<::metrics::LocalRecorderGuard<'static>>,
}

impl Figures {
    fn here() -> Self {
        let builder = metrics::ALL
            .iter()
            .fold(PrometheusBuilder::new(), |builder, metric| {
                if metric.buckets.is_empty() {
                    return builder;
                }
                let name = metrics_exporter_prometheus::Matcher::Full(metric.name.to_owned());
                let builder = builder.set_buckets_for_metric(name, metric.buckets);
                builder.expect("there are some")
            });
        // Some kilobytes, for as long as the tests last.
        let recorder = Box::leak(Box::new(builder.build_recorder()));
        Self {
            scrapes: recorder.handle(),
            _of_this_thread: Some(::metrics::set_default_local_recorder(recorder)),
        }
    }

    fn scrape(&self) -> String {
        self.scrapes.render()
    }

    /// Each line: a name with labels, and its value.
    fn lines(&self) -> Vec<(String, f64)> {
        let scrape = self.scrape();
        let lines = scrape
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').expect("two words");
                (name.to_owned(), value.parse().expect("is a number"))
            })
            .collect()
    }

    fn of(&self, wanted: &str) -> Option<f64> {
        let lines = self.lines();
        let line = lines.iter().find(|(name, _)| name == wanted);
        line.map(|(_, value)| *value)
    }

    /// Of the booking expirer.
    fn job(&self, name: &str, more_labels: &str) -> Option<f64> {
        self.of(&format!(
            "housekeeper_{name}{{job=\"booking-expirer\"{more_labels}}}"
        ))
    }

    /// Metrics and their labels, without those of the exporter.
    fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, _) in self.lines() {
            let (name, labels) = name.split_once('{').unwrap_or((&name, ""));
            let labels = labels.split(',').filter_map(|label| label.split_once('='));
            let labels = labels.map(|(label, _)| label.to_owned());
            let known = seen.entry(base(name).to_owned()).or_default();
            known.extend(labels.filter(|label| label != "le"));
        }
        seen
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        let mut lines = self.lines();
        lines.retain(|(name, _)| {
            metric(word_of(name)).is_some_and(|metric| metric.kind == Kind::Gauge)
        });
        lines
    }

    /// The states of the booking expirer's health that are 1.
    fn health(&self) -> Vec<&'static str> {
        let mut states = metrics::STATES.to_vec();
        states.retain(|state| self.job("health", &format!(",state=\"{state}\"")) == Some(1.0));
        states
    }
}

async fn host_with_history(_: &Figures) -> Host {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(MemoryStore::new());
    setup.start().await
}

/// A host whose run reached its limit with a booking left that had been due for a second.
async fn with_a_row_left(_: &Figures) -> Host {
    let mut setup = Setup::new();
    setup.config.job.pace.min_pause = Duration::from_millis(1);
    setup.config.job.pace.max_pause = Duration::from_millis(1);
    setup.config.job.run_timeout = Some(Duration::from_millis(1));
    let host = setup.start().await;
    let _ = host.run_now(Scope::All).await;
    let made = host.clock.now() - TimeDelta::minutes(15) - TimeDelta::seconds(1);
    for number in 0..5 {
        let booking = MemoryBooking::pending(format!("b{number}"), Uuid::nil(), made);
        host.store.add_booking(booking);
    }
    let report = host.run_now(Scope::All).await.expect("is not refused");
    assert_eq!(
        (report.outcome.as_str(), host.expired().len()),
        ("timed out", 4)
    );
    host
}

/// The host's job that never gets its only row done.
struct RejectsItsRow;

#[async_trait::async_trait]
impl Job for RejectsItsRow {
    fn name(&self) -> JobName {
        JobName::new("stuck")
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = chrono::DateTime::UNIX_EPOCH;
        Ok(RunBounds::new(now, now))
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        let refused = RejectedRow {
            id: "row".to_owned(),
            error: "an invoice needs it".to_owned(),
        };
        Ok(Batch::default().with_rejected(vec![refused]))
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(chrono::DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(Forecast::default())
    }
}

/// The rules of the file, each with its fields. It is read line by line: each value stands on the
/// line of its key, which `promtool` and readers like as well, and the readers of all YAML are
/// unmaintained or ask for a newer compiler than this crate does.
fn alerts(rules: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut alerts: Vec<BTreeMap<&str, &str>> = Vec::new();
    for line in rules.lines().map(str::trim) {
        let Some((key, value)) = line.trim_start_matches("- ").split_once(": ") else {
            continue;
        };
        if key == "alert" {
            alerts.push(BTreeMap::new());
        }
        if let Some(alert) = alerts.last_mut() {
            alert.insert(key, value);
        }
    }
    alerts
}

/// Names in an expression that do not exist.
fn faults(expression: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for used in places(expression) {
        let name = word_of(used);
        let Some(metric) = metric(name) else {
            faults.push(format!("no metric {name}"));
            continue;
        };
        let Some(selector) = used[name.len()..].strip_prefix('{') else {
            continue;
        };
        let (selector, _) = selector.split_once('}').expect("it is closed");
        for matcher in selector.split(',') {
            let label = word_of(matcher);
            let values = matcher[label.len()..].trim_matches(['=', '!', '~', '"']);
            let known = values.split('|').all(|value| is_value(label, value));
            if !metric.labels.contains(&label) || !known {
                faults.push(format!("no {matcher} of {name}"));
            }
        }
    }
    let known = labels_of(expression);
    for grouping in ["by (", "on (", "without ("] {
        for list in expression.split(grouping).skip(1) {
            let (list, _) = list.split_once(')').expect("it is closed");
            let unknown = list
                .split(", ")
                // `instance` is the scrape's own.
                .filter(|label| !["le", "instance"].contains(label) && !known.contains(*label));
            faults.extend(unknown.map(|label| format!("no label {label}")));
        }
    }
    faults
}

fn is_value(label: &str, value: &str) -> bool {
    match label {
        "state" => metrics::STATES.contains(&value),
        "outcome" => [
            "completed",
            "failed",
            "crashed",
            "cancelled",
            "timed_out",
            "shutting_down",
            "acknowledged",
            "refused",
            "unavailable",
            "lost",
        ]
        .contains(&value),
        "step" => [
            "check",
            "begin_run",
            "forecast",
            "preview",
            "history_read",
            "history_write",
        ]
        .contains(&value),
        _ => true,
    }
}

/// Where a metric is named in an expression, to the end of it.
fn places(expression: &str) -> Vec<&str> {
    let starts = expression.match_indices("housekeeper_");
    starts.map(|(start, _)| &expression[start..]).collect()
}

fn names(expression: &str) -> Vec<&str> {
    places(expression)
        .into_iter()
        .map(|used| base(word_of(used)))
        .collect()
}

fn labels_of(expression: &str) -> BTreeSet<&'static str> {
    let metrics = places(expression)
        .into_iter()
        .filter_map(|used| metric(word_of(used)));
    metrics
        .flat_map(|metric| metric.labels.iter().copied())
        .collect()
}

/// The metric that a line of a scrape belongs to.
fn metric(name: &str) -> Option<&'static metrics::Metric> {
    let base = base(name);
    let metric = metrics::ALL.iter().find(|metric| metric.name == base)?;
    (base == name || metric.kind == Kind::Histogram).then_some(metric)
}

/// Without the suffix of a histogram's parts.
fn base(name: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .unwrap_or(name)
}

fn word_of(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    &text[..end.unwrap_or(text.len())]
}
