//! JSON in the documents reads as the type that they name.

use std::fs;
use std::path::{Path, PathBuf};

use ractor_housekeeper::booking::BookingPolicy;
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::rule::Rule;
use ractor_housekeeper::{HousekeeperConfig, Report, Status};
use serde::de::DeserializeOwned;

#[test]
fn json_in_the_documents_parses_as_the_type_it_names() {
    let mut seen = 0;

    for document in documents() {
        let text = fs::read_to_string(&document).expect("can be read");
        for (name, json) in blocks(&text) {
            let problem = read(name, &json);

            assert_eq!(problem, None, "{}: {name}: {json}", document.display());
            seen += 1;
        }
    }

    assert!(seen > 0, "there is no JSON in any document");
}

#[test]
fn settings_documented_as_defaults_are_the_defaults() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/tuning_the_pace.md");
    let text = fs::read_to_string(guide).expect("can be read");
    let (_, json) = blocks(&text).swap_remove(0);

    let shown: HousekeeperConfig = serde_json::from_str(&json).expect("can be read");

    assert_eq!(shown, HousekeeperConfig::default());
}

#[test]
fn each_alert_has_a_line_in_the_operations_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect("can be read");
    let (rules, guide) = (
        read("examples/prometheus/alerts.yml"),
        read("docs/guides/operating.md"),
    );
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();

    let untold: Vec<&&str> = alerts
        .iter()
        .filter(|alert| !guide.contains(&format!("`{alert}`")))
        .collect();

    assert_eq!(untold, [&""; 0]);
    assert!(!alerts.is_empty(), "there is no rule");
}

/// Its problem, if any.
fn read(name: &str, json: &str) -> Option<String> {
    fn instance<T: DeserializeOwned>(json: &str) -> Option<String> {
        serde_json::from_str::<T>(json)
            .err()
            .map(|error| error.to_string())
    }
    match name {
        "BookingPolicy" => instance::<BookingPolicy>(json),
        "HousekeeperConfig" => serde_json::from_str::<HousekeeperConfig>(json)
            .map_err(|error| error.to_string())
            .and_then(|config| {
                // Without its feature, no cron expression is right.
                if !cfg!(feature = "cron") && json.contains("\"cron\"") {
                    return Ok(());
                }
                let jobs: Vec<_> = config.jobs.keys().cloned().collect();
                config.check(&jobs).map_err(|error| error.to_string())
            })
            .err(),
        "JobConfig" => instance::<JobConfig>(json),
        #[cfg(feature = "sqlite")]
        "Timeouts" => instance::<ractor_housekeeper::store::Timeouts>(json),
        "Report" => instance::<Report>(json),
        "Rule" => serde_json::from_str::<Rule>(json)
            .map_err(|error| error.to_string())
            .and_then(|rule| rule.validate().map_err(|error| error.to_string()))
            .err(),
        "Schedule" => instance::<Schedule>(json),
        "Status" => instance::<Status>(json),
        _ => Some("no type that this test knows".to_owned()),
    }
}

/// The word behind `json`, and the body, of each block.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```json") else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push((words.trim(), body.join("\n")));
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [root.to_owned(), root.join("docs/guides")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("is there"))
        .map(|entry| entry.expect("can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}
