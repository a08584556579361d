//! The page over sockets, on a Postgres that is frozen in fact.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperArguments, PostgresStore, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::web::browser::serve_router;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgres_delays_neither_cards_nor_histories() {
    let Some(server) = PrivatePostgres::start().expect("a server") else {
        return;
    };
    let store = PostgresStore::connect(&server.url()).expect("is a URL");
    store.migrate(Schema::ALL).await.expect("it migrates");
    let jobs = built_in(store.clone(), &BookingPolicy::default()).expect("the ages can be");
    let arguments = HousekeeperArguments::new(jobs).with_history(store);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    housekeeper.run_all().await.expect("reports");
    let page = serve_router(Web::new(housekeeper).router()).await;
    let site = Site::at(&page);
    let mut silent = Vec::new();
    for _ in 0..64 {
        let mut stream = site.send("/events").await;
        // The head of the answer, and no more.
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200");
        silent.push(stream);
    }
    let statuses = Arc::new(AtomicU64::new(0));
    let mut flood = JoinSet::new();
    for _ in 0..4 {
        let (site, statuses) = (site.clone(), statuses.clone());
        flood.spawn(async move {
            while site.get("/api/v1/status").await.0 == 200 {
                statuses.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    let awake = best(&site).await;
    let frozen = Frozen::freeze(&server);
    for path in ["history", "preview"].repeat(50) {
        let site = site.clone();
        let path = format!("/api/v1/jobs/booking-expirer/{path}");
        tokio::spawn(async move { site.get(&path).await });
    }
    let asleep = best(&site).await;
    drop(frozen);
    assert!(flood.try_join_next().is_none(), "each status was answered");

    let statuses = statuses.load(Ordering::Relaxed);
    println!(
        "64 silent streams, {statuses} statuses: a card and another job's history in {awake:?}, frozen in {asleep:?}"
    );
    for took in [awake.0, awake.1, asleep.0, asleep.1] {
        assert!(took < Duration::from_millis(300), "{awake:?} {asleep:?}");
    }
}

/// Returns the shortest of three measures: other tests share the machine.
async fn best(site: &Site) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let (card, history) = measure(site).await;
        best = (best.0.min(card), best.1.min(history));
    }
    best
}

/// Returns the median times of a job's page and of another job's history.
async fn measure(site: &Site) -> (Duration, Duration) {
    let (mut cards, mut histories) = (Vec::new(), Vec::new());
    for _ in 0..11 {
        let asked = Instant::now();
        let (status, page) = site.get("/jobs/booking-expirer").await;
        cards.push(asked.elapsed());
        assert_eq!(status, 200);
        assert!(page.contains("data-job=\"booking-expirer\""));
        let asked = Instant::now();
        let (status, history) = site.get("/api/v1/jobs/session-cleaner/history").await;
        histories.push(asked.elapsed());
        assert_eq!(status, 200, "{history}");
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    (median(cards), median(histories))
}

/// The address of a router on this machine.
#[derive(Clone)]
struct Site {
    address: String,
    root: String,
}

impl Site {
    fn at(page: &str) -> Self {
        let address = page.strip_prefix("http://").expect("is a URL");
        let (address, root) = address.split_once('/').expect("has a path");
        Self {
            address: address.to_owned(),
            root: format!("/{root}"),
        }
    }

    /// Sends a request over a connection of its own.
    async fn send(&self, path: &str) -> TcpStream {
        let Self { address, root } = self;
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request =
            format!("GET {root}{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("is sent");
        stream
    }

    /// Returns the status and the rest of the answer.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut answer = String::new();
        let mut stream = self.send(path).await;
        stream.read_to_string(&mut answer).await.expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        (status.expect("a status"), answer)
    }
}

/// A server whose processes are stopped by a signal. Continues them when dropped.
struct Frozen(Vec<String>);

impl Frozen {
    fn freeze(server: &PrivatePostgres) -> Self {
        let url = server.url().replace("%2F", "/");
        let folder = url
            .split_once('@')
            .and_then(|(_, rest)| rest.rsplit_once('/'));
        let (folder, _) = folder.expect("the host of the URL is a folder");
        let lines = Path::new(folder).join("data/postmaster.pid");
        let lines = fs::read_to_string(lines).expect("it runs");
        let first = lines.lines().next().expect("a process").to_owned();
        let children = format!("/proc/{first}/task/{first}/children");
        let children = fs::read_to_string(children).expect("a process");
        let children = children.split_whitespace().map(str::to_owned);
        let processes = children.chain([first]).collect();
        signal("-STOP", &processes);
        Self(processes)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(signal: &str, processes: &Vec<String>) {
    let sent = Command::new("kill").arg(signal).args(processes).status();
    assert!(sent.expect("kill is there").success());
}
