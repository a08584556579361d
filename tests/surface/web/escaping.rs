//! Texts of rows, users and errors stay text.

use chrono::TimeDelta;
use ractor_housekeeper::Scope;
use ractor_housekeeper::testing::{Fault, MemoryBooking, Step};
use ractor_housekeeper::time::Clock;
use uuid::Uuid;

use crate::support::host::Host;
use crate::web::streams::{next, open};
use crate::web::visitor::{Visitor, host};

const SCRIPT: &str = "<script>document.title='taken'</script>";
const IMAGE: &str = "\"><img src=x onerror=alert(1)>";

#[tokio::test(start_paused = true)]
async fn ids_of_rows_stay_text() {
    let host = host().await;
    add(&host, SCRIPT);
    add(&host, IMAGE);
    let visitor = Visitor::actor(&host);

    let preview = visitor.get("/jobs/booking-expirer/preview?size=1").await;
    host.run_now(Scope::All).await.expect("a report");
    let history = visitor.get("/jobs/booking-expirer").await;

    assert_text(preview.page(200));
    assert_text(history.page(200));
    assert!(history.body.contains("&lt;script&gt;document.title"));
    // The next page is reached by a link with the id in it.
    assert!(preview.body.contains("after_id=%22%3E%3Cimg%20src%3Dx"));
}

#[tokio::test(start_paused = true)]
async fn errors_stay_text_on_pages_and_in_streams() {
    let host = host().await;
    let error = format!("{SCRIPT}\r\n\r\ndata: {IMAGE}");
    host.faults.always(Step::BeginRun, Fault::Fail(error));
    host.run_now(Scope::All).await.expect("a report");
    let visitor = Visitor::actor(&host);

    let overview = visitor.get("/").await;
    let job = visitor.get("/jobs/booking-expirer").await;
    let frame = next(&mut open(&visitor).await).await.expect("a frame");

    assert_text(overview.page(200));
    assert_text(job.page(200));
    let cards = frame["html"].as_str().expect("is text");
    assert!(cards.contains("&lt;script&gt;"), "{cards}");
    assert!(
        !cards.contains("<script") && !cards.contains("<img"),
        "{cards}"
    );
    assert!(
        overview
            .body
            .contains("the last run failed: &lt;script&gt;")
    );
}

#[tokio::test(start_paused = true)]
async fn input_of_a_visitor_stays_text() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let encoded = "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";

    let preview = visitor
        .get(&format!("/jobs/booking-expirer/preview?user={encoded}"))
        .await;
    let job = visitor.get(&format!("/jobs/{encoded}")).await;
    let question = visitor
        .get(&format!("/jobs/{encoded}/run?user={encoded}"))
        .await;

    assert_text(preview.page(422));
    assert_text(job.page(404));
    assert_text(question.page(404));
}

fn add(host: &Host, id: &str) {
    let made = host.clock.now() - TimeDelta::hours(1);
    host.store
        .add_booking(MemoryBooking::pending(id, Uuid::nil(), made));
}

/// The one script is ours, and there is no image at all.
fn assert_text(page: &str) {
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(page.contains("<script defer src=\"./"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    assert!(
        !page.contains(" style=") && !page.contains("<style"),
        "{page}"
    );
}
