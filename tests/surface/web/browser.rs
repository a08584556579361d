//! The page in a real Chromium.

use std::env;
use std::fs;
use std::path::Path;

use axum::Router;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::{Pace, Schedule};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, MemoryBooking, Step, next_event};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperMsg, Scope};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::host::Host;
use crate::web::visitor::setup;
use crate::web::webdriver::Browser;

const SCRIPT: &str =
    "<script>window.taken = true</script><img src=x onerror='window.taken = true'>";
const CARD: &str = "article[data-job=\"booking-expirer\"]";
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_watches_and_acts_by_mouse_and_keyboard() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    let made = host.clock.now() - TimeDelta::hours(1);
    host.store
        .add_booking(MemoryBooking::pending(SCRIPT, Uuid::nil(), made));
    host.add_overdue(2);
    let page = serve(&host).await;

    browser.open(&page);
    browser.wait_for("document.querySelector('#link').dataset.state === 'live'");
    assert!(browser.text("h1").contains("Housekeeping"));

    runs_by_a_click(&browser);
    pauses_and_resumes(&browser);
    injected_script_stays_text(&browser, &page, &host).await;
    keeps_what_is_typed(&browser, &page, &host).await;
    follows_anew_after_a_silence(&browser);
    fits_narrow_screens(&browser, &page);
    is_steered_by_keyboard(&browser, &page);
    assert_eq!(browser.complaints(), [""; 0]);

    let stopped = host.housekeeper.stop_and_wait(None, None).await;
    stopped.expect("it stops");
    browser.wait_for("document.querySelector('#link').innerText.includes('Connection lost')");
}

fn runs_by_a_click(browser: &Browser) {
    browser.click(&format!("{CARD} .run button"));
    assert_eq!(
        browser.text("#ask-title"),
        "Run booking-expirer for all users?"
    );
    assert_eq!(
        browser.text("#ask-yes"),
        "Run booking-expirer for all users"
    );
    browser.wait_for("document.querySelector('#ask-due').innerText === '3 rows are due now.'");
    browser.click("#ask-yes");

    browser.wait_for("document.querySelector('#answer').dataset.state === 'good'");
    assert!(
        browser
            .text("#answer")
            .contains("booking-expirer handled 3 bookings")
    );
    // And the card follows without a reload.
    browser.wait_for(&format!(
        "document.querySelector('{CARD}').innerText.includes('3 bookings')"
    ));

    browser.click("#answer button");
    browser.click(&format!("{CARD} .run button"));
    browser.press(ESCAPE);
    browser.wait_for("!document.querySelector('#ask').open");
    assert_eq!(
        browser.text("#answer"),
        "",
        "what was not confirmed is not done"
    );
}

fn pauses_and_resumes(browser: &Browser) {
    for (act, word, shown) in [
        ("pause", "is paused", true),
        ("resume", "runs by itself again", false),
    ] {
        browser.click(&format!("{CARD} .{act} button"));
        browser.click("#ask-yes");
        browser.wait_for(&format!(
            "document.querySelector('#answer').innerText.includes('{word}')"
        ));
        browser.wait_for(&format!(
            "!!document.querySelector('{CARD} .badge.paused') === {shown}"
        ));
        browser.click("#answer button");
    }
}

async fn injected_script_stays_text(browser: &Browser, page: &str, host: &Host) {
    browser.open(&format!("{page}/jobs/booking-expirer"));
    browser.click("#history details summary");
    browser.wait_for(
        "document.querySelector('#history .ids').innerText.includes('window.taken = true')",
    );
    // Here it comes through the script, by a fresh copy of the history.
    browser.wait_for("document.querySelector('#link').dataset.state === 'live'");
    let made = host.clock.now() - TimeDelta::hours(1);
    let id = format!("{SCRIPT} again");
    host.store
        .add_booking(MemoryBooking::pending(id, Uuid::nil(), made));
    host.run_now(Scope::All).await.expect("a report");
    browser.wait_for("document.querySelectorAll('#history tbody tr').length === 2");

    let row = |place| {
        let details =
            format!("document.querySelector('#history tbody tr:nth-child({place}) details')");
        let open = browser.look(&format!("{details}.open")) == true;
        (
            open,
            browser.look(&format!("{details}.textContent.includes('again')")) == true,
        )
    };
    assert_eq!(
        [row(1), row(2)],
        [(false, true), (true, false)],
        "what was open is open"
    );
    assert!(browser.look("window.taken").is_null());
    assert_eq!(browser.look("document.images.length"), 0);
}

async fn keeps_what_is_typed(browser: &Browser, page: &str, host: &Host) {
    browser.open(page);
    browser.wait_for("document.querySelector('#link').dataset.state === 'live'");
    browser.click(&format!("{CARD} .run input"));
    browser.press("7");
    let error = "the database is away".to_owned();
    host.faults.once(Step::BeginRun, 1, Fault::Fail(error));
    host.run_now(Scope::All).await.expect("a report");
    browser.wait_for(&format!(
        "document.querySelector('{CARD} .reason')?.innerText.includes('the database is away')"
    ));

    let field = format!("document.querySelector('{CARD} .run input')");
    assert_eq!(browser.look(&format!("{field}.value")), "7");
    assert_eq!(
        browser.look(&format!("document.activeElement === {field}")),
        true
    );
    host.run_now(Scope::All).await.expect("a report");
    browser.wait_for(&format!(
        "document.querySelector('{CARD} .reason')?.hidden !== false"
    ));
    assert_eq!(browser.look(&format!("{field}.value")), "7");
}

/// A connection that is dead and does not say so.
fn follows_anew_after_a_silence(browser: &Browser) {
    browser.look(
        "(() => {
        window.silent = source;
        source.onmessage = null;
        const now = Date.now;
        Date.now = () => now() + 20000;
    })()",
    );

    browser
        .wait_for("source !== silent && document.querySelector('#link').dataset.state === 'live'");
    assert_eq!(browser.look("silent.readyState"), 2, "it is closed");
}

fn fits_narrow_screens(browser: &Browser, page: &str) {
    browser.resize(320, 800);
    for path in [
        "",
        "/jobs/booking-expirer",
        "/jobs/booking-expirer/preview",
        "/jobs/booking-expirer/run",
    ] {
        browser.open(&format!("{page}{path}"));
        let width = browser.look("document.documentElement.scrollWidth");
        assert_eq!(width, 320, "{path} has to be scrolled sideways");
    }
    browser.chromium("Emulation.clearDeviceMetricsOverride", &json!({}));
}

fn is_steered_by_keyboard(browser: &Browser, page: &str) {
    browser.open(page);
    browser.wait_for("document.querySelector('#link').dataset.state === 'live'");
    let reached = (0..30).any(|_| {
        browser.press(TAB);
        browser.look(&format!(
            "document.activeElement.matches('{CARD} .run button')"
        )) == true
    });
    assert!(reached, "tab does not reach the button");
    let outline = browser.look("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "the focus is seen");

    browser.press(ENTER);
    browser.wait_for("document.querySelector('#ask').open");
    // Enter on the button that has the focus does nothing to the job.
    assert_eq!(browser.look("document.activeElement.id"), "ask-no");
    browser.press(ENTER);
    browser.wait_for("!document.querySelector('#ask').open");
    assert_eq!(browser.text("#answer"), "");
    browser.press(ENTER);
    browser.press(TAB);
    assert_eq!(browser.look("document.activeElement.id"), "ask-yes");
    browser.press(ENTER);

    browser.wait_for("document.querySelector('#answer').dataset.state === 'good'");
    // Frames that come meanwhile do not take the focus along.
    let shown = browser.look("document.querySelector('#jobs').dataset.now");
    browser.wait_for(&format!(
        "document.querySelector('#jobs').dataset.now !== {shown}"
    ));
    let back = browser.look(&format!(
        "document.activeElement.matches('{CARD} .run button')"
    ));
    assert_eq!(back, true);
}

/// Draws the pictures of the documentation anew: `HOUSEKEEPER_SCREENSHOTS=docs/screenshots`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_are_drawn_wide_narrow_and_dark() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let (mut host, gate) = lived_in().await;
    let page = serve(&host).await;
    let run = host.run_now(Scope::All);
    for _ in 0..3 {
        next_event(&mut host.events, |news| {
            matches!(news, Event::BatchCommitted { .. })
        })
        .await;
    }

    let pictures = [
        ("wide", "", 1200, 700, "light"),
        ("dark", "", 1200, 700, "dark"),
        ("narrow", "", 360, 1600, "light"),
        ("job", "/jobs/booking-expirer", 1200, 900, "light"),
        ("job-dark", "/jobs/booking-expirer", 1200, 900, "dark"),
        (
            "preview",
            "/jobs/session-cleaner/preview?size=8",
            1200,
            560,
            "light",
        ),
    ];
    for (name, path, width, height, scheme) in pictures {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        browser.chromium(
            "Emulation.setEmulatedMedia",
            &json!({ "features": feature }),
        );
        browser.resize(width, 200);
        browser.open(&format!("{page}{path}"));
        if !path.contains("preview") {
            browser.wait_for("document.querySelector('#link').dataset.state === 'live'");
        }
        // All of a page, but for a long table's end.
        let whole = browser.look("document.documentElement.scrollHeight");
        let whole = whole
            .as_u64()
            .and_then(|whole| u32::try_from(whole).ok())
            .expect("a height");
        browser.resize(width, whole.min(height));
        draw(&browser, name);
    }

    assert_eq!(browser.complaints(), [""; 0]);
    gate.open();
    run.await.expect("a report");
}

/// Draws the page as it is seen, into the folder of `HOUSEKEEPER_SCREENSHOTS`.
pub(crate) fn draw(browser: &Browser, name: &str) {
    let picture = browser.chromium("Page.captureScreenshot", &json!({ "format": "png" }));
    let picture = BASE64_STANDARD.decode(picture["data"].as_str().expect("a picture"));
    let picture = picture.expect("is base 64");
    assert!(
        picture.len() < 200_000,
        "{name} takes {} bytes",
        picture.len()
    );
    if let Ok(folder) = env::var("HOUSEKEEPER_SCREENSHOTS") {
        fs::write(Path::new(&folder).join(format!("{name}.png")), picture).expect("is written");
    }
}

/// A host with a past: runs of many sizes, one that failed, a backlog that is being worked off, and
/// a job that fails.
async fn lived_in() -> (Host, Gate) {
    let mut setup = setup();
    setup.config.job.pace = Pace::fixed(400.try_into().expect("is not zero"));
    let mut host = setup.start().await;
    let mut random = fastrand::Rng::with_seed(5);
    for run in 0..40_u32 {
        host.clock
            .advance_wall(TimeDelta::seconds(random.i64(120..900)));
        host.add_overdue(random.u32(1..if run % 13 == 7 { 2_000 } else { 120 }));
        if run == 23 {
            let error =
                "could not get a connection within 5s: the server is starting up".to_owned();
            host.faults.once(Step::Batch, 1, Fault::Fail(error));
        }
        host.run_now(Scope::All).await.expect("a report");
    }
    for number in 0..30 {
        let (user, id) = (
            Uuid::from_u128(random.u128(..)),
            Uuid::from_u128(random.u128(..)),
        );
        let began = host.clock.now() - TimeDelta::hours(26) - TimeDelta::minutes(number * 7);
        host.store.add_session(id.to_string(), user, began);
        (0..number % 4).for_each(|_| host.store.add_image(&id.to_string()));
    }
    let error = "could not delete sessions: permission denied for table sessions".to_owned();
    host.sibling_faults.always(Step::Batch, Fault::Fail(error));
    let failed = host.ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply));
    failed.await.expect("a report");
    // The next run is measured by the rows that fall due while this one forecasts.
    let gate = Gate::closed();
    host.faults
        .once(Step::Forecast, 1, Fault::Hold(gate.clone()));
    host.add_overdue(40);
    while host.events.try_recv().is_ok() {}
    let run = host.run_now(Scope::All);
    next_event(&mut host.events, |news| {
        matches!(news, Event::BatchCommitted { .. })
    })
    .await;
    host.add_overdue(2_000);
    gate.open();
    run.await.expect("a report");
    host.clock.advance_wall(TimeDelta::seconds(140));
    while host.events.try_recv().is_ok() {}
    let schedule = Schedule::default();
    let ticking =
        host.ask(|reply| HousekeeperMsg::Reschedule(BookingExpirer::NAME, schedule, reply));
    ticking.await.expect("it can be");
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 4, Fault::Hold(gate.clone()));
    (host, gate)
}

/// At a path of a host's, on a port of this machine.
pub(crate) async fn serve(host: &Host) -> String {
    serve_router(Web::new(host.housekeeper.clone()).with_actions().router()).await
}

pub(crate) async fn serve_router(ours: Router) -> String {
    let router = Router::new().nest("/admin/housekeeping", ours);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/admin/housekeeping")
}
