//! The behaviours of the replaced scheduler thread, one test each, on real SQLite files.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use ractor::{ActorRef, call, call_t};
use ractor_housekeeper::actors::{NotRunning, StartError, Started, status, stop};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::job::{Page, Preview};
use ractor_housekeeper::model::{Event, HousekeeperState, Trigger};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::sqlite::timestamp_text;
use ractor_housekeeper::testing::{Fault, FaultyJob, Gate, Step};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, JobName, Outcome, Report, Scope,
    SqliteStore, Status, Subscriber, start,
};
use tempfile::TempDir;
use uuid::Uuid;

#[tokio::test]
async fn cleanup_with_no_inactive_sessions_deletes_nothing() {
    let app = App::new().await;
    app.session("fresh", app.guest, 23);

    let report = app.run(SessionCleaner::NAME, Scope::All).await;

    assert!(report.success());
    assert_eq!(report.counts.of("sessions"), 0);
    assert_eq!(app.ids("select id from sessions"), ["fresh"]);
}

#[tokio::test]
async fn cleanup_deletes_old_sessions_with_image_and_video_records() {
    let app = App::new().await;
    app.session("old", app.guest, 25);
    app.session("fresh", app.other_guest, 1);
    app.sql("insert into image_sent (id, session_id) values ('i1', 'old'), ('i2', 'old'), ('i3', 'fresh')");
    app.sql("insert into video_sent (id, session_id) values ('v1', 'old')");

    let report = app.run(SessionCleaner::NAME, Scope::All).await;

    assert!(report.success());
    assert_eq!(report.ids, ["old"]);
    assert_eq!(
        report.counts.to_string(),
        "2 image records, 1 session, 1 video record"
    );
    assert!(
        report
            .cutoff
            .is_some_and(|cutoff| cutoff < Utc::now() - TimeDelta::hours(24))
    );
    assert_eq!(app.ids("select id from sessions"), ["fresh"]);
    assert_eq!(app.ids("select id from image_sent"), ["i3"]);
    assert_eq!(app.ids("select id from video_sent"), [""; 0]);
}

#[tokio::test]
async fn cleanup_rolls_back_and_reports_a_database_error() {
    let app = App::new().await;
    app.session("old", app.guest, 25);
    app.sql("insert into image_sent (id, session_id) values ('i1', 'old')");
    app.sql("create trigger trouble before delete on sessions begin select out_of_paper(); end");

    let report = app.run(SessionCleaner::NAME, Scope::All).await;

    let Outcome::Failed {
        error, retry_at, ..
    } = &report.outcome
    else {
        panic!("{report}")
    };
    assert!(error.contains("out_of_paper"), "{error}");
    assert!(retry_at.is_some());
    assert_eq!(report.counts.total(), 0);
    assert_eq!(app.ids("select id from sessions"), ["old"]);
    assert_eq!(app.ids("select id from image_sent"), ["i1"]);
}

#[tokio::test]
async fn cleanup_for_one_user_leaves_the_others_alone() {
    let app = App::new().await;
    app.session("mine", app.guest, 25);
    app.session("theirs", app.other_guest, 25);

    let report = app.run(SessionCleaner::NAME, Scope::user(app.guest)).await;

    assert_eq!(report.ids, ["mine"]);
    assert_eq!(app.ids("select id from sessions"), ["theirs"]);
}

#[tokio::test]
async fn expiry_with_no_overdue_bookings_changes_nothing() {
    let app = App::new().await;
    app.booking("young", "Pending", 14);
    app.booking("paid", "Confirmed", 60);

    let report = app.run(BookingExpirer::NAME, Scope::All).await;

    assert!(report.success());
    assert_eq!(report.counts.total(), 0);
    assert_eq!(
        app.ids("select booking_id as id from bookings where status = 'Expired'"),
        [""; 0]
    );
}

#[tokio::test]
async fn expiry_expires_overdue_bookings_and_reports_their_ids() {
    let app = App::new().await;
    app.booking("first", "Pending", 17);
    app.booking("second", "Pending", 16);
    app.booking("young", "Pending", 14);
    app.booking("paid", "Confirmed", 60);

    let report = app.run(BookingExpirer::NAME, Scope::All).await;

    assert!(report.success());
    assert_eq!(report.ids, ["first", "second"]);
    assert_eq!(report.counts.of("bookings"), 2);
    assert_eq!(
        app.ids("select booking_id as id from bookings where status = 'Expired' order by 1"),
        ["first", "second"],
    );
}

#[tokio::test]
async fn expiry_rolls_back_and_reports_a_database_error() {
    let app = App::new().await;
    app.booking("first", "Pending", 17);
    app.booking("second", "Pending", 16);
    app.sql(
        "create trigger trouble before update on bookings when old.booking_id = 'second' \
         begin select out_of_ink(); end",
    );

    let report = app.run(BookingExpirer::NAME, Scope::All).await;

    assert!(!report.success());
    assert!(
        report.message().contains("out_of_ink"),
        "{}",
        report.message()
    );
    assert_eq!(
        app.ids("select booking_id as id from bookings where status = 'Expired'"),
        [""; 0]
    );
}

#[tokio::test]
async fn a_combined_run_reports_both_jobs_side_by_side() {
    let app = App::new().await;
    app.session("old", app.guest, 25);
    app.booking("late", "Pending", 16);

    let reports = call!(app.housekeeper, HousekeeperMsg::RunAll)
        .unwrap()
        .unwrap();

    let said: Vec<(JobName, Vec<String>)> = reports
        .into_iter()
        .map(|report| (report.job, report.ids))
        .collect();
    assert_eq!(
        said,
        [
            (BookingExpirer::NAME, vec!["late".to_owned()]),
            (SessionCleaner::NAME, vec!["old".to_owned()]),
        ],
    );
}

#[tokio::test]
async fn a_preview_of_sessions_lists_them_and_deletes_nothing() {
    let app = App::new().await;
    app.session("old", app.guest, 25);
    app.session("fresh", app.guest, 1);
    app.sql("insert into image_sent (id, session_id) values ('i1', 'old')");

    let preview = app.preview(SessionCleaner::NAME).await;

    assert_eq!(preview.due.count, 1);
    assert_eq!(preview.rows[0].id, "old");
    assert_eq!(preview.rows[0].user, Some(app.guest.to_string()));
    assert_eq!(preview.rows[0].details["image_records"], "1");
    assert_eq!(
        app.ids("select id from sessions order by 1"),
        ["fresh", "old"]
    );
}

#[tokio::test]
async fn a_preview_of_bookings_lists_them_and_expires_nothing() {
    let app = App::new().await;
    app.booking("late", "Pending", 16);
    app.booking("young", "Pending", 1);

    let preview = app.preview(BookingExpirer::NAME).await;

    assert_eq!(preview.due.count, 1);
    assert_eq!(preview.rows[0].id, "late");
    assert_eq!(
        app.ids("select booking_id as id from bookings where status = 'Expired'"),
        [""; 0]
    );
}

#[tokio::test]
async fn a_start_lists_both_jobs_on_a_schedule_of_15_minutes() {
    let app = App::new().await;

    let status = app.status().await;

    assert!(status.is_running());
    assert_eq!(
        status.jobs.keys().cloned().collect::<Vec<_>>(),
        [BookingExpirer::NAME, SessionCleaner::NAME]
    );
    for job in status.jobs.values() {
        assert_eq!(job.schedule.every, Some(Duration::from_secs(15 * 60)));
    }
}

#[tokio::test]
async fn a_start_when_running_returns_the_running_one() {
    let app = App::new().await;
    let first = app.start_named("seed-twice").await;

    let second = app.try_start_named("seed-twice").await;

    let Err(StartError::AlreadyRunning { name, housekeeper }) = second else {
        panic!("it started twice");
    };
    assert_eq!(name, "seed-twice");
    assert_eq!(housekeeper.get_id(), first.housekeeper.get_id());
}

#[tokio::test]
async fn a_graceful_stop_waits_for_the_running_batch() {
    let app = App::new().await;
    app.session("old", app.guest, 25);
    let (cleaner, faults) = FaultyJob::new(
        SessionCleaner::new(
            Arc::new(app.store.clone()),
            BookingPolicy::default().idle_after,
        )
        .unwrap(),
    );
    let gate = Gate::closed();
    faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let housekeeper = app.start_with(cleaner).await;
    let report = tokio::spawn({
        let housekeeper = housekeeper.clone();
        async move {
            call!(
                housekeeper,
                HousekeeperMsg::RunNow,
                SessionCleaner::NAME,
                Scope::All
            )
        }
    });
    gate.reached().await;

    let stopped = tokio::spawn(async move {
        call!(
            housekeeper,
            HousekeeperMsg::Shutdown,
            Duration::from_secs(10)
        )
    });
    let waiting = !stopped.is_finished();
    gate.open();
    stopped.await.unwrap().unwrap();

    assert!(waiting);
    assert_eq!(
        report
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .counts
            .of("sessions"),
        1
    );
    assert_eq!(app.ids("select id from sessions"), [""; 0]);
}

#[tokio::test]
async fn a_stop_when_not_running_says_so() {
    let refused = stop("seed-never", Duration::from_secs(1)).await;

    assert_eq!(
        refused,
        Err(NotRunning {
            name: "seed-never".to_owned()
        })
    );
}

#[tokio::test]
async fn the_status_of_one_never_started_says_so() {
    let app = App::new().await;
    let never = status("seed-unknown").await;
    app.start_named("seed-stopped").await;
    stop("seed-stopped", Duration::from_secs(5)).await.unwrap();

    let stopped = status("seed-stopped").await;

    assert_eq!(never.state, HousekeeperState::NeverStarted);
    assert_eq!(stopped.state, HousekeeperState::Stopped);
}

#[tokio::test]
async fn the_status_of_one_running_shows_the_last_and_the_next_run() {
    let app = App::new().await;
    app.run(BookingExpirer::NAME, Scope::All).await;

    let status = app.status().await;

    let job = &status.jobs[&BookingExpirer::NAME];
    assert_eq!(
        job.last.as_ref().map(|report| report.trigger),
        Some(Trigger::Manual)
    );
    assert!(job.last_success.is_some());
    assert!(job.next_run.is_some_and(|next| next.at > status.at));
}

#[tokio::test]
async fn cleanup_can_be_run_now() {
    let app = App::new().await;
    app.session("old", app.guest, 25);

    let report = app.run(SessionCleaner::NAME, Scope::All).await;

    assert_eq!(
        (report.trigger, report.counts.of("sessions")),
        (Trigger::Manual, 1)
    );
}

#[tokio::test]
async fn expiry_can_be_run_now() {
    let app = App::new().await;
    app.booking("late", "Pending", 16);

    let report = app.run(BookingExpirer::NAME, Scope::All).await;

    assert_eq!(
        (report.trigger, report.counts.of("bookings")),
        (Trigger::Manual, 1)
    );
}

#[tokio::test]
async fn the_schedule_runs_both_jobs() {
    let app = App::new().await;
    app.session("old", app.guest, 25);
    app.booking("late", "Pending", 16);
    let mut config = HousekeeperConfig::default();
    config.job.schedule.at_start = false;
    config.job.schedule.every = Some(Duration::from_millis(20));
    let jobs = built_in(app.store.clone(), &BookingPolicy::default()).unwrap();
    let housekeeper = start(None, HousekeeperArguments::new(jobs).with_config(config))
        .await
        .unwrap()
        .housekeeper;
    let (subscriber, mut events) = Subscriber::channel();
    housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .unwrap();

    let mut ran = Vec::new();
    while ran.len() < 2 {
        let event = events.recv().await.unwrap();
        if let Event::RunFinished(report) = &*event.event {
            assert_eq!(report.trigger, Trigger::Tick);
            if !ran.contains(&report.job) {
                ran.push(report.job.clone());
            }
        }
    }

    assert_eq!(app.ids("select id from sessions"), [""; 0]);
    assert_eq!(
        app.ids("select booking_id as id from bookings where status = 'Expired'"),
        ["late"]
    );
}

/// A booking application: a database file, a housekeeper that runs only on request, and two guests.
struct App {
    store: SqliteStore,
    housekeeper: ActorRef<HousekeeperMsg>,
    guest: Uuid,
    other_guest: Uuid,
    folder: TempDir,
}

impl App {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("bookings.db").to_str().unwrap())
            .await
            .unwrap();
        store.migrate(Schema::ALL).await.unwrap();
        let jobs = built_in(store.clone(), &BookingPolicy::default()).unwrap();
        let arguments = HousekeeperArguments::new(jobs)
            .with_config(on_demand())
            .with_history(store.clone());
        let housekeeper = start(None, arguments).await.unwrap().housekeeper;
        Self {
            store,
            housekeeper: housekeeper.into(),
            guest: Uuid::new_v4(),
            other_guest: Uuid::new_v4(),
            folder,
        }
    }

    async fn start_named(&self, name: &str) -> Started {
        self.try_start_named(name).await.unwrap()
    }

    async fn try_start_named(&self, name: &str) -> Result<Started, StartError> {
        let jobs = built_in(self.store.clone(), &BookingPolicy::default()).unwrap();
        start(
            Some(name),
            HousekeeperArguments::new(jobs).with_config(on_demand()),
        )
        .await
    }

    async fn start_with(&self, job: impl Job) -> ActorRef<HousekeeperMsg> {
        let arguments = HousekeeperArguments::new(Vec::new())
            .with_job(job)
            .with_config(on_demand());
        start(None, arguments).await.unwrap().housekeeper.into()
    }

    async fn run(&self, job: JobName, scope: Scope) -> Report {
        call!(self.housekeeper, HousekeeperMsg::RunNow, job, scope)
            .unwrap()
            .unwrap()
    }

    async fn preview(&self, job: JobName) -> Preview {
        call!(
            self.housekeeper,
            HousekeeperMsg::Preview,
            job,
            Scope::All,
            Page::default()
        )
        .unwrap()
        .unwrap()
    }

    async fn status(&self) -> Status {
        call_t!(self.housekeeper, HousekeeperMsg::Status, 1_000).unwrap()
    }

    fn session(&self, id: &str, user: Uuid, hours_ago: i64) {
        let at = timestamp_text(Utc::now() - TimeDelta::hours(hours_ago));
        self.sql(&format!(
            "insert into sessions (id, user_id, created_at) values ('{id}', '{user}', '{at}')"
        ));
    }

    fn booking(&self, id: &str, status: &str, minutes_ago: i64) {
        let at = timestamp_text(Utc::now() - TimeDelta::minutes(minutes_ago));
        self.sql(&format!(
            "insert into bookings (booking_id, user_id, status, created_at) values ('{id}', '{}', '{status}', '{at}')",
            self.guest,
        ));
    }

    fn sql(&self, statements: &str) {
        self.connection().batch_execute(statements).unwrap();
    }

    /// The column `id` of a query of the application's own.
    fn ids(&self, query: &str) -> Vec<String> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            id: String,
        }
        let rows: Vec<Row> = diesel::sql_query(query)
            .load(&mut self.connection())
            .unwrap();
        rows.into_iter().map(|row| row.id).collect()
    }

    fn connection(&self) -> SqliteConnection {
        let mut connection =
            SqliteConnection::establish(self.folder.path().join("bookings.db").to_str().unwrap())
                .unwrap();
        connection
            .batch_execute("pragma busy_timeout = 5000")
            .unwrap();
        connection
    }
}

/// No start, no ticks, no deadlines: only messages start runs.
fn on_demand() -> HousekeeperConfig {
    let mut config = HousekeeperConfig::default();
    config.job.schedule.at_start = false;
    config.job.schedule.at_deadline = false;
    config
}
