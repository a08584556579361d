//! Settings: read, checked, written, and lived by.

use proptest::prelude::*;
use ractor_housekeeper::booking::BookingPolicy;
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::job::{Cursor, Forecast, Page, Preview};
use ractor_housekeeper::model::RunRecord;
use ractor_housekeeper::{HousekeeperConfig, Report, RequestError, Scope, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::validation::drive;
use crate::validation::values::{page, scope, settings, unsaved};

proptest! {
    #![proptest_config(unsaved(500))]

    /// Every accepted setting works on any clock; every other is rejected by name.
    #[test]
    fn settings_are_applied_or_rejected_by_name(settings in settings()) {
        let text = serde_json::to_string(&settings).expect("is plain data");

        if let Err(refusal) = drive::settings(&text) {
            let named = ["job.", "jobs.", "courier.", "couriers.", "restart.", "retry.", "ages."];
            prop_assert!(named.iter().any(|setting| refusal.starts_with(setting)), "{}", refusal);
            let says_what_is_right = [
                "schedule.cron.expression \"", "pace.finish_by.expression \"",
                "; the maximum is", "; the minimum is", "; give ", "no job of this housekeeper, which has",
                "no courier of this housekeeper, which has"];
            prop_assert!(says_what_is_right.iter().any(|right| refusal.contains(right)), "{}", refusal);
        }
    }
}

proptest! {
    #![proptest_config(unsaved(256))]

    #[test]
    fn serialized_answers_deserialize_unchanged(scope in scope(), page in page()) {
        let json = serde_json::to_string(&(&scope, &page)).expect("is plain data");

        let read: (Scope, Page) = serde_json::from_str(&json).expect(&json);

        prop_assert_eq!(read, (scope, page));
    }

    #[test]
    fn a_config_reads_back_as_it_was_written(settings in settings()) {
        let json = serde_json::to_string(&settings.housekeeper).expect("is plain data");

        let read: HousekeeperConfig = serde_json::from_str(&json).expect(&json);

        prop_assert_eq!(read, settings.housekeeper);
    }

    /// A right text with one part of it wrong is where a reader would stumble.
    #[test]
    fn no_text_makes_a_parser_panic(
        settings in settings(),
        cut in any::<prop::sample::Index>(),
        noise in prop_oneof![any::<String>(), "[-+0-9.eE\"{}:,ns]{0,8}"],
    ) {
        let mut text = serde_json::to_string(&settings.housekeeper).expect("is plain data");
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let place = *cut.get(&places);
        let after = text[place..].chars().next().map_or(0, char::len_utf8);
        text.replace_range(place..place + after, &noise);

        for text in [text.as_str(), noise.as_str()] {
            reads_or_refuses::<HousekeeperConfig>(text);
            reads_or_refuses::<JobConfig>(text);
            reads_or_refuses::<Schedule>(text);
            reads_or_refuses::<BookingPolicy>(text);
            reads_or_refuses::<Scope>(text);
            reads_or_refuses::<Page>(text);
            reads_or_refuses::<Cursor>(text);
            reads_or_refuses::<Forecast>(text);
            reads_or_refuses::<RequestError>(text);
            reads_or_refuses::<Preview>(text);
            reads_or_refuses::<Report>(text);
            reads_or_refuses::<RunRecord>(text);
            reads_or_refuses::<Status>(text);
        }
    }
}

fn reads_or_refuses<T: Serialize + DeserializeOwned>(text: &str) {
    let Ok(value) = serde_json::from_str::<T>(text) else {
        return;
    };
    let once = serde_json::to_string(&value).expect("is plain data");
    let again: T = serde_json::from_str(&once).expect(&once);
    assert_eq!(serde_json::to_string(&again).expect("is plain data"), once);
}
