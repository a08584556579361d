//! A report as text, in a sentence.

use std::fmt;

use crate::fmt::{quantity, span, thousands};
use crate::model::{Outcome, Report, Requester, Trigger};

impl Report {
    /// Describes the run in a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        let job = &self.job;
        let counts = &self.counts;
        let rejected = match self.rejected_count {
            0 => String::new(),
            count => format!(", {} rejected", thousands(count)),
        };
        match &self.outcome {
            Outcome::Completed => format!("{job} handled {counts}{rejected}"),
            Outcome::Crashed { .. } => {
                format!(
                    "{job} {} (known to be handled: {counts}{rejected})",
                    self.outcome
                )
            }
            outcome => format!("{job} {outcome} (handled {counts}{rejected})"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {}{}, {} in {}",
            self.message(),
            self.scope,
            self.trigger,
            Requester::by(&self.requested_by),
            quantity(self.batches, "batch", "batches"),
            span(self.elapsed),
        )?;
        let due = self
            .forecast
            .map(|forecast| forecast.due)
            .unwrap_or_default();
        if due.count > 0 {
            write!(f, ", {due} still due")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { error, .. } => write!(f, "failed: {error}"),
            Self::Crashed { reason, .. } => write!(f, "crashed: {reason}"),
            Self::Cancelled { by: Some(by) } => write!(f, "cancelled by {by}"),
            other => f.pad(other.as_str()),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Retry => "retry",
            Self::Deadline => "deadline",
            Self::Tick => "tick",
            Self::Start => "start",
            Self::Manual => "manual",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::job::{BoundedCount, Counts, Forecast, Scope};
    use crate::model::FailureKind;

    #[test]
    fn each_way_to_end_reads_as_a_sentence() {
        let (error, reason) = ("away".to_owned(), "bug".to_owned());
        let outcomes = [
            Outcome::Completed,
            Outcome::failed(FailureKind::Job, error),
            Outcome::Crashed {
                reason,
                rows_at_least: 0,
            },
            Outcome::Cancelled {
                by: Some("anna".into()),
            },
            Outcome::TimedOut,
            Outcome::ShuttingDown,
        ];
        let messages = outcomes
            .clone()
            .map(|outcome| Report { outcome, ..blank() }.message());
        let words = outcomes.each_ref().map(Outcome::as_str);
        let success = outcomes.map(|outcome| Report { outcome, ..blank() }.success());

        assert_eq!(
            messages,
            [
                "sweeper handled nothing",
                "sweeper failed: away (handled nothing)",
                "sweeper crashed: bug (known to be handled: nothing)",
                "sweeper cancelled by anna (handled nothing)",
                "sweeper timed out (handled nothing)",
                "sweeper shutting down (handled nothing)",
            ]
        );
        assert_eq!(
            words,
            [
                "completed",
                "failed",
                "crashed",
                "cancelled",
                "timed out",
                "shutting down"
            ]
        );
        assert_eq!(success, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_report_is_shown_with_its_scope_reason_and_length() {
        let report = Report {
            batches: 1,
            elapsed: Duration::from_micros(1_500),
            rejected_count: 2,
            ..blank()
        };

        assert_eq!(
            report.to_string(),
            "sweeper handled nothing, 2 rejected (all, tick, 1 batch in 1ms)"
        );
        assert_eq!(report.run.to_string().len(), 36);
        let long = Report {
            requested_by: vec!["anna".into(), "ben".into()],
            batches: 1_234,
            elapsed: Duration::from_secs(200),
            counts: counts(123_456),
            rejected_count: 1_000,
            forecast: Some(Forecast {
                due: BoundedCount::from_probe(20_000),
                ..Forecast::default()
            }),
            ..report
        };
        assert_eq!(
            long.to_string(),
            "sweeper handled 123,456 drafts, 1,000 rejected (all, tick by anna and ben, 1,234 batches in 3m 20s, 10,000+ still due)"
        );
        assert_eq!(
            long.message(),
            "sweeper handled 123,456 drafts, 1,000 rejected"
        );
    }

    fn counts(drafts: u64) -> Counts {
        let mut counts = Counts::default();
        counts.add("drafts", drafts);
        counts
    }

    fn blank() -> Report {
        Report::blank(
            "sweeper".into(),
            Scope::All,
            Trigger::Tick,
            DateTime::UNIX_EPOCH,
        )
    }
}
