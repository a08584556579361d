//! Serves the metrics of a housekeeper on a SQLite file to Prometheus. `alerts.yml` has alert rules
//! for them.
//!
//! ```text
//! cargo run --example prometheus --features metrics -- --listen 127.0.0.1:9187
//! cargo run --example prometheus --features metrics -- --once
//! ```

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{HousekeeperArguments, SqliteStore, metrics, start};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(Options { listen, once }) = Options::parse(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    // Before the start, or the first values are lost.
    let scrapes = recorder()?;

    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("bookings.db").display().to_string()).await?;
    store.migrate(Schema::ALL).await?;
    let mut conn = store.pool().get().await?;
    conn.spawn_blocking(|conn| conn.batch_execute(OVERDUE_BOOKINGS))
        .await?;
    drop(conn);
    let jobs = built_in(store.clone(), &BookingPolicy::default())?;
    let arguments = HousekeeperArguments::new(jobs).with_history(store);
    let housekeeper = start(None, arguments).await?.housekeeper;

    for report in housekeeper.run_all().await? {
        eprintln!("{}", report.message());
    }
    if once {
        print!("{}", scrapes.render());
    } else {
        let listener = TcpListener::bind(&listen)?;
        eprintln!("http://{}/metrics until Ctrl-C", listener.local_addr()?);
        std::thread::spawn(move || serve(&listener, &scrapes));
        tokio::signal::ctrl_c().await?;
    }
    housekeeper.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Installs the exporter with the recommended buckets of each histogram.
fn recorder() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in metrics::ALL {
        if !metric.buckets.is_empty() {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, metric.buckets)?;
        }
    }
    builder.install_recorder()
}

/// Answers each request with the metrics. A host with a server renders them in a handler instead.
fn serve(listener: &TcpListener, scrapes: &PrometheusHandle) {
    for stream in listener.incoming().flatten() {
        // Without the exporter's own listener, its histograms grow until the host runs the upkeep.
        scrapes.run_upkeep();
        if let Err(error) = respond(&stream, &scrapes.render()) {
            eprintln!("scrape failed: {error}");
        }
    }
}

fn respond(mut stream: &TcpStream, metrics: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let request = BufReader::new(stream).lines();
    for line in request.take(100) {
        if line?.is_empty() {
            break;
        }
    }
    let length = metrics.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{metrics}"
    )
}

struct Options {
    listen: String,
    once: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            listen: "127.0.0.1:9187".to_owned(),
            once: false,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--once" => options.once = true,
                "--listen" => {
                    options.listen = arguments.next().ok_or("--listen needs an address")?;
                }
                unknown => return Err(format!("unknown option {unknown}")),
            }
        }
        Ok(Some(options))
    }
}

const USAGE: &str = "\
usage: prometheus [options]

  --listen ADDRESS   serves the metrics until Ctrl-C; 127.0.0.1:9187 if not given
  --once             prints the metrics once instead
  --help             this text";

/// A thousand unpaid bookings from an hour ago.
const OVERDUE_BOOKINGS: &str = "
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 1000)
    insert into bookings (booking_id, user_id, created_at)
    select 'booking-' || n, '00000000-0000-0000-0000-000000000000', strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 hour')
    from numbers;";
