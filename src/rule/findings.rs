//! What a check of a rule against its database found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything a check of a rule found, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Findings {
    /// What the rule cannot run with.
    pub refused: Vec<Finding>,
    /// What would make it better.
    pub advice: Vec<Finding>,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// The part, such as `due` or `unless payments`.
    pub part: String,
    /// What is wrong, and what would be right.
    pub text: String,
    /// A statement that mends it.
    pub statement: Option<String>,
}

#[cfg(any(feature = "_store", test))]
impl Finding {
    pub(crate) fn new(rule: &str, part: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            part: part.into(),
            text: text.into(),
            statement: None,
        }
    }

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

/// The name among `known` that is most likely meant by `given`.
#[cfg(any(feature = "_store", test))]
pub(crate) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (distance(&given.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

/// The single characters to add, drop or change between two texts.
#[cfg(any(feature = "_store", test))]
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let known = ["created_at", "updated_at", "status"];
        let near = |given| nearest(given, known.into_iter());

        assert_eq!(near("createdAt"), Some("created_at"));
        assert_eq!(near("stats"), Some("status"));
        assert_eq!(near("payload"), None);
    }

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
