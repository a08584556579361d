//! The housekeeper's page beside the simulation.

use std::net::SocketAddr;

use ractor::ActorRef;
use ractor_housekeeper::HousekeeperMsg;

use crate::Error;

/// Serves the page while the program runs.
#[cfg(feature = "web")]
pub(crate) async fn serve(
    address: SocketAddr,
    housekeeper: &ActorRef<HousekeeperMsg>,
) -> Result<(), Error> {
    use ractor_housekeeper::web::Web;

    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen at {address}: {error}"))?;
    let address = listener.local_addr()?;
    let web = Web::new(housekeeper.clone());
    // The page has no login, so actions need a loopback address and a host name that no other site
    // can take.
    let router = if address.ip().is_loopback() {
        let local = axum::middleware::from_fn(local_names);
        web.with_actions().router().layer(local)
    } else {
        web.router()
    };
    println!("the housekeeper's page is at http://{address}/");
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Rejects foreign host names that resolve to this address (DNS rebinding).
#[cfg(feature = "web")]
async fn local_names(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    use axum::http::{StatusCode, header::HOST};
    use axum::response::IntoResponse;

    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    match name {
        Some("localhost" | "[::1]") => next.run(request).await,
        Some(name) if name.starts_with("127.") && name.parse::<std::net::Ipv4Addr>().is_ok() => {
            next.run(request).await
        }
        _ => (
            StatusCode::MISDIRECTED_REQUEST,
            "use this machine's own address",
        )
            .into_response(),
    }
}

#[cfg(not(feature = "web"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub(crate) async fn serve(_: SocketAddr, _: &ActorRef<HousekeeperMsg>) -> Result<(), Error> {
    Err("this build has no page; add `--features web`".into())
}
