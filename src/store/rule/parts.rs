//! Parts of statements as text: names, constants, conditions.

use crate::rule::{
    Filter, Literal, Related, Sql, Syntax, Typed, bare_name, enclosable, split_name,
};

#[cfg(feature = "postgres")]
use super::statement::quoted_text;

/// Which database a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

/// Why a host's part has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MissingSql {
    /// It was given for the other database only.
    OtherDatabase,
    /// It cannot be put into a text.
    NoText(String),
}

impl MissingSql {
    pub(crate) fn problem(self) -> String {
        match self {
            Self::OtherDatabase => "it is given for the other database only".to_owned(),
            Self::NoText(problem) => problem,
        }
    }
}

/// A name as both databases take it.
pub(crate) fn identifier(name: &str) -> String {
    super::keys::quoted(name)
}

/// A table as both databases take it, with its schema if it was given with one.
pub(crate) fn table_name(name: &str) -> String {
    match split_name(name) {
        (Some(schema), table) => format!("{}.{}", identifier(schema), identifier(table)),
        (None, table) => identifier(table),
    }
}

/// Columns with the name of their table.
pub(crate) fn qualified(of: &str, names: &[String]) -> Vec<String> {
    let names = names
        .iter()
        .map(|name| format!("{of}.{}", identifier(name)));
    names.collect()
}

/// The name that the columns of another table go by, within a statement over rows of `of`: its
/// own, which typed parts and expressions of the host name it by, unless it is the same.
pub(crate) fn alias(table: &str, of: &str) -> String {
    let own = identifier(bare_name(table));
    if own.eq_ignore_ascii_case(of) {
        "hk_r".to_owned()
    } else {
        own
    }
}

/// One expression, or a row of several.
pub(crate) fn tuple(expressions: &[String]) -> String {
    match expressions {
        [one] => one.clone(),
        several => format!("({})", several.join(", ")),
    }
}

/// A condition that holds where each of these columns has the value of its counterpart. SQLite
/// compares as the first columns do, as its foreign keys do with those they refer to.
pub(crate) fn equal(of: &str, names: &[String], other: &str, counterparts: &[String]) -> String {
    let pairs = qualified(of, names).into_iter();
    let pairs: Vec<String> = pairs
        .zip(qualified(other, counterparts))
        .map(|(one, other)| format!("{one} = {other}"))
        .collect();
    pairs.join(" AND ")
}

/// Expressions that an operator joins. Of many, groups are joined: SQLite limits the depth of an
/// expression.
pub(crate) fn chained(expressions: &[String], by: &str) -> String {
    const MOST: usize = 100;
    if expressions.len() <= MOST {
        return expressions.join(by);
    }
    let groups = expressions.chunks(expressions.len().div_ceil(MOST));
    let groups: Vec<String> = groups
        .map(|group| format!("({})", chained(group, by)))
        .collect();
    groups.join(by)
}

impl Dialect {
    /// A text constant in this dialect.
    pub(crate) fn text(self, text: &str) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => quoted_text(text),
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("'{}'", text.replace('\'', "''")),
        }
    }

    /// A constant.
    pub(crate) fn literal(self, literal: &Literal) -> String {
        match literal {
            Literal::Bool(value) => self.boolean(*value).to_owned(),
            Literal::Int(value) => value.to_string(),
            Literal::Float(value) => format!("{value:?}"),
            Literal::Text(text) => self.text(text),
        }
    }

    fn boolean(self, value: bool) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres if value => "TRUE",
            #[cfg(feature = "postgres")]
            Self::Postgres => "FALSE",
            #[cfg(feature = "sqlite")]
            Self::Sqlite if value => "1",
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "0",
        }
    }

    /// A host's SQL for this database.
    pub(crate) fn sql(self, sql: &Sql) -> Result<String, MissingSql> {
        let (text, syntax) = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => (sql.postgres(), Syntax::Postgres),
            #[cfg(feature = "sqlite")]
            Self::Sqlite => (sql.sqlite(), Syntax::Sqlite),
        };
        let text = text.ok_or(MissingSql::OtherDatabase)?;
        enclosable(text, syntax).map_err(MissingSql::NoText)
    }

    /// A condition on a row of `of`.
    pub(crate) fn filter(self, filter: &Filter, of: &str) -> Result<String, MissingSql> {
        let column = |name: &str| format!("{of}.{}", identifier(name));
        let list = |values: &[Literal]| {
            let values: Vec<String> = values.iter().map(|value| self.literal(value)).collect();
            values.join(", ")
        };
        Ok(match filter {
            Filter::Eq(name, value) => format!("{} = {}", column(name), self.literal(value)),
            Filter::OneOf(name, values) => format!("{} IN ({})", column(name), list(values)),
            Filter::NoneOf(name, values) => {
                let name = column(name);
                format!("({name} IS NULL OR {name} NOT IN ({}))", list(values))
            }
            Filter::IsNull(name) => format!("{} IS NULL", column(name)),
            Filter::NotNull(name) => format!("{} IS NOT NULL", column(name)),
            Filter::And(all) => self.joined(all, of, " AND ")?,
            Filter::Or(all) => format!("({})", self.joined(all, of, " OR ")?),
            // A condition that is NULL does not hold either.
            Filter::Not(inner) => format!("(({}) IS NOT TRUE)", self.filter(inner, of)?),
            Filter::Sql(sql) => format!("({})", self.sql(sql)?),
            Filter::Typed(typed) => self.typed(typed)?,
        })
    }

    /// A part typed by diesel, with its constants in the text.
    pub(super) fn typed(self, typed: &Typed) -> Result<String, MissingSql> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                let fragment = typed.postgres.as_ref().ok_or(MissingSql::OtherDatabase)?;
                crate::store::postgres::text_of(fragment).map_err(MissingSql::NoText)
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                let fragment = typed.sqlite.as_ref().ok_or(MissingSql::OtherDatabase)?;
                crate::store::sqlite::text_of(fragment).map_err(MissingSql::NoText)
            }
        }
    }

    fn joined(self, filters: &[Filter], of: &str, by: &str) -> Result<String, MissingSql> {
        let parts: Result<Vec<String>, MissingSql> = filters
            .iter()
            .map(|filter| self.filter(filter, of))
            .collect();
        Ok(chained(&parts?, by))
    }

    /// Whether a row of `of` has a related row, which holds these columns of it.
    pub(crate) fn exists(
        self,
        related: &Related,
        of: &str,
        referred: &[String],
    ) -> Result<String, MissingSql> {
        let other = alias(&related.table, of);
        let condition = equal(of, referred, &other, related.column.names());
        let rows = self.rows_of(&related.table, &other, related.only.as_ref(), &condition)?;
        Ok(format!("EXISTS (SELECT 1 {rows})"))
    }

    /// The rows of another table, by their alias, that meet both conditions.
    ///
    /// Where the alias is not the table's own name, that name is the rule's table. An expression of
    /// the host still stands on the rows of the other.
    pub(crate) fn rows_of(
        self,
        table: &str,
        other: &str,
        only: Option<&Filter>,
        condition: &str,
    ) -> Result<String, MissingSql> {
        let (from, own) = (table_name(table), identifier(bare_name(table)));
        Ok(match only {
            None => format!("FROM {from} AS {other} WHERE {condition}"),
            Some(filter) if filter.is_opaque() && other != own => {
                let only = self.filter(filter, &own)?;
                format!(
                    "FROM (SELECT {own}.* FROM {from} AS {own} WHERE {only}) AS {other} WHERE {condition}"
                )
            }
            Some(filter) => {
                let only = self.filter(filter, other)?;
                format!("FROM {from} AS {other} WHERE {condition} AND {only}")
            }
        })
    }
}

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::rule::{and, eq, none_of, not, one_of, related};

    #[test]
    fn conditions_read_as_sql_and_constants_are_escaped() {
        let filter = and([eq("a", "it's"), one_of("b", [1, -2]), not(eq("c", true))]);
        let both = [Dialect::Postgres, Dialect::Sqlite].map(|of| of.filter(&filter, "t"));

        assert_eq!(
            both,
            [
                Ok(
                    r#"t."a" = 'it''s' AND t."b" IN (1, -2) AND ((t."c" = TRUE) IS NOT TRUE)"#
                        .to_owned()
                ),
                Ok(
                    r#"t."a" = 'it''s' AND t."b" IN (1, -2) AND ((t."c" = 1) IS NOT TRUE)"#
                        .to_owned()
                ),
            ]
        );
        assert_eq!(Dialect::Postgres.text(r"a\b"), r" E'a\\b'");
        assert_eq!(Dialect::Sqlite.text(r"a\b"), r"'a\b'");
        let related = related("s.p", "t_id").only(none_of("x", ["y"]));
        assert_eq!(
            Dialect::Sqlite.exists(&related, "t", &["id".to_owned()]),
            Ok(r#"EXISTS (SELECT 1 FROM "s"."p" AS "p" WHERE t."id" = "p"."t_id" AND ("p"."x" IS NULL OR "p"."x" NOT IN ('y')))"#.to_owned())
        );
        let only_postgres: Sql = serde_json::from_str(r#"{ "postgres": "true" }"#).expect("is SQL");
        assert_eq!(
            Dialect::Sqlite.filter(&only_postgres.into(), "t"),
            Err(MissingSql::OtherDatabase)
        );
    }
}
