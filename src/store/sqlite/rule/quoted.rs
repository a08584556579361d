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
        return blob(hex);
    }
    number(text)
}

/// Reads a number, or else NULL.
pub(super) fn number(text: &str) -> Bind {
    match text.parse() {
        Ok(number) => Bind::Integer(number),
        Err(_) => text.parse().map_or(Bind::Null, Bind::Real),
    }
}

/// Reads the bytes of a text that `quote()` does not write, or else NULL.
pub(super) fn text_bytes(text: &str) -> Bind {
    enclosed(text, "T'").map_or(Bind::Null, blob)
}

/// Reads bytes as people write them: hexadecimal digits, or a UUID. Or else NULL.
pub(super) fn bytes(text: &str) -> Bind {
    match text.parse::<uuid::Uuid>() {
        Ok(uuid) => Bind::Blob(uuid.into_bytes().to_vec()),
        Err(_) => blob(text),
    }
}

/// Reads hexadecimal digits, or else NULL.
fn blob(digits: &str) -> Bind {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Bind::Null;
    }
    let bytes = (0..digits.len()).step_by(2);
    let bytes: Option<Vec<u8>> = bytes
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    bytes.map_or(Bind::Null, Bind::Blob)
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
            ("X'00F'", Bind::Null),
            ("X'0'''", Bind::Null),
        ];

        for (text, expected) in table {
            assert_eq!(unquoted(text), expected, "{text}");
        }
    }
}
