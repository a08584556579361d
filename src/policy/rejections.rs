//! Decides whether a database rejects single rows, or most rows alike.

use std::collections::BTreeMap;

use crate::job::{Batch, RejectedRow};

/// Counts the rows of a run that were rejected with the same text.
///
/// A row's own id, what is quoted, words with digits and the detail in parentheses do not make two
/// texts differ. Rows that a declaration keeps ([`RejectedRow::is_kept`]) or another transaction
/// holds do not count.
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

    /// Returns the error of a run of which most rows were rejected with one text, or all with
    /// several.
    pub(crate) fn most_alike(&self) -> Option<String> {
        let (rows, text) = self.texts.values().max_by_key(|(rows, _)| *rows)?;
        let all = self.handled.saturating_add(self.rejected);
        if *rows >= MIN_ROWS && rows.saturating_mul(2) > all {
            return Some(format!("{rows} of {all} rows were rejected alike: {text}"));
        }
        // Texts may differ in a name that nothing sets apart from other words.
        let are_all = self.handled == 0 && self.rejected >= MIN_ROWS;
        are_all.then(|| format!("all {all} rows were rejected, one of them: {text}"))
    }
}

/// Returns the part of a text that all rows share: without its id, quoted names and values, and
/// words with digits, such as numbers, instants and UUIDs.
fn common(row: &RejectedRow) -> String {
    let text = match row.error.split_once(" (") {
        Some((text, _)) if !text.is_empty() => text,
        _ => &row.error,
    };
    let mut common = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let follows_word = common.ends_with(char::is_alphanumeric);
        let length = id_length(rest, &row.id, follows_word)
            .or_else(|| quoted_length(rest, follows_word))
            .or_else(|| value_length(rest));
        let (next, behind) = match length {
            Some(length) => ("#", &rest[length..]),
            None if char.is_alphanumeric() => {
                let end = rest.find(|char: char| !char.is_alphanumeric());
                rest.split_at(end.unwrap_or(rest.len()))
            }
            None => rest.split_at(char.len_utf8()),
        };
        if !(next == "#" && common.ends_with('#')) {
            common.push_str(next);
        }
        rest = behind;
    }
    common
}

/// Returns the length of the row's id, if the text begins with it.
fn id_length(text: &str, id: &str, follows_word: bool) -> Option<usize> {
    let behind = text.strip_prefix(id)?;
    let is_whole = !follows_word && !behind.starts_with(char::is_alphanumeric);
    (!id.is_empty() && is_whole).then_some(id.len())
}

/// Returns the length of the quoted text, if the text begins with it. An apostrophe within a word
/// is no quote.
fn quoted_length(text: &str, follows_word: bool) -> Option<usize> {
    let quote = text.chars().next().filter(|char| "\"'`".contains(*char))?;
    let end = text[1..].find(quote)?;
    (!follows_word).then_some(end + 2)
}

/// Returns the length of a word with a digit, together with the words that signs join to it.
fn value_length(text: &str) -> Option<usize> {
    let is_part = |char: char| char.is_alphanumeric() || "-_:.+".contains(char);
    let word = &text[..text.find(|char| !is_part(char)).unwrap_or(text.len())];
    let word = word.trim_end_matches(|char: char| !char.is_alphanumeric());
    let is_value = word.starts_with(char::is_alphanumeric)
        && word.contains(|char: char| char.is_ascii_digit());
    is_value.then_some(word.len())
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
            [
                ("a", "user 3f2a1c9e-dead-4eef-babe-0123456789ab doesn't pay"),
                ("b", "user deadbeef-0000-4eef-babe-feedfeedfeed doesn't pay"),
                ("c", "user 9a8b7c6d-aaaa-4bbb-8ccc-ddddeeeeffff doesn't pay"),
            ],
            [
                ("a", "guest \"Anna's\" left at 2026-01-10 11:00:01.5+01"),
                ("b", "guest \"O'Brian\" left at 2026-01-10 11:00:02+01"),
                ("c", "guest \"\" left at 2025-12-31 23:59"),
            ],
            [
                ("a", "row `x` of ümlaut-7 ist gesperrt"),
                ("b", "row `y z` of ümlaut-12 ist gesperrt"),
                ("c", "row 'q' of ümlaut-1a ist gesperrt"),
            ],
        ];
        for errors in tables {
            assert!(after(2, &errors).is_some(), "{errors:?}");
        }
        let tables = [
            [("a", "has a bill"), ("b", "has a guest"), ("c", "is held")],
            [("a", "can't go"), ("b", "won't go"), ("c", "mustn't go")],
            [("a", "'open"), ("b", "\"closed"), ("c", "`")],
        ];
        for errors in tables {
            assert_eq!(after(1, &errors), None, "{errors:?}");
        }
    }

    #[test]
    fn three_rows_of_which_none_is_handled_are_an_error() {
        let errors = [
            ("a", "guest Ann owes"),
            ("b", "guest Bob left"),
            ("c", "no room"),
        ];

        let error = after(0, &errors).expect("an error");

        assert!(error.starts_with("all 3 rows were rejected, one of them: "));
        assert_eq!(after(1, &errors), None);
        assert_eq!(after(0, &errors[1..]), None, "two are single rows");
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
