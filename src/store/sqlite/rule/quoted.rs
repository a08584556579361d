//! Values as SQLite quotes them: text that keeps a value's type and reads as it again.

use crate::store::rule::Bind;

/// Reads what `quote()` wrote.
pub(super) fn unquoted(text: &str) -> Bind {
    if text == "NULL" {
        return Bind::Null;
    }
    if let Some(inner) = enclosed(text, "'") {
        return Bind::Text(inner.replace("''", "'"));
    }
    if let Some(hex) = enclosed(text, "X'").or_else(|| enclosed(text, "x'")) {
        let bytes: Option<Vec<u8>> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        return bytes.map_or(Bind::Null, Bind::Blob);
    }
    match text.parse() {
        Ok(number) => Bind::Integer(number),
        Err(_) => text.parse().map_or(Bind::Null, Bind::Real),
    }
}

fn enclosed<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.strip_prefix(start)?.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_reads_as_itself() {
        let table = [
            ("NULL", Bind::Null),
            ("-7", Bind::Integer(-7)),
            ("1.5", Bind::Real(1.5)),
            ("'it''s'", Bind::Text("it's".to_owned())),
            ("''", Bind::Text(String::new())),
            ("X'00FF'", Bind::Blob(vec![0, 255])),
        ];

        for (text, expected) in table {
            assert_eq!(unquoted(text), expected, "{text}");
        }
    }
}
