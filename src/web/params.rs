//! Queries of histories and runs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::links::encoded;
use super::problem::Problem;
use crate::model::{HistoryCursor, HistoryQuery, OutcomeKind, RunId, RunRecord};

/// Which part of a history.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HistoryParams {
    /// The most lines of the history; 50 if not given.
    #[serde(deserialize_with = "number")]
    #[schemars(range(min = 1, max = 1000))]
    pub(super) limit: Option<NonZeroU32>,
    /// `next` of the page before.
    #[serde(deserialize_with = "cursor")]
    #[schemars(with = "Option<String>")]
    pub(super) after: Option<HistoryCursor>,
    /// Only runs that started at this instant, or in UTC on this date, or later.
    #[serde(deserialize_with = "instant")]
    #[schemars(with = "Option<String>")]
    pub(super) from: Option<DateTime<Utc>>,
    /// Only runs that started before this instant, or in UTC before this date.
    #[serde(deserialize_with = "instant")]
    #[schemars(with = "Option<String>")]
    pub(super) until: Option<DateTime<Utc>>,
    /// Only runs that ended in one of these ways, separated by commas.
    #[serde(deserialize_with = "outcomes")]
    pub(super) outcome: Vec<OutcomeKind>,
}

impl HistoryParams {
    /// Returns the length of the page.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let limit = self.limit.map_or(USUAL_HISTORY, NonZeroU32::get);
        if limit > LARGEST_HISTORY {
            return Err(Problem::unprocessable(format!(
                "a history of {limit} runs is too long; the longest has {LARGEST_HISTORY}"
            )));
        }
        Ok(limit)
    }

    pub(crate) fn query(&self) -> Result<HistoryQuery, Problem> {
        let limit = self.limit()?;
        if let (Some(from), Some(until)) = (self.from, self.until) {
            if until <= from {
                return Err(Problem::unprocessable("`until` must be after `from`"));
            }
        }
        Ok(HistoryQuery::newest(limit)
            .after(self.after.clone())
            .between(self.from, self.until)
            .outcomes(self.outcome.iter().copied()))
    }

    /// Writes the same part as a query, behind this cursor.
    pub(crate) fn text(&self, after: Option<&HistoryCursor>) -> String {
        let mut text = format!(
            "?limit={}",
            self.limit.map_or(USUAL_HISTORY, NonZeroU32::get)
        );
        for (name, at) in [("from", self.from), ("until", self.until)] {
            if let Some(at) = at {
                let _ = write!(text, "&{name}={}", encoded(&at.to_rfc3339()));
            }
        }
        if !self.outcome.is_empty() {
            let kinds: Vec<&str> = self.outcome.iter().map(|kind| kind.as_str()).collect();
            let _ = write!(text, "&outcome={}", encoded(&kinds.join(",")));
        }
        if let Some(after) = after {
            let _ = write!(text, "&after={}", encoded(&after.to_string()));
        }
        text
    }

    /// Returns whether this is the first page.
    pub(crate) fn is_first(&self) -> bool {
        self.after.is_none()
    }

    /// Returns whether not all runs are asked for.
    pub(crate) fn is_filtered(&self) -> bool {
        self.from.is_some() || self.until.is_some() || !self.outcome.is_empty()
    }

    /// Returns whether runs that ended so are asked for.
    pub(crate) fn has(&self, outcome: OutcomeKind) -> bool {
        self.outcome == [outcome]
    }

    /// Returns both ends of the range as fields of a form have them.
    pub(crate) fn dates(&self) -> [String; 2] {
        let date = |at: DateTime<Utc>| at.format("%Y-%m-%d").to_string();
        [self.from, self.until].map(|at| at.map(date).unwrap_or_default())
    }
}

/// How long to wait for the end of a run that is looked up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunParams {
    /// Seconds to wait for the end of the run; 0 if not given.
    #[schemars(range(max = 30))]
    wait: Option<u32>,
}

impl RunParams {
    /// Returns the wait; `None` for an answer at once.
    pub(crate) fn wait(&self) -> Result<Option<Duration>, Problem> {
        match self.wait {
            None | Some(0) => Ok(None),
            Some(seconds) => wait_of(seconds.into()).map(Some),
        }
    }
}

/// Returns the parameter of the path. The path above may have the host's, even of the same name.
pub(crate) async fn in_path<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let path = RawPathParams::from_request_parts(parts, state).await;
    let path = path.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let last = path.iter().filter(|(key, _)| *key == name).last();
    Ok(last.map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// The run that the path names.
pub(crate) struct RunPath(pub(crate) RunId);

impl<S: Send + Sync> FromRequestParts<S> for RunPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let run = in_path(parts, state, "run").await?;
        run.parse().map(Self).map_err(|_| {
            let detail = "a run is named by a UUID";
            Problem::new(StatusCode::NOT_FOUND, "unknown_run", detail)
        })
    }
}

pub(super) fn wait_of(seconds: u64) -> Result<Duration, Problem> {
    if seconds > LONGEST_WAIT {
        return Err(Problem::unprocessable(format!(
            "{seconds} seconds are too long to wait; the longest are {LONGEST_WAIT}"
        )));
    }
    Ok(Duration::from_secs(seconds))
}

/// A field of a form that was left empty says nothing.
fn filled<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(field)?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

pub(super) fn number<'de, D: Deserializer<'de>>(field: D) -> Result<Option<NonZeroU32>, D::Error> {
    let text = filled(field)?;
    text.map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

pub(super) fn cursor<'de, D: Deserializer<'de>>(
    field: D,
) -> Result<Option<HistoryCursor>, D::Error> {
    let text = filled(field)?;
    text.map(|text| {
        if RunRecord::is_key(&text) {
            return Ok(text.into());
        }
        Err(D::Error::custom("`after` is no `next` of a history"))
    })
    .transpose()
}

pub(super) fn instant<'de, D: Deserializer<'de>>(
    field: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = filled(field)? else {
        return Ok(None);
    };
    let at = match DateTime::parse_from_rfc3339(&text) {
        Ok(at) => Ok(at.to_utc()),
        Err(_) => text
            .parse::<NaiveDate>()
            .map(|date| date.and_time(chrono::NaiveTime::MIN).and_utc()),
    };
    // Years that each database knows, as RFC 3339 has them.
    let at = at.ok().filter(|at| (1..=9_999).contains(&at.year()));
    at.map(Some).ok_or_else(|| {
        D::Error::custom(format!(
            "{text:?} is no instant such as 2026-01-10T12:00:00Z, and no date"
        ))
    })
}

pub(super) fn outcomes<'de, D: Deserializer<'de>>(field: D) -> Result<Vec<OutcomeKind>, D::Error> {
    let Some(text) = filled(field)? else {
        return Ok(Vec::new());
    };
    let kinds = text.split(',').map(|word| {
        let kind = OutcomeKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| {
            let known = OutcomeKind::ALL.map(OutcomeKind::as_str).join(", ");
            D::Error::custom(format!("{word:?} is no outcome; those are {known}"))
        })
    });
    let kinds: Result<BTreeSet<_>, _> = kinds.collect();
    Ok(kinds?.into_iter().collect())
}

const USUAL_HISTORY: u32 = 50;
const LARGEST_HISTORY: u32 = 1_000;

/// Seconds. Shorter than the patience of most proxies.
const LONGEST_WAIT: u64 = 30;
