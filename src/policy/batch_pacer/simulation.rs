//! The pace beside other clients, against a model of a loaded server: processors that all clients
//! share, and a disk that syncs one commit after the other.
//!
//! `cargo test --lib simulation -- --nocapture` prints the plots;
//! `HOUSEKEEPER_PLOT=docs/plots/pace.svg` before it draws them there.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Pacer, urgency};
use crate::config::Pace;

#[test]
fn the_share_yields_to_load_and_returns_after_it() {
    let run = beside_a_busy_time();

    println!("share of time at work; others take 80 % of the server from 20 s to 40 s");
    plot(&run.duty);
    let max = f64::from(Pace::polite().duty_percent) / 100.0;
    let mean = |from, to| mean(&run.duty, from, to);
    assert!(mean(10, 20) > 0.9 * max, "{}", mean(10, 20));
    assert!(mean(30, 40) < 0.4 * max, "{}", mean(30, 40));
    assert!(mean(50, 60) > 0.9 * max, "{}", mean(50, 60));
}

#[test]
fn others_wait_less_than_beside_larger_batches_at_a_fixed_share() {
    let rows = |count| NonZeroU32::new(count).expect("a batch has rows");
    let fixed = Pace {
        min_batch: rows(200),
        max_batch: rows(200),
        duty_percent: 30,
        min_duty_percent: 30,
        ..Pace::polite()
    };
    println!("load   alone p99   200 rows, 30 %: p99, rows/s   default: p99, rows/s");
    for load in [0.1, 0.5, 0.8] {
        let alone = simulate(None, 30.0, None, |_| load);
        let fixed = simulate(fixed.clone(), 30.0, None, |_| load);
        let adaptive = simulate(Pace::polite(), 30.0, None, |_| load);

        let ratio = |run: &Run| run.p99() / alone.p99();
        println!(
            "{load:<7}{:>6.1} ms {:>14.2} x {:>9.0} {:>17.2} x {:>7.0}",
            alone.p99(),
            ratio(&fixed),
            fixed.rows_per_second(),
            ratio(&adaptive),
            adaptive.rows_per_second(),
        );
        assert!(ratio(&adaptive) < 1.0 + (ratio(&fixed) - 1.0) * 0.7);
        // The floor: a backlog ends beside any load.
        assert!(adaptive.rows_per_second() > 100.0);
    }
}

#[test]
fn an_end_time_raises_the_share_beside_any_load() {
    let run = before_an_end_time();

    println!("share of time at work beside a load of 80 %, with an end time at 60 s");
    plot(&run.duty);
    let mean = |from, to| mean(&run.duty, from, to);
    assert!(mean(5, 10) < 0.25, "{}", mean(5, 10));
    assert!((0.4..0.6).contains(&mean(28, 32)), "{}", mean(28, 32));
    assert!(mean(55, 59) > 0.85, "{}", mean(55, 59));
}

#[test]
fn the_plot_has_the_share_of_each_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = std::env::var_os("HOUSEKEEPER_PLOT");
    let file = file.map_or_else(|| folder.path().join("pace.svg"), PathBuf::from);

    draw(&file).expect("the plot is drawn");

    let svg = std::fs::read_to_string(&file).expect("is a text");
    assert_eq!(svg.matches("#0072B2").count(), 2);
}

/// Others take 80 % of the server from 20 s to 40 s.
fn beside_a_busy_time() -> Run {
    let busy = 20.0..40.0;
    simulate(Pace::polite(), 60.0, None, |second: f64| {
        if busy.contains(&second) { 0.8 } else { 0.1 }
    })
}

/// Others take 80 % of the server, and the run should end at 60 s.
fn before_an_end_time() -> Run {
    simulate(Pace::polite(), 60.0, Some(60.0), |_| 0.8)
}

/// The result of a simulation.
struct Run {
    /// The share of time at work, second by second.
    duty: Vec<f64>,
    /// Latencies of other clients, in ms.
    latencies: Vec<f64>,
    rows: u32,
    seconds: f64,
}

impl Run {
    fn p99(&self) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() * 99 / 100]
    }

    fn rows_per_second(&self) -> f64 {
        f64::from(self.rows) / self.seconds
    }
}

/// A client's request: processor time, then time of the disk, in ms.
struct Request {
    /// When another client sent it; `None` for a batch.
    sent: Option<f64>,
    cpu: f64,
    disk: f64,
}

/// Simulates a pace on two processors. Requests of 0.7 ms arrive at random, at `load` times the
/// rate that the processors can bear.
fn simulate(
    pace: impl Into<Option<Pace>>,
    seconds: f64,
    end: Option<f64>,
    load: impl Fn(f64) -> f64,
) -> Run {
    let mut random = fastrand::Rng::with_seed(7);
    let mut exponential = move |mean: f64| -(1.0 - random.f64()).ln() * mean;
    let mut pacer = pace.into().map(Pacer::new);
    let (mut cpu, mut disk) = (Vec::<Request>::new(), VecDeque::<Request>::new());
    let (mut now, mut next_request) = (0.0, 0.0);
    // When the next batch begins, or since when one runs.
    let (mut next_batch, mut batch_began) = (0.0, None);
    let mut run = Run {
        duty: Vec::new(),
        latencies: Vec::new(),
        rows: 0,
        seconds,
    };
    let mut next_second = 1_000.0;
    while now < seconds * 1_000.0 {
        while next_request <= now {
            cpu.push(Request {
                sent: Some(next_request),
                cpu: exponential(CPU_MS),
                disk: 0.15,
            });
            let rate = PROCESSORS * load(now / 1_000.0) / CPU_MS;
            next_request += exponential(1.0 / rate);
        }
        let waits = batch_began.is_none() && now >= next_batch;
        if let Some(pacer) = pacer.as_ref().filter(|_| waits) {
            batch_began = Some(now);
            let rows = f64::from(pacer.batch().get());
            cpu.push(Request {
                sent: None,
                cpu: 0.3 + rows * 0.015,
                disk: 0.3 + rows * 0.003,
            });
        }
        let waiting = u32::try_from(cpu.len()).expect("the queue is short");
        let share = (PROCESSORS / f64::from(waiting.max(1))).min(1.0) * STEP_MS;
        for mut request in std::mem::take(&mut cpu) {
            request.cpu -= share;
            if request.cpu > 0.0 {
                cpu.push(request);
            } else {
                disk.push_back(request);
            }
        }
        let mut is_done = false;
        if let Some(request) = disk.front_mut() {
            request.disk -= STEP_MS;
            is_done = request.disk <= 0.0;
        }
        let done = if is_done { disk.pop_front() } else { None };
        if let Some(done) = done {
            if let Some(sent) = done.sent {
                run.latencies.push(now - sent);
            } else if let (Some(pacer), Some(began)) = (&mut pacer, batch_began.take()) {
                run.rows += pacer.batch().get();
                let urgent = end.map_or(0.0, |end| urgency(ms(now), ms(end * 1_000.0)));
                let pause = pacer.took(ms(now - began), urgent);
                next_batch = now + pause.as_secs_f64() * 1_000.0;
            }
        }
        now += STEP_MS;
        if now >= next_second {
            next_second += 1_000.0;
            let urgent = end.map_or(0.0, |end| now / 1_000.0 / end);
            let duty = pacer.as_ref().map_or(0.0, |pacer| pacer.duty);
            run.duty.push(duty.max(urgent));
        }
    }
    run
}

/// Prints a bar per second.
fn plot(duty: &[f64]) {
    for (second, duty) in duty.iter().enumerate() {
        let bar: String = (0..50)
            .take_while(|n| f64::from(*n) < duty * 50.0)
            .map(|_| '#')
            .collect();
        println!("{second:>3} s {:>4.0} % {bar}", duty * 100.0);
    }
}

/// Draws the share of time at work, second by second, to an SVG file.
fn draw(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    use plotters::prelude::*;

    let root = SVGBackend::new(file, (980, 300)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 2));
    let runs = [
        (
            "The default pace: others take 80 % from 20 s to 40 s",
            beside_a_busy_time(),
        ),
        (
            "The same beside 80 %, to be done at 60 s",
            before_an_end_time(),
        ),
    ];
    for ((title, run), panel) in runs.iter().zip(&panels) {
        let mut chart = ChartBuilder::on(panel)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..60.0, 0.0..100.0)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("s")
            .y_desc("time at work, %")
            .draw()?;
        let points = (0_u32..).map(f64::from).zip(&run.duty);
        let points = points.map(|(second, duty)| (second, duty * 100.0));
        chart.draw_series(LineSeries::new(
            points,
            RGBColor(0, 114, 178).stroke_width(2),
        ))?;
    }
    root.present()?;
    Ok(())
}

fn mean(values: &[f64], from: usize, to: usize) -> f64 {
    let values = &values[from..to.min(values.len())];
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).expect("is short"))
}

fn ms(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1_000.0)
}

const PROCESSORS: f64 = 2.0;

/// Mean processor time of a request.
const CPU_MS: f64 = 0.7;

const STEP_MS: f64 = 0.05;
