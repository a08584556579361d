//! The housekeeper's page in a host's own application, behind the host's own authentication.
//!
//! `cargo run --example web --features web`, then the address it prints, with user `admin` and the
//! password it prints. `-- --check` requests the page and its links, then exits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use ractor_housekeeper::actors::stop;
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperArguments, Requester, SqliteStore, start};
use tokio::net::TcpListener;
use tower::ServiceExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("bookings.db").display().to_string()).await?;
    store.migrate(Schema::ALL).await?;
    let jobs = built_in(store.clone(), &BookingPolicy::default())?;
    let arguments = HousekeeperArguments::new(jobs).with_history(store);
    start(Some(NAME), arguments).await?;

    // A host's own authentication (session, proxy, OAuth) wraps the router as a layer.
    let password = uuid::Uuid::new_v4().to_string();
    let expected = Arc::new(format!(
        "Basic {}",
        STANDARD.encode(format!("admin:{password}"))
    ));
    // By name: when the host's supervisor restarts the housekeeper, the page shows the new one.
    let web = Web::named(NAME).with_actions();
    let page = web
        .router()
        .layer(from_fn_with_state(expected.clone(), authenticated));
    let application = Router::new()
        .route("/", get(async || "the application"))
        .nest("/admin/housekeeping", page)
        // Probes send no password.
        .nest("/probes", web.health());

    let check = std::env::args().any(|argument| argument == "--check");
    let listener = TcpListener::bind(if check {
        "127.0.0.1:0"
    } else {
        "127.0.0.1:8080"
    })
    .await?;
    println!("http://{}/admin/housekeeping", listener.local_addr()?);
    println!("user admin, password {password}");
    if check {
        return check_routes(application, &expected).await;
    }
    // Stops the housekeeper first, which ends the streams that a graceful shutdown waits for.
    let closing = async move {
        stop_signal().await;
        let _ = stop(NAME, Duration::from_secs(5)).await;
    };
    Ok(axum::serve(listener, application)
        .with_graceful_shutdown(closing)
        .await?)
}

/// Waits for Ctrl-C, or for the signal with which a platform stops a process.
async fn stop_signal() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminated) = signal(SignalKind::terminate()) else {
            return;
        };
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupted.await;
}

/// Requires the password. Each request sends it in clear text: use TLS beyond this machine.
async fn authenticated(
    State(expected): State<Arc<String>>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| are_equal(given.as_bytes(), expected.as_bytes())) {
        // Reports, events, the status and the log name who acts.
        request.extensions_mut().insert(Requester::new("admin"));
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"housekeeping\"")];
    (StatusCode::UNAUTHORIZED, challenge).into_response()
}

/// Compares in constant time, so that the duration reveals no correct prefix.
fn are_equal(given: &[u8], expected: &[u8]) -> bool {
    let pairs = given.iter().zip(expected);
    let differing = pairs.fold(0, |differing, (one, other)| differing | (one ^ other));
    given.len() == expected.len() && std::hint::black_box(differing) == 0
}

/// Requests the page without and with the password, the probes, and every link of the page.
async fn check_routes(application: Router, authorization: &str) -> Result<(), Box<dyn Error>> {
    let table = [
        ("/admin/housekeeping", "", 401),
        ("/admin/housekeeping", authorization, 200),
        ("/admin/housekeeping/api/v1/status", "Basic d3Jvbmc=", 401),
        ("/admin/housekeeping/api/v1/status", authorization, 200),
        ("/probes/health/ready", "", 200),
        ("/probes/api/v1/status", "", 404),
    ];
    for (path, authorization, expected) in table {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, authorization)
            .body(Body::empty())?;
        let status = application.clone().oneshot(request).await?.status();
        println!("{path}: {status}");
        if status != expected {
            return Err(format!("{path} returned {status} instead of {expected}").into());
        }
    }
    check_links(application, authorization).await
}

/// Requests each link of the overview.
async fn check_links(application: Router, authorization: &str) -> Result<(), Box<dyn Error>> {
    let get = |path: &str| {
        let request = Request::get(path).header(header::AUTHORIZATION, authorization);
        request
            .body(Body::empty())
            .map(|request| application.clone().oneshot(request))
    };
    let page = get("/admin/housekeeping")?.await?.into_body();
    let page = String::from_utf8(to_bytes(page, usize::MAX).await?.to_vec())?;
    for link in page.split("href=\"./").skip(1) {
        let link = link.split('"').next().unwrap_or_default();
        // Relative to the page, as a browser resolves it.
        let path = format!("/admin/{}", link.replace("&amp;", "&"));
        let status = get(&path)?.await?.status();
        println!("{path}: {status}");
        if status != StatusCode::OK {
            return Err(format!("the page links to {path}, which returned {status}").into());
        }
    }
    Ok(())
}

/// The housekeeper's name in this process.
const NAME: &str = "housekeeper";
