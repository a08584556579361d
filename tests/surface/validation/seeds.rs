//! The seeds of the fuzz targets, replayed.

use std::fs;
use std::path::Path;

use crate::validation::drive;

#[test]
fn seeds_of_settings_are_applied_or_rejected() {
    for (name, text) in seeds("settings") {
        let refusal = drive::settings(&text).err().unwrap_or_default();

        let reported = match name.as_str() {
            "zero_batch.json" => "job.pace.min_batch: invalid value: integer `0`",
            "both_ticks.json" => "job.schedule.cron is set beside `every`",
            "misspelt.json" => "job.schedule.start_jiter: unknown field",
            _ if !cfg!(feature = "cron") && name.starts_with("cron") => {
                "needs the feature `cron` of ractor-housekeeper"
            }
            "cron_minute.json" => {
                "job.schedule.cron.expression \"61 * * * *\": minute 61 is not within 0-59"
            }
            "cron_zone.json" => "job.schedule.cron.zone \"Mars/Olympus\" is no time zone",
            "cron_never.json" => "no such day ever comes",
            _ => "",
        };
        assert!(refusal.contains(reported), "{name}: {refusal}");
        assert_eq!(refusal.is_empty(), reported.is_empty(), "{name}: {refusal}");
    }
}

#[test]
fn seeds_of_addresses_are_accepted_or_rejected() {
    for (_, text) in seeds("address") {
        drive::address(&text);
    }
}

fn seeds(target: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
    let seeds: Vec<_> = fs::read_dir(folder)
        .expect("the seeds are there")
        .map(|file| {
            let path = file.expect("can be listed").path();
            let name = path
                .file_name()
                .expect("is a file")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(path).expect("is text"))
        })
        .collect();
    assert!(!seeds.is_empty(), "no seeds of {target}");
    seeds
}
