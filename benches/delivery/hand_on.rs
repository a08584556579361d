//! A rule that hands on against the same rule without.

use crate::support::Result;
use crate::support::figures::{Bound, target};
use crate::world::World;

pub(crate) async fn cost(world: &mut World, rows: u32, rounds: usize) -> Result<()> {
    let jobs = [world.job(false)?, world.job(true)?];
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let mut micros = Vec::new();
        for job in &jobs {
            world.clear().await?;
            world.insert(rows).await?;
            world.database.settle().await?;
            let cpu = world.run(&**job, rows).await?;
            micros.push(cpu * 1_000_000.0 / f64::from(rows));
        }
        println!(
            "{}: {:.1} us of processor time a row without hand-on, {:.1} us with",
            world.name(),
            micros[0],
            micros[1]
        );
        ratios.push(micros[1] / micros[0]);
    }
    let name = format!("hand-on, processor time per row on {}", world.name());
    target(&name, Bound::AtMost(1.35), "times", &ratios);
    Ok(())
}
