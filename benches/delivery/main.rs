//! The cost of handing on, and the speed of a courier.
//!
//! `cargo bench --features postgres --bench delivery -- --rows 20_000 --rounds 5 --seconds 20
//! --parked 1_000_000`
//!
//! A rule at full speed with `hand_on(outbox(..))` against the same rule without, in processor time
//! per row, of server and client together. Deliveries per second of a courier beside a loop over
//! the same table that deletes a hundred entries, handles them and commits. The lateness from a
//! commit to the acknowledged handler while rows fall due at 100 a second. Steps of an idle
//! courier. Then the last three beside a parked backlog.

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
        ("seconds", 20),
        ("idle", 15),
        ("parked", 1_000_000),
    ])?;
    let (rows, rounds): (u32, usize) = (options.number("rows")?, options.number("rounds")?);
    let length = Duration::from_secs(options.number("seconds")?);
    let idle = Duration::from_secs(options.number("idle")?);
    let mut versions = Vec::new();
    let mut worlds = Vec::new();
    for mut database in Database::all().await? {
        versions.push(database.version().await?);
        worlds.push(World::over(database).await?);
    }
    println!("{}", heading("delivery", &versions));

    for world in &mut worlds {
        hand_on::cost(world, rows, rounds).await?;
        let alone = speed::measure(world, rows, rounds).await?;
        lateness::measure(world, length).await?;
        quiet::idle(world, idle).await?;

        let parked: u32 = options.number("parked")?;
        println!("\n{}, beside {parked} parked entries", world.name());
        world.park(parked).await?;
        let beside = speed::measure(world, rows, rounds).await?;
        speed::compare(world, &alone, &beside);
        lateness::measure(world, length).await?;
        quiet::idle(world, idle).await?;
    }
    Ok(())
}
