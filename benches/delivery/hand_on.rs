//! A rule that hands on against the same rule without, beside the same done by hand.

use crate::support::Result;
use crate::support::cpu::Mark;
use crate::support::database::Kind;
use crate::support::figures::{Bound, Spread, target};
use crate::world::World;

pub(crate) async fn cost(world: &mut World, rows: u32, rounds: usize) -> Result<()> {
    let jobs = [world.job(false)?, world.job(true)?];
    let (mut ratios, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut micros = Vec::new();
        for job in &jobs {
            fill(world, rows).await?;
            micros.push(a_row(world.run(&**job, rows).await?, rows));
        }
        for hands_on in [false, true] {
            fill(world, rows).await?;
            micros.push(a_row(plain(world, hands_on).await?, rows));
        }
        println!(
            "{}: {:.1} us of processor time a row without hand-on, {:.1} us with; {:.1} and {:.1} us by hand",
            world.name(),
            micros[0],
            micros[1],
            micros[2],
            micros[3]
        );
        ratios.push(micros[1] / micros[0]);
        by_hand.push(micros[3] / micros[2]);
    }
    let name = format!("hand-on, processor time per row on {}", world.name());
    target(&name, Bound::AtMost(1.35), "times", &ratios);
    println!("{name}, by hand: {} times", Spread::of(&by_hand));
    Ok(())
}

async fn fill(world: &mut World, rows: u32) -> Result<()> {
    world.clear().await?;
    world.insert(rows).await?;
    world.database.settle().await
}

fn a_row(seconds: f64, rows: u32) -> f64 {
    seconds * 1_000_000.0 / f64::from(rows)
}

/// One plain statement over all rows, and one that writes an entry for each. Returns the seconds of
/// processor time.
async fn plain(world: &mut World, hands_on: bool) -> Result<f64> {
    const UPDATE: &str =
        "update bookings set status = 'Expired', updated_at = created_at where status = 'Pending'";
    const INSERT: &str = "insert into housekeeper_outbox (rule, topic, key, at, due_at, payload) \
                          select 'booking-expirer', 'bookings', booking_id, ";
    let statements = match (&world.database.kind, hands_on) {
        (_, false) => UPDATE.to_owned(),
        (Kind::Sqlite { .. }, true) => format!(
            "begin immediate; {INSERT} 1700000000000000, 1700000000000000, \
             json_object('booking_id', booking_id, 'user_id', user_id) from bookings where status = 'Pending'; {UPDATE}; commit"
        ),
        (Kind::Postgres { .. }, true) => format!(
            "with changed as ({UPDATE} returning booking_id, user_id) {INSERT} now(), now(), \
             json_build_object('booking_id', booking_id, 'user_id', user_id) from changed"
        ),
    };
    let mark = Mark::now(&world.database);
    world.database.execute(&statements).await?;
    Ok(mark.elapsed().total())
}
