//! The page on paper, the labels of its plots, and times of day, in a real Chromium.

use ractor_housekeeper::Scope;
use serde_json::json;

use crate::web::browser::{draw, serve, serve_router};
use crate::web::browser_states::{LIVE, fleet_router};
use crate::web::visitor::setup;
use crate::web::webdriver::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_shows_states_and_history_without_controls() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    host.add_overdue(1);
    host.run_now(Scope::All).await.expect("a report");
    let page = format!("{}/jobs/booking-expirer", serve(&host).await);
    browser.resize(1000, 800);
    browser.open(&page);
    browser.wait_for(LIVE);
    let seen = |selector: &str| {
        browser.look(&format!(
            "[...document.querySelectorAll('{selector}')].some((one) => one.checkVisibility())"
        ))
    };
    let controls = [
        ".acts",
        "button",
        ".job nav",
        ".filter",
        ".link",
        "body > footer",
    ];
    for control in controls {
        assert_eq!(seen(control), true, "{control} on the screen");
    }

    let paper = json!({
        "media": "print",
        "features": [{ "name": "prefers-color-scheme", "value": "dark" }],
    });
    browser.chromium("Emulation.setEmulatedMedia", &paper);
    draw(&browser, "print");

    for control in controls {
        assert_eq!(seen(control), false, "{control} on paper");
    }
    for part in [".job h2", ".badge", ".facts", ".plot svg", "table", "h1"] {
        assert_eq!(seen(part), true, "{part} on paper");
    }
    let ink = browser.look("getComputedStyle(document.body).color");
    assert_eq!(ink, "rgb(27, 31, 28)", "dark ink, whatever the screen has");
    let cut = browser.look("getComputedStyle(document.querySelector('.scroll')).overflowX");
    assert_eq!(cut, "visible", "a table is not cut on paper");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plots_have_labels_that_do_not_overlap() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    for rows in [3, 1, 5] {
        host.add_overdue(rows);
        host.run_now(Scope::All).await.expect("a report");
    }
    let page = format!("{}/jobs/booking-expirer", serve(&host).await);

    for width in [1200, 320] {
        browser.resize(width, 900);
        browser.open(&page);
        let labels = browser.look("document.querySelectorAll('.plot .axis').length");
        // Three of the scale and two of the time, in each of three plots; a middle that reads as an
        // end does has none.
        let labels = labels.as_u64().expect("a number");
        assert!((12..=15).contains(&labels), "{labels}");
        let empty = "[...document.querySelectorAll('.plot .axis')].filter((label) => !label.textContent.trim()).length";
        assert_eq!(browser.look(empty), 0);
        let overlapping = "[...document.querySelectorAll('.plot')].flatMap((plot) => { \
            const boxes = [...plot.querySelectorAll('.axis')].map((label) => label.getBoundingClientRect()); \
            return boxes.flatMap((one, at) => boxes.slice(at + 1).filter((other) => \
                one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom)); \
            }).length";
        assert_eq!(browser.look(overlapping), 0, "at {width} pixels");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_are_told_in_local_time_beside_utc() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let page = serve_router(fleet_router().await).await;
    // Nine hours ahead of UTC, all year.
    let zone = json!({ "timezoneId": "Asia/Tokyo" });
    browser.chromium("Emulation.setTimezoneOverride", &zone);
    browser.open(&format!("{page}/jobs/draft-cleaner"));
    browser.wait_for(LIVE);

    let fits = "[...document.querySelectorAll('.ticks time[data-clock]')].map((time) => { \
        const reported = /^(\\d\\d):(\\d\\d) local, (\\d\\d):(\\d\\d) UTC$/.exec(time.textContent); \
        return reported !== null && (Number(reported[1]) - Number(reported[3]) + 24) % 24 === 9 && reported[2] === reported[4]; })";

    assert_eq!(browser.look(fits), json!([true, true, true, true, true]));
}
