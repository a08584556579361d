//! Previews: the rows that a run would handle.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::fmt::{Column, Table, instant, line, span, thousands};
use crate::job::{BoundedCount, Cursor, JobName, Scope};

/// The part of a preview to return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Maximum number of rows; at most [`Page::MAX_SIZE`].
    pub size: NonZeroU32,
    /// [`Preview::next`] of the previous page; `None` for the first page.
    pub after: Option<Cursor>,
}

impl Page {
    /// Maximum size of a page, in rows.
    pub const MAX_SIZE: u32 = 1_000;

    /// Creates a request for the first page.
    #[must_use]
    pub fn first(size: NonZeroU32) -> Self {
        Self { size, after: None }
    }

    /// Rows to select for a page: one more than it lists, which shows whether another page follows.
    #[must_use]
    pub fn probe(&self) -> i64 {
        i64::from(self.size.get()) + 1
    }
}

impl Default for Page {
    /// The first 50 rows.
    fn default() -> Self {
        Self {
            size: const { NonZeroU32::new(50).expect("50 is not zero") },
            after: None,
        }
    }
}

/// One row that a run would handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct PreviewRow {
    /// The row's id.
    pub id: String,
    /// The user that the row belongs to.
    pub user: Option<String>,
    /// The instant that the rule compares with the cutoff, such as the time of the last change.
    pub since: DateTime<Utc>,
    /// Further values for people, by name.
    pub details: BTreeMap<String, String>,
}

/// A job's part of a preview.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PreviewRows {
    /// The cutoff that the rows were compared with.
    pub cutoff: DateTime<Utc>,
    /// At most a page of due rows, oldest first.
    pub rows: Vec<PreviewRow>,
    /// Number of due rows on all pages.
    pub due: BoundedCount,
    /// The last row of this page if more follow, for [`Page::after`].
    pub next: Option<Cursor>,
}

impl PreviewRows {
    /// Creates a page of the rows that were selected with the limit [`Page::probe`], oldest first,
    /// ties by id.
    ///
    /// # Examples
    ///
    /// ```
    /// use chrono::Utc;
    /// use ractor_housekeeper::job::{BoundedCount, Page, PreviewRow, PreviewRows};
    ///
    /// let since = Utc::now();
    /// let row = |id: &str| PreviewRow {
    ///     id: id.to_owned(),
    ///     user: None,
    ///     since,
    ///     details: [].into(),
    /// };
    /// let page = Page::first(2.try_into()?);
    /// assert_eq!(page.probe(), 3);
    ///
    /// let selected = ["a", "b", "c"].map(row);
    /// let rows = PreviewRows::of_page(&page, since, BoundedCount::from_probe(5), selected);
    ///
    /// assert_eq!(rows.rows.len(), 2);
    /// assert_eq!(rows.next.as_ref().map(|next| next.id()), Some("b"));
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    #[must_use]
    pub fn of_page(
        page: &Page,
        cutoff: DateTime<Utc>,
        due: BoundedCount,
        selected: impl IntoIterator<Item = PreviewRow>,
    ) -> Self {
        let mut rows: Vec<PreviewRow> = selected.into_iter().collect();
        let size = page.size.get() as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more);
        Self {
            cutoff,
            due,
            next: next.map(|row| Cursor::new(row.since, row.id.as_str())),
            rows,
        }
    }

    /// Creates a page of due rows.
    #[must_use]
    pub fn new(
        cutoff: DateTime<Utc>,
        rows: Vec<PreviewRow>,
        due: BoundedCount,
        next: Option<Cursor>,
    ) -> Self {
        Self {
            cutoff,
            rows,
            due,
            next,
        }
    }

    /// Creates a preview without due rows.
    #[must_use]
    pub fn none(cutoff: DateTime<Utc>) -> Self {
        Self::new(cutoff, Vec::new(), BoundedCount::default(), None)
    }
}

/// The rows that a run of this scope would handle now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Preview {
    /// The job.
    pub job: JobName,
    /// The rows that the run would cover.
    pub scope: Scope,
    /// The cutoff that the rows were compared with.
    pub cutoff: DateTime<Utc>,
    /// At most a page of due rows, oldest first.
    pub rows: Vec<PreviewRow>,
    /// Number of due rows on all pages.
    pub due: BoundedCount,
    /// The last row of this page if more follow, for [`Page::after`].
    pub next: Option<Cursor>,
}

impl fmt::Display for Preview {
    /// Writes a line with the number of due rows, then a table of this page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cutoff = instant(self.cutoff);
        if self.rows.is_empty() && self.due.count == 0 {
            return write!(
                f,
                "{} would handle nothing: no row ({}) is older than {cutoff} UTC",
                self.job, self.scope
            );
        }
        let rows = if self.due == BoundedCount::from_probe(1) {
            "row"
        } else {
            "rows"
        };
        writeln!(
            f,
            "{} would handle {} {rows} ({}) older than {cutoff} UTC",
            self.job, self.due, self.scope
        )?;
        let heads = ["id", "user", "since (UTC)", "overdue", "details"].map(Column::Words);
        let cells = self.rows.iter().map(|row| row.cells(self.cutoff));
        write!(f, "{}", Table::new(heads, cells))?;
        match &self.next {
            // A rule's cursor is no text for people, but the id of the last row is.
            Some(next) => write!(
                f,
                "\n{} shown, more after {}",
                thousands(self.rows.len() as u64),
                line(self.rows.last().map_or(&next.id, |row| &row.id))
            ),
            None => Ok(()),
        }
    }
}

impl PreviewRow {
    fn cells(&self, cutoff: DateTime<Utc>) -> [String; 5] {
        let details = self
            .details
            .iter()
            .map(|(name, value)| format!("{name} {value}"));
        let details: Vec<String> = details.collect();
        [
            self.id.clone(),
            self.user.clone().unwrap_or_else(|| "-".to_owned()),
            instant(self.since),
            span((cutoff - self.since).to_std().unwrap_or_default()),
            details.join(", "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_first_page_has_the_requested_size() {
        let size = NonZeroU32::new(7).expect("is not zero");

        let page = Page::first(size);

        assert_eq!((page.size, page.after), (size, None));
    }

    #[test]
    fn a_preview_displays_as_a_table_with_its_next_page() {
        let cutoff = "2026-01-10T11:45:00Z".parse().expect("is an instant");
        let row = |id: &str, user: Option<&str>, late: i64, details: &[(&str, &str)]| PreviewRow {
            id: id.to_owned(),
            user: user.map(str::to_owned),
            since: cutoff - TimeDelta::seconds(late),
            details: details
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let rows = vec![
            row(
                "B-1",
                Some("anna"),
                7_530,
                &[("property", "farm"), ("total cost", "120.00")],
            ),
            row("B-22\u{7}", None, 12, &[]),
        ];
        let next = Some(Cursor {
            since: cutoff,
            id: "B-22\u{7}".to_owned(),
        });
        let (job, scope) = ("draft-collector".into(), Scope::All);
        let preview = Preview {
            job,
            scope,
            cutoff,
            rows,
            due: BoundedCount::from_probe(12_345),
            next,
        };
        let last = Preview {
            rows: preview.rows[1..].to_vec(),
            due: BoundedCount::from_probe(1),
            next: None,
            ..preview.clone()
        };
        let none = Preview {
            rows: vec![],
            due: BoundedCount::default(),
            scope: Scope::user(7),
            ..last.clone()
        };
        let behind_all = Preview {
            rows: vec![],
            ..last.clone()
        };

        assert_eq!(
            preview.to_string(),
            "\
draft-collector would handle 10,000+ rows (all) older than 2026-01-10 11:45:00 UTC
id         user  since (UTC)          overdue  details
B-1        anna  2026-01-10 09:39:30  2h 5m    property farm, total cost 120.00
B-22\\u{7}  -     2026-01-10 11:44:48  12s
2 shown, more after B-22\\u{7}"
        );
        assert_eq!(
            last.to_string(),
            "\
draft-collector would handle 1 row (all) older than 2026-01-10 11:45:00 UTC
id         user  since (UTC)          overdue  details
B-22\\u{7}  -     2026-01-10 11:44:48  12s"
        );
        assert_eq!(
            none.to_string(),
            "draft-collector would handle nothing: no row (user 7) is older than 2026-01-10 11:45:00 UTC"
        );
        assert_eq!(
            behind_all.to_string(),
            "\
draft-collector would handle 1 row (all) older than 2026-01-10 11:45:00 UTC
id  user  since (UTC)  overdue  details"
        );
    }
}
