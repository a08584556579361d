//! The host's own SQL, and names of tables.

use serde::{Deserialize, Deserializer, Serialize};

use super::forms::text_or_table;

/// The host's own SQL: one text for both databases, or one for each.
///
/// Columns of the rule's table stand alone or behind the table's name without its schema. The check
/// has the database parse the text, which is enclosed in statements: brackets, quotes and comments
/// are closed in it, and it has no parameters such as `$1`, and no `;` outside of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "SqlForm")]
pub struct Sql {
    postgres: Option<String>,
    sqlite: Option<String>,
}

/// Creates SQL for both databases.
pub fn sql(text: impl Into<String>) -> Sql {
    let text = text.into();
    Sql {
        postgres: Some(text.clone()),
        sqlite: Some(text),
    }
}

impl Sql {
    /// Creates SQL that differs by database.
    pub fn by_database(postgres: impl Into<String>, sqlite: impl Into<String>) -> Self {
        Self {
            postgres: Some(postgres.into()),
            sqlite: Some(sqlite.into()),
        }
    }

    /// Returns the text for Postgres, if there is one.
    #[must_use]
    pub fn postgres(&self) -> Option<&str> {
        self.postgres.as_deref()
    }

    /// Returns the text for SQLite, if there is one.
    #[must_use]
    pub fn sqlite(&self) -> Option<&str> {
        self.sqlite.as_deref()
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        [self.postgres(), self.sqlite()].into_iter().flatten()
    }
}

impl<T: Into<String>> From<T> for Sql {
    fn from(text: T) -> Self {
        sql(text)
    }
}

impl<'de> Deserialize<'de> for Sql {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let expecting = "SQL as a text, or `postgres` and `sqlite` with a text each";
        text_or_table::<_, Each, _>(source, expecting, sql)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum SqlForm {
    Both(String),
    Each(Each),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Each {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sqlite: Option<String>,
}

impl From<Sql> for SqlForm {
    fn from(sql: Sql) -> Self {
        match sql {
            Sql {
                postgres: Some(text),
                sqlite: Some(other),
            } if text == other => Self::Both(text),
            Sql { postgres, sqlite } => Self::Each(Each { postgres, sqlite }),
        }
    }
}

impl TryFrom<Each> for Sql {
    type Error = &'static str;

    fn try_from(Each { postgres, sqlite }: Each) -> Result<Self, Self::Error> {
        if postgres.is_none() && sqlite.is_none() {
            return Err("SQL is a text, or has `postgres` or `sqlite`");
        }
        Ok(Self { postgres, sqlite })
    }
}

/// Splits `schema.table` at the dot outside quotes, and removes the quotes.
pub(crate) fn split_name(name: &str) -> (Option<&str>, &str) {
    let mut quoted = false;
    let dot = name.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == '.' && !quoted).then_some(at)
    });
    match dot {
        Some(at) => (Some(unquoted(&name[..at])), unquoted(&name[at + 1..])),
        None => (None, unquoted(name)),
    }
}

/// Returns the table's name without its schema.
#[cfg(any(feature = "_store", test))]
pub(crate) fn bare_name(name: &str) -> &str {
    split_name(name).1
}

fn unquoted(name: &str) -> &str {
    name.strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_at_the_dot_outside_quotes() {
        assert_eq!(split_name("orders"), (None, "orders"));
        assert_eq!(split_name("s05.tokens"), (Some("s05"), "tokens"));
        assert_eq!(
            split_name("\"odd.name\".\"t.x\""),
            (Some("odd.name"), "t.x")
        );
        assert_eq!(bare_name("a.\"b.c\""), "b.c");
    }
}
