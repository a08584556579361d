//! The SQL that a store sends, recorded on the host's connections.

use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::InstrumentationEvent;

#[cfg(feature = "sqlite")]
use crate::plans::TABLES;

/// Statements and their values, in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Statement>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    /// Each as it prints with `{:?}`.
    pub(crate) values: Vec<String>,
}

impl Recorder {
    pub(crate) fn record(&self, event: &InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let statement = Statement::read(&query.to_string());
            let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            received.push(statement);
        }
    }

    /// Statements to these tables since the last call.
    pub(crate) fn take_about(&self, tables: &[&str]) -> Vec<Statement> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut received = std::mem::take(&mut *received);
        received.retain(|statement| tables.iter().any(|table| statement.is_about(table)));
        received
    }

    /// Statements with this word since the last call.
    pub(crate) fn take_with(&self, word: &str) -> Vec<Statement> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut received = std::mem::take(&mut *received);
        received.retain(|statement| statement.sql.contains(word));
        received
    }

    /// Statements since the last call.
    #[cfg(feature = "postgres")]
    pub(crate) fn take_all(&self) -> Vec<Statement> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *received)
    }

    /// The first word of each statement to the tables of the jobs, since this was asked before.
    #[cfg(feature = "sqlite")]
    pub(crate) fn kinds(&self) -> Vec<String> {
        let statements = self.take_about(TABLES).into_iter();
        let words = statements.filter_map(|statement| {
            let word = statement.sql.split_whitespace().next()?;
            Some(word.to_owned())
        });
        words.collect()
    }
}

impl Statement {
    fn read(text: &str) -> Self {
        let (sql, values) = text.rsplit_once(" -- binds: [").unwrap_or((text, "]"));
        let (mut split, mut depth, mut quoted) = (vec![String::new()], 0, false);
        for sign in values.strip_suffix(']').unwrap_or(values).chars() {
            match sign {
                '"' => quoted = !quoted,
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            match split.last_mut() {
                Some(_) if sign == ',' && depth == 0 && !quoted => split.push(String::new()),
                Some(value) => value.push(sign),
                None => {}
            }
        }
        let values = split.iter().map(|value| value.trim().to_owned());
        Self {
            sql: sql.to_owned(),
            values: values.filter(|value| !value.is_empty()).collect(),
        }
    }

    /// Whether it reads or changes a table, whose name each database quotes in its own way.
    fn is_about(&self, table: &str) -> bool {
        self.sql.contains(&format!("\"{table}\"")) || self.sql.contains(&format!("`{table}`"))
    }
}
