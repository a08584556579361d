//! Decides whether a database rejects rows one by one, or whatever it is given.

use std::collections::BTreeMap;

use crate::job::{Batch, RejectedRow};

/// Counts the rows of a run that were rejected with the same text.
///
/// A row's own id, numbers and the detail in parentheses do not tell two texts apart. Rows that a
/// declaration keeps ([`RejectedRow::is_kept`]) or another transaction holds do not count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rejections {
    handled: u64,
    rejected: u64,
    /// Rows by what their texts have in common, and the first text.
    texts: BTreeMap<String, (u64, String)>,
}

impl Rejections {
    pub(crate) fn add(&mut self, batch: &Batch) {
        self.handled += batch.ids.len() as u64;
        for row in batch
            .rejected
            .iter()
            .filter(|row| !row.is_kept() && !row.is_locked())
        {
            self.rejected += 1;
            let common = common(row);
            let room = self.texts.len() < MAX_TEXTS;
            match self.texts.get_mut(&common) {
                Some((rows, _)) => *rows += 1,
                None if room => drop(self.texts.insert(common, (1, row.error.clone()))),
                None => {}
            }
        }
    }

    /// Returns the error of a run of which most rows were rejected with one text.
    pub(crate) fn most_alike(&self) -> Option<String> {
        let (rows, text) = self.texts.values().max_by_key(|(rows, _)| *rows)?;
        let all = self.handled.saturating_add(self.rejected);
        let are_most = *rows >= MIN_ROWS && rows.saturating_mul(2) > all;
        are_most.then(|| format!("{rows} of {all} rows were rejected alike: {text}"))
    }
}

/// What a text says of any row.
fn common(row: &RejectedRow) -> String {
    let text = match row.error.split_once(" (") {
        Some((text, _)) if !text.is_empty() => text,
        _ => &row.error,
    };
    let mut common = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let follows_word = common.ends_with(char::is_alphanumeric);
        let behind_id = rest
            .strip_prefix(row.id.as_str())
            .filter(|behind| !row.id.is_empty() && !follows_word && !begins_word(behind));
        let (next, behind) = match behind_id {
            Some(behind) => ('#', behind),
            None if char.is_ascii_digit() => ('#', &rest[1..]),
            None => (char, &rest[char.len_utf8()..]),
        };
        if !(next == '#' && common.ends_with('#')) {
            common.push(next);
        }
        rest = behind;
    }
    common
}

fn begins_word(text: &str) -> bool {
    text.starts_with(char::is_alphanumeric)
}

/// Fewer rows are single bad rows.
const MIN_ROWS: u64 = 3;

/// Different texts that are counted.
const MAX_TEXTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(handled: usize, errors: &[(&str, &str)]) -> Option<String> {
        let mut rejections = Rejections::default();
        rejections.add(&Batch {
            ids: vec!["x".to_owned(); handled],
            rejected: errors
                .iter()
                .map(|(id, error)| RejectedRow {
                    id: (*id).to_owned(),
                    error: (*error).to_owned(),
                })
                .collect(),
            ..Batch::default()
        });
        rejections.most_alike()
    }

    #[test]
    fn most_rows_of_a_run_with_one_text_are_an_error() {
        let text = "no partition of relation \"audit\" found for row";
        let errors = [("a", text), ("b", text), ("c", text)];
        let error = Some(format!("3 of 5 rows were rejected alike: {text}"));

        assert_eq!(after(2, &errors), error);
        assert_eq!(after(3, &errors), None, "half are not most");
        assert_eq!(after(0, &errors[..2]), None, "two are single rows");
    }

    #[test]
    fn ids_numbers_and_details_do_not_tell_texts_apart() {
        let tables = [
            [
                ("b1", "b1 is locked"),
                ("b2", "b2 is locked"),
                ("x", "x is locked"),
            ],
            [
                ("a", "no room (17)"),
                ("b", "no room (x)"),
                ("c", "no room"),
            ],
            [("a", "waits 7 s"), ("b", "waits 12 s"), ("c", "waits 1 s")],
        ];
        for errors in tables {
            assert!(after(0, &errors).is_some(), "{errors:?}");
        }
        let different = [("a", "has a bill"), ("b", "has a guest"), ("c", "is held")];
        assert_eq!(after(0, &different), None);
    }

    #[test]
    fn rows_that_are_kept_by_declaration_do_not_count() {
        let kept = [("a", "kept by payments.order_id"); 9];

        assert_eq!(after(0, &kept), None);
    }

    #[test]
    fn thousands_of_texts_take_bounded_memory() {
        let mut rejections = Rejections::default();
        for number in 0..10_000_u32 {
            let error: String = (0..number).map(|_| 'x').take(150).chain(['y']).collect();
            let id = String::new();
            rejections.add(&Batch {
                rejected: vec![RejectedRow { id, error }],
                ..Batch::default()
            });
        }

        assert_eq!(rejections.texts.len(), MAX_TEXTS);
        assert_eq!(rejections.rejected, 10_000);
    }
}
