//! A look at the host's SQL, which statements enclose: it must not end what encloses it.

/// The database whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(all(feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "there is one for each database")
)]
pub(crate) enum Syntax {
    Postgres,
    Sqlite,
}

/// A text that is read from left to right.
struct Scan<'t> {
    /// The part that is not read yet.
    rest: &'t str,
    syntax: Syntax,
    /// The character before, or a blank behind a quote.
    last: char,
}

/// Returns the text for use inside a statement, or why it cannot stand there.
pub(crate) fn enclosable(text: &str, syntax: Syntax) -> Result<String, String> {
    let mut scan = Scan {
        rest: text,
        syntax,
        last: ' ',
    };
    let mut depth = 0_u32;
    let mut ends_in_comment = false;
    while let Some(c) = scan.rest.chars().next() {
        ends_in_comment = false;
        if let Some(quote) = scan.quote() {
            let Some(behind) = quote.end(scan.rest) else {
                return Err(format!("{} is not closed", quote.name));
            };
            scan.rest = behind;
            scan.last = ' ';
            continue;
        }
        if scan.rest.starts_with("--") {
            let end = scan.rest.find('\n');
            ends_in_comment = end.is_none();
            scan.rest = end.map_or("", |end| &scan.rest[end..]);
            continue;
        }
        if let Some(parameter) = scan.parameter() {
            return Err(format!(
                "`{parameter}` is a parameter, which gets no value here: write the value"
            ));
        }
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a `)` closes no `(`")?,
            ';' => return Err("the SQL holds `;`".to_owned()),
            _ => {}
        }
        scan.last = c;
        scan.rest = &scan.rest[c.len_utf8()..];
    }
    if depth > 0 {
        return Err("a `(` is not closed".to_owned());
    }
    Ok(if ends_in_comment {
        format!("{text}\n")
    } else {
        text.to_owned()
    })
}

/// A part of the text that is read as a whole.
struct Quote<'t> {
    name: &'static str,
    start: &'t str,
    end: &'t str,
    /// Whether a backslash takes the next character along.
    escapes: bool,
    /// Whether it may hold others of its kind.
    nests: bool,
}

impl Quote<'_> {
    /// The text behind it.
    fn end<'r>(&self, text: &'r str) -> Option<&'r str> {
        let mut rest = text.strip_prefix(self.start)?;
        let mut depth = 0_u32;
        while let Some(c) = rest.chars().next() {
            if let Some(behind) = rest.strip_prefix(self.end) {
                if depth == 0 {
                    return Some(behind);
                }
                depth -= 1;
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix(self.start).filter(|_| self.nests) {
                depth += 1;
                rest = behind;
            } else {
                rest = &rest[c.len_utf8()..];
                if self.escapes && c == '\\' {
                    let next = rest.chars().next().map_or(0, char::len_utf8);
                    rest = &rest[next..];
                }
            }
        }
        None
    }
}

impl<'t> Scan<'t> {
    fn is_postgres(&self) -> bool {
        self.syntax == Syntax::Postgres
    }

    fn is_within_name(&self) -> bool {
        self.last.is_alphanumeric() || self.last == '_'
    }

    /// The quote or comment that begins here.
    fn quote(&self) -> Option<Quote<'t>> {
        let quote = |name, length: usize, end| {
            Some(Quote {
                name,
                start: &self.rest[..length],
                end,
                escapes: false,
                nests: false,
            })
        };
        // A doubled quote ends one and begins another.
        match self.rest.as_bytes().first()? {
            b'\'' => quote("a text", 1, "'"),
            b'"' => quote("a name", 1, "\""),
            b'`' if !self.is_postgres() => quote("a name", 1, "`"),
            b'[' if !self.is_postgres() => quote("a name", 1, "]"),
            b'e' | b'E'
                if self.is_postgres()
                    && !self.is_within_name()
                    && self.rest[1..].starts_with('\'') =>
            {
                quote("a text", 2, "'").map(|quote| Quote {
                    escapes: true,
                    ..quote
                })
            }
            b'/' if self.rest.starts_with("/*") => quote("a comment", 2, "*/").map(|quote| Quote {
                nests: self.is_postgres(),
                ..quote
            }),
            b'$' if self.is_postgres() && !self.is_within_name() => {
                let end = self.rest[1..].find('$')? + 2;
                let tag = &self.rest[1..end - 1];
                let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
                    && !tag.starts_with(|c: char| c.is_ascii_digit());
                let start = &self.rest[..end];
                is_tag.then_some(Quote {
                    name: "a text",
                    start,
                    end: start,
                    escapes: false,
                    nests: false,
                })
            }
            _ => None,
        }
    }

    /// The parameter that begins here.
    fn parameter(&self) -> Option<&'t str> {
        if self.is_within_name() {
            return None;
        }
        let mut chars = self.rest.chars();
        let (first, rest) = (chars.next()?, chars.as_str());
        let is_postgres = self.is_postgres();
        let of_name = |c: char| c.is_alphanumeric() || c == '_';
        let is_first = |c: char| {
            if is_postgres {
                c.is_ascii_digit()
            } else {
                of_name(c)
            }
        };
        let begins = match first {
            '?' => !is_postgres,
            '$' => rest.starts_with(is_first),
            ':' | '@' => !is_postgres && self.last != ':' && rest.starts_with(is_first),
            _ => false,
        };
        let end = rest.find(|c| !of_name(c)).unwrap_or(rest.len());
        begins.then(|| &self.rest[..=end])
    }
}

#[cfg(test)]
mod tests {
    use super::{Syntax, enclosable};

    #[test]
    fn a_text_that_would_end_its_statement_is_refused() {
        let table = [
            ("a = 'it''s (' and b in (1, (2))", None, None),
            (r#""odd ) name" = ';?:a'"#, None, None),
            ("a = 1 /* ) */ and (b)", None, None),
            ("a::int > 1", None, None),
            ("überfällig > 1 and ñ", None, None),
            (
                "a = :é",
                None,
                Some("`:é` is a parameter, which gets no value here: write the value"),
            ),
            ("[odd ( name] = 1", Some("a `(` is not closed"), None),
            (r"a = E'\') or ('", None, Some("a `)` closes no `(`")),
            (
                "a = $$it's ($$ or a = $t$)$t$",
                None,
                Some("`$it` is a parameter, which gets no value here: write the value"),
            ),
            ("/* /* */ 1 */ a", None, None),
            (
                "a ? 'key'",
                None,
                Some("`?` is a parameter, which gets no value here: write the value"),
            ),
            (
                "a = $1",
                Some("`$1` is a parameter, which gets no value here: write the value"),
                Some("`$1` is a parameter, which gets no value here: write the value"),
            ),
            (
                "a = :name",
                None,
                Some("`:name` is a parameter, which gets no value here: write the value"),
            ),
            (
                "a) or (b",
                Some("a `)` closes no `(`"),
                Some("a `)` closes no `(`"),
            ),
            (
                "(a",
                Some("a `(` is not closed"),
                Some("a `(` is not closed"),
            ),
            (
                "a = 'b",
                Some("a text is not closed"),
                Some("a text is not closed"),
            ),
            (
                "a /* b",
                Some("a comment is not closed"),
                Some("a comment is not closed"),
            ),
            ("a; b", Some("the SQL holds `;`"), Some("the SQL holds `;`")),
        ];

        for (text, postgres, sqlite) in table {
            let refused = |syntax| enclosable(text, syntax).err();
            assert_eq!(refused(Syntax::Postgres).as_deref(), postgres, "{text}");
            assert_eq!(refused(Syntax::Sqlite).as_deref(), sqlite, "{text}");
        }
        let commented = enclosable("a -- b", Syntax::Sqlite);
        assert_eq!(commented.as_deref(), Ok("a -- b\n"));
    }
}
