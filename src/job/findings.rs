//! Findings of a rule's check against its database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything a check of a rule found, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Findings {
    /// Faults that keep the rule from running.
    pub refused: Vec<Finding>,
    /// Advice that would improve it.
    pub advice: Vec<Finding>,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// The part, such as `due` or `unless payments`.
    pub part: String,
    /// The problem, and its remedy.
    pub text: String,
    /// A statement that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

impl Findings {
    pub(crate) fn with_advice(&self, advice: &[Finding]) -> Self {
        let mut findings = self.clone();
        findings.advice.extend_from_slice(advice);
        findings
    }

    /// Adds advice, unless its statement was given before.
    #[cfg(feature = "_store")]
    pub(crate) fn advise_once(&mut self, finding: Option<Finding>) {
        let is_new = |new: &Finding| self.advice.iter().all(|old| old.statement != new.statement);
        self.advice.extend(finding.filter(is_new));
    }

    /// Returns whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.advice.is_empty()
    }
}

impl Finding {
    pub(crate) fn new(rule: &str, part: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            part: part.into(),
            text: text.into(),
            statement: None,
        }
    }

    #[cfg(any(feature = "_store", test))]
    pub(crate) fn mend(mut self, statement: impl Into<String>) -> Self {
        self.statement = Some(statement.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`, {}: {}", self.rule, self.part, self.text)?;
        match &self.statement {
            Some(statement) => write!(f, "; run `{statement}`"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Findings {
    /// Writes a line for each finding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.refused {
            writeln!(f, "refused: {finding}")?;
        }
        for finding in &self.advice {
            writeln!(f, "advice: {finding}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_with_its_statement() {
        let finding =
            Finding::new("a", "due", "no index serves the order").mend("create index x on t (y)");
        let findings = Findings {
            refused: vec![Finding::new("a", "table", "there is no table `t`")],
            advice: vec![finding],
        };

        assert_eq!(
            findings.to_string(),
            "refused: rule `a`, table: there is no table `t`\n\
             advice: rule `a`, due: no index serves the order; run `create index x on t (y)`\n"
        );
    }
}
