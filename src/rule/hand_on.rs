//! A row or a call for each row that was written, such as an entry in the outbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::{Value, column};

/// A row that is inserted, or a call that is made, for each row that was written, in the same
/// transaction.
///
/// [`outbox`] writes an entry into this crate's own table, from which a
/// [courier](crate::actors::Destination) delivers it. [`hand_on`] inserts into one of the host's
/// tables, such as that of its queue, and [`call`] calls a function of the database.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::rule::{HandOn, Value, call, hand_on, json, outbox};
///
/// let ours: HandOn = outbox(["order_id", "user_id"]);
/// let river = hand_on("river_job")
///     .column("kind", "tell_guest")
///     .column("args", json(["order_id", "user_id"]))
///     .column("max_attempts", 25);
/// let graphile = call("graphile_worker.add_job")
///     .argument("identifier", "tell-guest")
///     .argument("payload", json(["order_id"]))
///     .argument("job_key", Value::IdempotencyKey);
/// # let _ = (ours, river, graphile);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "HandOnForm", into = "HandOnForm")]
pub struct HandOn {
    pub(crate) to: Target,
    pub(crate) columns: BTreeMap<String, Value>,
}

/// The receiver of rows that are handed on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// One of the host's tables.
    Table(String),
    /// A function of the database.
    Function(String),
    /// This crate's own table, with a topic. `None`: the name of the table whose rows are handed
    /// on.
    Outbox(Option<String>),
}

/// Inserts a row into `table` for each row that was written.
pub fn hand_on(table: impl Into<String>) -> HandOn {
    HandOn::to(Target::Table(table.into()))
}

/// Calls a function of the database for each row that was written, by named arguments. Postgres
/// only.
pub fn call(function: impl Into<String>) -> HandOn {
    HandOn::to(Target::Function(function.into()))
}

/// Writes an entry into the outbox for each row that was written, with these columns as one JSON
/// object.
///
/// The table `housekeeper_outbox` belongs to `Schema::Outbox`. [`HandOn::topic`] sets the topic of
/// the entries. Default: the name of the table whose rows are handed on.
pub fn outbox<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> HandOn {
    HandOn {
        to: Target::Outbox(None),
        columns: by_name(columns),
    }
}

/// Creates a JSON object of these columns, by their names.
pub fn json<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Value {
    Value::Json(by_name(columns))
}

fn by_name<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> BTreeMap<String, Value> {
    let named = columns.into_iter().map(Into::into);
    named.map(|name| (name.clone(), column(name))).collect()
}

impl HandOn {
    fn to(to: Target) -> Self {
        let columns = BTreeMap::new();
        Self { to, columns }
    }

    /// Fills a column of the inserted row, or a field of the entry in the outbox.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.columns.insert(name.into(), value.into());
        self
    }

    /// Sets a named argument of the function.
    #[must_use]
    pub fn argument(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.column(name, value)
    }

    /// Sets the topic of the entries in the outbox, by which a receiver distinguishes them. No-op
    /// for a table or a function.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        if let Target::Outbox(of) = &mut self.to {
            *of = Some(topic.into());
        }
        self
    }

    /// Returns the table that receives a row; `None` for a function.
    pub(crate) fn table(&self) -> Option<&str> {
        match &self.to {
            Target::Table(table) => Some(table),
            Target::Outbox(_) => Some(OUTBOX),
            Target::Function(_) => None,
        }
    }

    /// Returns the name of this part of the rule in findings.
    pub(crate) fn part(&self) -> String {
        match &self.to {
            Target::Table(table) => format!("hand_on {table}"),
            Target::Function(function) => format!("hand_on {function}"),
            Target::Outbox(_) => "hand_on outbox".to_owned(),
        }
    }
}

/// The table of `Schema::Outbox`.
pub(crate) const OUTBOX: &str = "housekeeper_outbox";

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "`into` or `outbox` with `columns`, or `call` with `arguments`"
)]
struct HandOnForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    into: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox: Option<Topic>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    columns: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    arguments: BTreeMap<String, Value>,
}

/// `true`, or a topic.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`outbox` is true or a topic")]
enum Topic {
    OfTable(bool),
    Named(String),
}

impl From<HandOn> for HandOnForm {
    fn from(HandOn { to, columns }: HandOn) -> Self {
        let mut form = Self {
            into: None,
            call: None,
            outbox: None,
            columns,
            arguments: BTreeMap::new(),
        };
        match to {
            Target::Table(table) => form.into = Some(table),
            Target::Outbox(None) => form.outbox = Some(Topic::OfTable(true)),
            Target::Outbox(Some(topic)) => form.outbox = Some(Topic::Named(topic)),
            Target::Function(function) => {
                form.call = Some(function);
                form.arguments = std::mem::take(&mut form.columns);
            }
        }
        form
    }
}

impl TryFrom<HandOnForm> for HandOn {
    type Error = &'static str;

    fn try_from(form: HandOnForm) -> Result<Self, Self::Error> {
        let HandOnForm {
            into,
            call,
            outbox,
            columns,
            arguments,
        } = form;
        match (into, call, outbox) {
            (Some(table), None, None) if arguments.is_empty() => Ok(Self {
                to: Target::Table(table),
                columns,
            }),
            (None, Some(function), None) if columns.is_empty() => Ok(Self {
                to: Target::Function(function),
                columns: arguments,
            }),
            (None, None, Some(topic)) if arguments.is_empty() => Ok(Self {
                to: Target::Outbox(match topic {
                    Topic::OfTable(true) => None,
                    Topic::OfTable(false) => return Err("`outbox` is true or a topic"),
                    Topic::Named(topic) => Some(topic),
                }),
                columns,
            }),
            _ => Err("give `into` or `outbox` with `columns`, or `call` with `arguments`"),
        }
    }
}
