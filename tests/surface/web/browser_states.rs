//! Every state of the page in a real Chromium: accessible by axe-core, at 320 pixels, in forced
//! colours, by keyboard alone and without a script.

use std::env;
use std::fs;

use async_trait::async_trait;
use axum::Router;
use ractor_housekeeper::model::{RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{Fault, MemoryOutbox, Step};
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{JobName, Scope};
use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::web::browser::{draw, serve, serve_router};
use crate::web::couriers::{park, with_courier};
use crate::web::fleet::fleet;
use crate::web::visitor::setup;
use crate::web::webdriver::Browser;

pub(crate) const LIVE: &str = "document.querySelector('#link').dataset.state === 'live'";
const ROWS: &str = "document.querySelectorAll('.job:not([hidden])').length";
/// Parts with a ground of their own and nothing on it.
const EMPTY_BOXES: &str = "[...document.querySelectorAll('main *')].filter((one) => \
    one.checkVisibility() && !one.closest('svg, progress') && !one.matches('input, select, button') && \
    getComputedStyle(one).backgroundColor !== 'rgba(0, 0, 0, 0)' && one.clientHeight > 4 && \
    !one.textContent.trim() && !one.querySelector('svg, input, select, progress')).map((one) => one.className)";
const CUT_TABLES: &str = "[...document.querySelectorAll('table')].filter((table) => { \
    const wide = table.scrollWidth > document.documentElement.clientWidth; \
    return wide && !table.closest('.scroll[tabindex=\"0\"][role=region][aria-label]'); }).length";
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_jobs_are_read_at_a_glance() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let page = serve_router(fleet_router().await).await;

    for (name, width, scheme) in [
        ("fleet", 1280, "light"),
        ("fleet-dark", 1280, "dark"),
        ("fleet-narrow", 360, "light"),
    ] {
        emulate(&browser, &[("prefers-color-scheme", scheme)]);
        browser.resize(width, 900);
        browser.open(&page);
        browser.wait_for(LIVE);
        assert!(
            browser
                .text("#sum")
                .starts_with("3 of 30 need you: token-cleaner degraded")
        );
        draw(&browser, name);
    }
    // All jobs in trouble are on the first screen.
    browser.resize(1280, 900);
    browser.open(&page);
    let bottom =
        "[...document.querySelectorAll('.job:not(.row)')].at(-1).getBoundingClientRect().bottom";
    let bottom = browser.look(bottom).as_f64().expect("a place");
    assert!(bottom < 900.0, "{bottom}");

    // The filter, live and after a frame.
    browser.wait_for(LIVE);
    browser.look("(() => { filter.elements.name.value = 'token'; filter.elements.name.dispatchEvent(new Event('input', { bubbles: true })); })()");
    assert_eq!(browser.look(ROWS), 3);
    assert_eq!(browser.text("#shown"), "3 of 30 jobs shown");
    let shown = browser.look("jobs.dataset.now");
    browser.wait_for(&format!("jobs.dataset.now !== {shown}"));
    assert_eq!(browser.look(ROWS), 3);
    assert_eq!(
        browser.look("document.title"),
        "3 of 30 need you · Housekeeping"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_says_the_act_the_scope_and_the_rows() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    host.add_overdue(3);
    let page = serve(&host).await;
    let user = "00000000-0000-0000-0000-000000000000";
    let card = "article[data-job=\"booking-expirer\"]";
    browser.resize(1000, 700);
    browser.open(&page);
    browser.wait_for(LIVE);

    browser.look(&format!(
        "(() => {{ document.querySelector('{card} .run input').value = '{user}'; }})()"
    ));
    browser.click(&format!("{card} .run button"));
    browser.wait_for("document.querySelector('#ask-due').innerText === '3 rows are due now.'");

    assert_eq!(
        browser.text("#ask-title"),
        format!("Run booking-expirer for user {user}?")
    );
    assert_eq!(
        browser.text("#ask-yes"),
        format!("Run booking-expirer for user {user}")
    );
    assert_eq!(browser.look("document.activeElement.id"), "ask-no");
    draw(&browser, "confirmation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_leaves_the_card_usable() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(FrozenHistory);
    setup.config.job.read_timeout = std::time::Duration::from_secs(10);
    let host = setup.start().await;
    host.faults.always(Step::Preview, Fault::Hang);
    host.add_overdue(2);
    host.run_now(Scope::All).await.expect("a report");
    let page = serve(&host).await;
    browser.resize(1000, 700);

    // Without its script, the page stays as it loads.
    let disabled = |value: bool| {
        let value = json!({ "value": value });
        browser.chromium("Emulation.setScriptExecutionDisabled", &value);
    };
    disabled(true);
    let asked = std::time::Instant::now();
    browser.open(&format!("{page}/jobs/booking-expirer"));
    let loaded = asked.elapsed();
    browser.wait_for_source("The database has not answered yet.");
    draw(&browser, "frozen");
    disabled(false);
    browser.open(&format!("{page}/jobs/booking-expirer"));
    browser.wait_for(LIVE);
    browser.wait_for(
        "document.querySelector('#history').innerText.includes('Only what this process saw')",
    );

    println!("the page of a job loads in {loaded:?} on a frozen database");
    assert!(browser.text("#jobs").contains("2 bookings"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_is_accessible() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let axe = axe();
    let (host, _outbox) = lived_in().await;
    host.add_overdue(1);
    let report = host.run_now(Scope::All).await.expect("a report");
    let few = serve(&host).await;
    let many = serve_router(fleet_router().await).await;
    let pages = [
        many.clone(),
        format!("{many}?state=trouble"),
        format!("{many}/jobs/token-cleaner"),
        few.clone(),
        format!("{few}/jobs/booking-expirer"),
        format!("{few}/jobs/booking-expirer?done=paused"),
        format!("{few}/jobs/booking-expirer/preview"),
        format!("{few}/jobs/booking-expirer/run?user=00000000-0000-0000-0000-000000000000"),
        format!("{few}/run"),
        format!("{few}/runs/{}", report.run),
        format!("{few}/jobs/booking-expirer/pause-replicas"),
        format!("{few}/couriers/mails"),
        format!("{few}/couriers/mails/discard"),
        format!("{few}/jobs/other"),
    ];
    let modes: [&[(&str, &str)]; 3] = [
        &[("prefers-color-scheme", "light")],
        &[("prefers-color-scheme", "dark")],
        &[("forced-colors", "active")],
    ];

    for (mode, width) in modes.into_iter().zip([1200, 320, 320]) {
        emulate(&browser, mode);
        browser.resize(width, 800);
        for (number, page) in pages.iter().enumerate() {
            browser.open(page);
            if browser.look("jobs !== null") == true {
                browser.wait_for(LIVE);
            }
            let wide = browser.look("document.documentElement.scrollWidth");
            assert_eq!(wide, width, "{page} has to be scrolled sideways");
            let empty = browser.look(EMPTY_BOXES);
            assert_eq!(empty, json!([]), "{page}: boxes without content");
            let cut = browser.look(CUT_TABLES);
            assert_eq!(cut, 0, "{page}: tables that are cut and cannot be scrolled");
            check(&browser, axe.as_deref(), page, mode);
            draw(&browser, &format!("state-{number}-{width}-{}", mode[0].1));
        }
        browser.open(&few);
        browser.wait_for(LIVE);
        browser.click("article[data-job=\"booking-expirer\"] .run button");
        check(&browser, axe.as_deref(), "the dialog", mode);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_alone_filters_opens_and_acts() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    let page = serve(&host).await;
    browser.open(&page);
    browser.wait_for(LIVE);
    let reach = |selector: &str| {
        let is_there = format!("document.activeElement.matches('{selector}')");
        let reached = (0..40).any(|_| {
            browser.press(TAB);
            browser.look(&is_there) == true
        });
        assert!(reached, "tab does not reach {selector}");
        let outline = browser.look("getComputedStyle(document.activeElement).outlineStyle");
        assert_eq!(outline, "solid", "{selector}: the focus is seen");
    };

    browser.press(TAB);
    assert_eq!(browser.look("document.activeElement.className"), "skip");
    browser.press(ENTER);
    reach("article[data-job=\"booking-expirer\"] .pause button");
    browser.press(ENTER);
    browser.wait_for("document.querySelector('#ask').open");
    browser.press(TAB);
    browser.press(ENTER);
    browser.wait_for("document.querySelector('#answer').dataset.state === 'good'");
    assert!(host.status().await.paused);
    reach("article[data-job=\"booking-expirer\"] nav a");
    browser.press(ENTER);
    browser.wait_for("location.pathname.endsWith('/jobs/booking-expirer')");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_script_everything_can_be_done() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    host.add_overdue(2);
    let page = serve(&host).await;
    browser.chromium(
        "Emulation.setScriptExecutionDisabled",
        &json!({ "value": true }),
    );

    browser.open(&page);
    browser.click("article[data-job=\"booking-expirer\"] .run button");
    browser.wait_for_source("2 rows are due now.");
    browser.click(".question button.go");
    browser.wait_for_source("completed</span>: booking-expirer");
    browser.wait_for_source("handled 2 bookings");
    browser.click(".job nav a:last-child");
    browser.wait_for_source("rows are due");

    assert_eq!(host.expired().len(), 2);
}

/// Fails on what axe-core finds. Left out unless `HOUSEKEEPER_AXE` names its file.
fn check(browser: &Browser, axe: Option<&str>, page: &str, mode: &[(&str, &str)]) {
    let Some(axe) = axe else { return };
    browser.look(&format!("(() => {{ {axe} }})()"));
    let found = browser.look(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
         .then((found) => found.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html)]))",
    );
    // The system's own colours are not ours to judge.
    let forced = mode.iter().any(|(name, _)| *name == "forced-colors");
    let found: Vec<&Value> = found.as_array().expect("violations").iter().collect();
    let found: Vec<_> = found
        .iter()
        .filter(|one| !(forced && one[0] == "color-contrast"))
        .collect();
    assert!(found.is_empty(), "{page} in {mode:?}: {found:#?}");
}

fn axe() -> Option<String> {
    let Some(path) = env::var_os("HOUSEKEEPER_AXE") else {
        println!("left out: HOUSEKEEPER_AXE does not name the file of axe-core");
        return None;
    };
    Some(fs::read_to_string(path).expect("the file of axe-core"))
}

fn emulate(browser: &Browser, features: &[(&str, &str)]) {
    let features = features
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }));
    let features: Vec<Value> = features.collect();
    browser.chromium(
        "Emulation.setEmulatedMedia",
        &json!({ "features": features }),
    );
}

pub(crate) async fn fleet_router() -> Router {
    Web::new(fleet().await).with_actions().router()
}

/// A host with a past, a failing job and parked entries.
async fn lived_in() -> (Host, MemoryOutbox) {
    let (setup, outbox) = with_courier(setup(), "mails");
    let mut host = setup.start().await;
    for rows in [3, 1, 5] {
        host.add_overdue(rows);
        host.run_now(Scope::All).await.expect("a report");
    }
    let error = "could not delete bookings: permission denied for table bookings".to_owned();
    host.faults.once(Step::Batch, 1, Fault::Fail(error));
    host.add_overdue(4);
    host.run_now(Scope::All).await.expect("a report");
    park(&mut host, &outbox, "mails", &["order-17", "order-18"]).await;
    (host, outbox)
}

/// A history whose database has frozen.
struct FrozenHistory;

#[async_trait]
impl RunHistory for FrozenHistory {
    async fn record(&self, _: &[RunRecord], _: u32) -> Result<(), StoreError> {
        std::future::pending().await
    }

    async fn runs(&self, _: &JobName, _: u32) -> Result<Vec<RunRecord>, StoreError> {
        std::future::pending().await
    }
}
