//! Streams, sign-in and actions of the page in a real Chromium.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use ractor_housekeeper::web::Web;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::web::browser::{serve, serve_router};
use crate::web::visitor::setup;
use crate::web::webdriver::Browser;

const LIVE: &str = "document.querySelector('#link').dataset.state === 'live'";
const PAUSE: &str = "article[data-job=\"booking-expirer\"] .pause button";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_windows_share_a_stream_and_can_act() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    let page = serve(&host).await;
    browser.open(&page);
    // More than the six connections that a browser opens to a host.
    for _ in 0..8 {
        browser.open_window(&page);
    }

    browser.wait_for(LIVE);
    browser.click(PAUSE);
    browser.click("#ask-yes");
    browser.wait_for("document.querySelector('#answer').dataset.state === 'good'");
    let mut streams = 0;
    browser.each_window(|browser| {
        browser.wait_for(LIVE);
        let paused = format!(
            "!!document.querySelector('{}')",
            PAUSE.replace("pause", "resume")
        );
        browser.wait_for(&paused);
        streams += usize::from(browser.look("source !== null") == true);
    });

    assert_eq!(streams, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_page_has_no_stream() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    let page = serve(&host).await;
    browser.open(&page);
    browser.wait_for(LIVE);

    let hide = |hidden: bool| {
        browser.look(&format!(
            "(() => {{ Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange')); }})()"
        ));
    };
    browser.look("(() => { window.first = source; })()");
    hide(true);
    browser.wait_for("source === null && first.readyState === 2");
    browser.look("(() => { link.dataset.state = 'old'; })()");
    hide(false);
    browser.wait_for(LIVE);

    assert_eq!(browser.look("source !== null && source !== first"), true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_sign_in_is_said_and_nothing_is_done() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    let (signed_in, answer) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (is_signed_in, which) = (signed_in.clone(), answer.clone());
    let login = move |request: Request, next: Next| {
        let (is_signed_in, which) = (is_signed_in.clone(), which.clone());
        async move {
            if is_signed_in.load(Ordering::SeqCst) {
                return next.run(request).await;
            }
            refusal(which.load(Ordering::SeqCst))
        }
    };
    let web = Web::new(host.housekeeper.clone()).with_actions();
    let page = serve_router(web.router().layer(from_fn(login))).await;

    for which in 0..3 {
        signed_in.store(true, Ordering::SeqCst);
        browser.open(&page);
        browser.wait_for(LIVE);
        signed_in.store(false, Ordering::SeqCst);
        answer.store(which, Ordering::SeqCst);
        browser.click(PAUSE);
        browser.click("#ask-yes");
        browser.wait_for("document.querySelector('#answer').dataset.state === 'bad'");
        let said = browser.text("#answer");
        assert!(
            said.contains("You are signed out: nothing was done."),
            "{which}: {said}"
        );
        // The stream finds out as well.
        browser.look("follow()");
        browser.wait_for("document.querySelector('#link').innerText.includes('signed out')");
    }
    assert!(!host.status().await.paused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_address_holds_a_password_works() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = setup().start().await;
    let page = serve(&host).await.replace("http://", "http://anna:secret@");

    browser.open(&page);
    browser.wait_for(LIVE);
    // Chromium takes the password out of the page's address; other browsers keep it there, and then
    // nothing relative to it can be fetched.
    browser.look(
        "document.head.append(Object.assign(document.createElement('base'), \
         { href: document.URL.replace('://', '://anna:secret@') }))",
    );
    browser.click(PAUSE);
    browser.click("#ask-yes");
    browser.wait_for("document.querySelector('#answer').dataset.state === 'good'");

    assert!(host.status().await.paused);
}

/// Answers of logins: a challenge, a redirect to their page, or their page itself.
fn refusal(which: usize) -> Response {
    match which {
        0 => (StatusCode::UNAUTHORIZED, "sign in").into_response(),
        1 => (
            StatusCode::FOUND,
            [(header::LOCATION, "https://login.example/")],
        )
            .into_response(),
        _ => ([(header::CONTENT_TYPE, "text/html")], "<h1>Sign in</h1>").into_response(),
    }
}
