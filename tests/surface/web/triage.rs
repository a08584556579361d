//! The overview of many jobs.

use std::time::Duration;

use ractor_housekeeper::web::Web;

use crate::web::fleet::fleet;
use crate::web::streams::{next, open};
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn the_worst_jobs_come_first_and_healthy_ones_are_rows() {
    let fleet = fleet().await;
    let visitor = Visitor(Web::new(fleet).router());

    let answer = visitor.get("/").await;

    let page = answer.page(200);
    let jobs: Vec<&str> = page.split("data-job=\"").skip(1).collect();
    let names: Vec<&str> = jobs
        .iter()
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(names.len(), 30);
    assert_eq!(
        names[..5],
        [
            "token-cleaner",
            "invoice-archiver",
            "upload-expirer",
            "draft-expirer",
            "basket-archiver"
        ]
    );
    assert_eq!(page.matches("class=\"job row\"").count(), 27);
    let sum = "<strong>3 of 30 need you</strong>: token-cleaner degraded, invoice-archiver failing, \
               upload-expirer late";
    assert!(page.contains(sum), "{page}");
    assert!(page.contains("<title>3 of 30 need you · Housekeeping</title>"));
    assert!(page.contains("href=\"https://wiki.example/runbooks/archiver\""));
    assert!(page.contains("crashed too often; next attempt"));
    assert!(page.contains("no rows changed"));
}

#[tokio::test(start_paused = true)]
async fn a_filter_by_state_and_name_works_without_a_script() {
    let fleet = fleet().await;
    let visitor = Visitor(Web::new(fleet).router());
    let table = [
        ("?state=trouble", 3),
        ("?state=&name=TOKEN", 3),
        ("?state=trouble&name=token", 1),
        ("?state=paused", 1),
        ("?state=healthy&name=-expirer", 9),
        ("?state=running", 0),
        ("?utm=x", 30),
    ];

    for (query, expected) in table {
        let answer = visitor.get(&format!("/{query}")).await;
        let articles = answer.page(200).split("<article").skip(1);
        let tags = articles.filter_map(|rest| rest.split('>').next());
        let shown = tags.filter(|tag| !tag.ends_with("hidden")).count();
        assert_eq!(shown, expected, "{query}");
    }
    visitor.get("/?state=broken").await.page(400);
}

#[tokio::test(start_paused = true)]
async fn frames_carry_the_line_that_sums_up_and_the_order() {
    let fleet = fleet().await;
    let visitor = Visitor(Web::new(fleet.clone()).router());
    let mut stream = open(&visitor).await;

    let frame = next(&mut stream).await.expect("a frame").to_string();
    fleet.pause("mail-cleaner").await.expect("the job is there");
    let later = next(&mut stream).await.expect("a frame").to_string();

    assert!(frame.contains("3 of 30 need you"));
    let place = |frame: &str| frame.find("data-job=\\\"mail-cleaner").expect("is there");
    assert!(
        place(&later) < place(&frame),
        "paused jobs come before healthy ones"
    );
    assert!(frame.len() < 40_000, "{} bytes", frame.len());
}

#[tokio::test(start_paused = true)]
async fn few_jobs_are_cards_without_a_filter() {
    let host = host().await;

    let answer = Visitor::reader(&host).get("/").await;

    let page = answer.page(200);
    assert!(page.contains("Both jobs are healthy") && !page.contains("id=\"filter\""));
    assert!(!page.contains("class=\"job row\""));
}

#[tokio::test(start_paused = true)]
async fn characters_that_are_not_seen_are_shown_as_such() {
    let host = host().await;
    let error = "row \u{202e}gnp.exe\u{1b}[2J\u{200b}is bad";
    let fault = ractor_housekeeper::testing::Fault::Fail(error.to_owned());
    host.faults
        .always(ractor_housekeeper::testing::Step::BeginRun, fault);
    host.run_now(ractor_housekeeper::Scope::All)
        .await
        .expect("a report");
    tokio::time::sleep(Duration::from_millis(1)).await;

    for path in ["/", "/jobs/booking-expirer"] {
        let answer = Visitor::reader(&host).get(path).await;
        let page = answer.page(200);
        assert!(
            page.contains("row \\u{202e}gnp.exe\\u{1b}[2J\\u{200b}is bad"),
            "{page}"
        );
        assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
    }
}
