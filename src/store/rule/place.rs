//! The place of a row in the order of a rule, as a token that only its store reads.

use chrono::{DateTime, Utc};

use crate::job::Cursor;

/// A place made of a text of the database's own.
pub(crate) fn cursor(since: DateTime<Utc>, place: &str) -> Cursor {
    let digits = place.bytes().map(|byte| format!("{byte:02x}"));
    Cursor::new(since, digits.collect::<String>())
}

/// Reads the instant and the key in a place, each as the database wrote it, in one of these
/// numbers. Nothing before the first row.
///
/// The text behind the token distinguishes equal places.
pub(crate) fn texts(cursor: Option<&Cursor>, numbers: &[usize]) -> Result<Vec<String>, String> {
    let token = cursor.map_or("", Cursor::id);
    let wrong = || format!("`{}` is no place of this rule", token.escape_debug());
    let end = token.find(|c: char| !c.is_ascii_hexdigit());
    let digits = &token[..end.unwrap_or(token.len())];
    if digits.is_empty() {
        // A place before all rows has no digits, but may have a distinguishing text.
        let is_start = token.is_empty() || token.starts_with(['\0', ' ']);
        return is_start.then(Vec::new).ok_or_else(wrong);
    }
    let bytes = (0..digits.len()).step_by(2);
    let bytes = bytes.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    let texts = bytes
        .collect::<Option<Vec<u8>>>()
        .and_then(|bytes| serde_json::from_slice::<Vec<String>>(&bytes).ok());
    texts
        .filter(|texts| numbers.contains(&texts.len()))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_the_place_it_was_made_of() {
        let at = DateTime::UNIX_EPOCH;
        let place = r#"["2026-01-10 12:00", "o'neil \"x\"", "ü"]"#;
        let made = cursor(at, place);
        let apart = Cursor::new(at, format!("{}\09", made.id()));

        let read = texts(Some(&made), &[1, 3]);

        let expected = ["2026-01-10 12:00", "o'neil \"x\"", "ü"].map(str::to_owned);
        assert_eq!(read, Ok(expected.to_vec()));
        assert_eq!(texts(Some(&apart), &[3]), read);
        assert_eq!(texts(None, &[3]), Ok(Vec::new()));
        for token in [made.id(), "5b", "abc", "x", "[]"] {
            let wrong = texts(Some(&Cursor::new(at, token)), &[2]);
            assert!(wrong.is_err_and(|text| text.contains("no place of this rule")));
        }
    }
}
