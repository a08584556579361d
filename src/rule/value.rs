//! Values: constants, and new values of columns.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::sql::Sql;

/// A constant. It is a literal in the statement, so that a partial index can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a constant: true, false, a number or a text")]
#[non_exhaustive]
pub enum Literal {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text, or a value that the column's type reads from one: a UUID, an enum's label, a date.
    Text(String),
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Literal {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Literal {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Literal {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Literal {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Literal {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// A value for a column or for an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "ValueForm")]
#[non_exhaustive]
pub enum Value {
    /// A constant.
    Constant(Literal),
    /// NULL.
    Null,
    /// The instant of the run, in the form of the column.
    Now,
    /// This long after the instant of the run.
    NowPlus(Duration),
    /// A column of the row.
    Column(String),
    /// An expression over the row.
    Sql(Sql),
    /// One JSON object of these fields. Only for rows that are handed on.
    Json(BTreeMap<String, Value>),
    /// The row's key as text. Only for rows that are handed on.
    Key,
    /// A text that identifies this change of this row: the rule, the table of a child, the key, and
    /// the instant of the run. The second part of a rule that hands on ends its texts in `:2`,
    /// where the parts of children follow those of the rule. Only for rows that are handed on and
    /// have a key.
    IdempotencyKey,
}

/// Returns the value of a column of the row.
pub fn column(name: impl Into<String>) -> Value {
    Value::Column(name.into())
}

impl<T: Into<Literal>> From<T> for Value {
    fn from(value: T) -> Self {
        Self::Constant(value.into())
    }
}

impl From<Sql> for Value {
    fn from(sql: Sql) -> Self {
        Self::Sql(sql)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a constant, or one of `null`, `now`, `now_plus`, `column`, `sql`, `json`, `key` and `idempotency_key`")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        let value = i64::try_from(value).map_err(E::custom)?;
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Value, A::Error> {
        let other = Other::deserialize(MapAccessDeserializer::new(entries))?;
        other.try_into().map_err(A::Error::custom)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueForm {
    Constant(Literal),
    Other(Other),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Other {
    Null(bool),
    Now(bool),
    #[serde(with = "crate::time::span")]
    NowPlus(Duration),
    Column(String),
    Sql(Sql),
    Json(BTreeMap<String, Value>),
    Key(bool),
    IdempotencyKey(bool),
}

impl TryFrom<Other> for Value {
    type Error = &'static str;

    fn try_from(other: Other) -> Result<Self, Self::Error> {
        Ok(match other {
            Other::Null(true) => Self::Null,
            Other::Now(true) => Self::Now,
            Other::NowPlus(span) => Self::NowPlus(span),
            Other::Column(name) => Self::Column(name),
            Other::Sql(sql) => Self::Sql(sql),
            Other::Json(fields) => Self::Json(fields),
            Other::Key(true) => Self::Key,
            Other::IdempotencyKey(true) => Self::IdempotencyKey,
            _ => {
                return Err("`null`, `now`, `key` and `idempotency_key` are true");
            }
        })
    }
}

impl From<Value> for ValueForm {
    fn from(value: Value) -> Self {
        Self::Other(match value {
            Value::Constant(literal) => return Self::Constant(literal),
            Value::Null => Other::Null(true),
            Value::Now => Other::Now(true),
            Value::NowPlus(span) => Other::NowPlus(span),
            Value::Column(name) => Other::Column(name),
            Value::Sql(sql) => Other::Sql(sql),
            Value::Json(fields) => Other::Json(fields),
            Value::Key => Other::Key(true),
            Value::IdempotencyKey => Other::IdempotencyKey(true),
        })
    }
}
