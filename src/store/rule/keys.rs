//! The host's foreign keys that point at the rows a rule deletes.
//!
//! One without `on delete` refuses the deletion of a row it points at; such rows are rejected
//! before the attempt. One whose columns no index begins with makes the database read its whole
//! table for every row that is deleted.

/// A foreign key, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    /// The schema of its table, where that must be said.
    pub(crate) schema: Option<String>,
    /// The table that holds it.
    pub(crate) table: String,
    /// Its columns, in the order of those they point at.
    pub(crate) columns: Vec<String>,
    /// The table it points at.
    pub(crate) parent: String,
    /// The columns it points at.
    pub(crate) parent_columns: Vec<String>,
    pub(crate) on_delete: OnDelete,
    /// Whether this role may read its table.
    pub(crate) readable: bool,
    /// Whether an index begins with its columns.
    pub(crate) indexed: bool,
}

/// The action of a foreign key when its target row is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDelete {
    Refuse,
    Cascade,
    /// It points at another row or at none.
    LetGo,
}

impl ForeignKey {
    pub(crate) fn refuses(&self) -> bool {
        self.on_delete == OnDelete::Refuse
    }

    /// Why a row stays that this key points at, as the text of
    /// [`RejectedRow::error`](crate::job::RejectedRow::error).
    pub(crate) fn reason(&self) -> String {
        format!("kept by {}", self.place())
    }

    /// Table and columns, for people: `invoices.session_id`, or `invoices (tenant, session_id)`.
    pub(crate) fn place(&self) -> String {
        let schema = match &self.schema {
            Some(schema) => format!("{schema}."),
            None => String::new(),
        };
        place(&format!("{schema}{}", self.table), &self.columns)
    }

    /// The table, for a statement.
    pub(crate) fn quoted_table(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.table)),
            None => quoted(&self.table),
        }
    }

    /// The statement that makes the index it lacks. It begins with `create`. Postgres finds a name.
    #[cfg(feature = "postgres")]
    pub(crate) fn mend(&self, create: &str) -> String {
        index(create, &self.quoted_table(), &self.columns)
    }
}

/// Columns of a table, for people.
pub(crate) fn place(table: &str, columns: &[String]) -> String {
    match columns {
        [column] => format!("{table}.{column}"),
        columns => format!("{table} ({})", columns.join(", ")),
    }
}

/// The statement that makes an index on columns of a table.
#[cfg(feature = "postgres")]
pub(crate) fn index(create: &str, quoted_table: &str, columns: &[String]) -> String {
    format!("{create} on {quoted_table} ({})", quoted_list(columns))
}

/// An identifier as both databases take it, whatever is in it.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Identifiers, with commas between them.
pub(crate) fn quoted_list(identifiers: &[String]) -> String {
    let quoted: Vec<String> = identifiers.iter().map(|name| quoted(name)).collect();
    quoted.join(", ")
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    fn key(schema: Option<&str>, table: &str, columns: &[&str]) -> ForeignKey {
        ForeignKey {
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            parent: "sessions".to_owned(),
            parent_columns: vec!["id".to_owned()],
            on_delete: OnDelete::Refuse,
            readable: true,
            indexed: false,
        }
    }

    #[test]
    fn a_key_says_who_keeps_a_row_and_what_would_mend_it() {
        let table = [
            (
                key(None, "invoices", &["session_id"]),
                "kept by invoices.session_id",
                r#"create index concurrently on "invoices" ("session_id")"#,
            ),
            (
                key(Some("accounting"), "invoices", &["tenant", "session_id"]),
                "kept by accounting.invoices (tenant, session_id)",
                r#"create index concurrently on "accounting"."invoices" ("tenant", "session_id")"#,
            ),
            (
                key(None, "order", &["odd \"name\""]),
                "kept by order.odd \"name\"",
                r#"create index concurrently on "order" ("odd ""name""")"#,
            ),
        ];

        for (key, reason, mend) in table {
            assert_eq!(key.reason(), reason);
            assert_eq!(key.mend("create index concurrently"), mend);
        }
    }
}
