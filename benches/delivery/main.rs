//! The cost of handing on, and the speed of a courier.
//!
//! `cargo bench --features postgres --bench delivery -- --rows 20_000 --rounds 5 --seconds 5
//! --parked 1_000_000`
//!
//! A rule at full speed with `hand_on(outbox(..))` against the same rule without, in processor time
//! per row, of server and client together. Deliveries per second of a courier beside a loop over
//! the same table that deletes a hundred entries, handles them and commits. The lateness from a
//! commit to the handler while rows fall due at 100 a second. Steps of an idle courier. All but the
//! first in turn with a second database of the same kind, which holds a parked backlog.

mod hand_on;
mod lateness;
mod quiet;
mod speed;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;
mod world;

use std::time::Duration;

use support::Result;
use support::database::Database;
use support::machine::heading;
use support::options::Options;
use world::World;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[
        ("rows", 20_000),
        ("rounds", 5),
        ("seconds", 5),
        ("idle", 15),
        ("parked", 1_000_000),
    ])?;
    let (rows, rounds): (u32, usize) = (options.number("rows")?, options.number("rounds")?);
    let length = Duration::from_secs(options.number("seconds")?);
    let idle = Duration::from_secs(options.number("idle")?);
    let parked: u32 = options.number("parked")?;
    let (mut versions, mut worlds) = (Vec::new(), Vec::new());
    for (mut alone, beside) in Database::all()
        .await?
        .into_iter()
        .zip(Database::all().await?)
    {
        versions.push(alone.version().await?);
        worlds.push([World::over(alone).await?, World::over(beside).await?]);
    }
    println!("{}", heading("delivery", &versions));

    for worlds in &mut worlds {
        hand_on::cost(&mut worlds[0], rows, rounds).await?;
        worlds[1].park(parked).await?;
        speed::measure(worlds, rows, rounds).await?;
        lateness::measure(worlds, length, rounds).await?;
        let [alone, beside] = worlds;
        tokio::try_join!(quiet::idle(alone, idle), quiet::idle(beside, idle))?;
    }
    Ok(())
}
