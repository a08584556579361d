//! Checks the fields of an expression. Errors name the field and the invalid character.

/// Checks an expression.
///
/// # Errors
///
/// Returns the problem and its field.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let trimmed = expression.trim();
    if expression.chars().count() > MAX_LENGTH {
        return Err(format!("is longer than {MAX_LENGTH} characters"));
    }
    if trimmed.starts_with('@') {
        let known = NICKNAMES
            .iter()
            .any(|name| name.eq_ignore_ascii_case(trimmed));
        return if known {
            Ok(())
        } else {
            Err(format!("is none of {}", NICKNAMES.join(", ")))
        };
    }
    let texts: Vec<&str> = trimmed.split_whitespace().collect();
    let fields = match texts.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => {
            let fields = if count == 1 { "field" } else { "fields" };
            return Err(format!(
                "has {count} {fields}; give five: minute, hour, day of month, month, day of week, or six with the second in front"
            ));
        }
    };
    for (field, text) in fields.iter().zip(texts) {
        for item in text.split(',') {
            field.check(item, text)?;
        }
    }
    Ok(())
}

/// One field of an expression.
struct Field {
    name: &'static str,
    first: u16,
    last: u16,
    names: &'static [&'static str],
}

impl Field {
    /// Checks one item of the list that is the field's `text`.
    fn check(&self, item: &str, text: &str) -> Result<(), String> {
        let name = self.name;
        if item.is_empty() {
            return Err(if text.is_empty() {
                format!("{name} is empty")
            } else {
                format!("{name} {text:?} has a comma with nothing beside it")
            });
        }
        if item.eq_ignore_ascii_case("LW")
            && text.split(',').any(|other| other.eq_ignore_ascii_case("L"))
        {
            return Err(format!(
                "{name} {text} has L beside LW, of which only one can be meant"
            ));
        }
        if self.is_special(item)? {
            return Ok(());
        }
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        if range != "*" {
            match range.split_once('-') {
                Some((from, to)) => {
                    let (from_value, to_value) = (self.value(from, text)?, self.value(to, text)?);
                    // Sunday both begins and ends a week.
                    let sunday = self.name == DAY_OF_WEEK && to.eq_ignore_ascii_case("SUN");
                    if from_value > to_value && !sunday {
                        return Err(format!("{name} {range} runs backwards"));
                    }
                    // As an end, SUN is read as 7.
                    if from_value == 0 && sunday {
                        return Err(format!(
                            "{name} {range} is a whole week; write * for that, or SUN for the day"
                        ));
                    }
                }
                None if range.is_empty() => {
                    return Err(format!("{name} {item} steps from nothing; write *{item}"));
                }
                None if step.is_some() => {
                    return Err(format!(
                        "{name} {item} steps from a single value; write {range}-{}/{} for a step from there",
                        self.last,
                        step.unwrap_or_default()
                    ));
                }
                None => drop(self.value(range, text)?),
            }
        }
        if let Some(step) = step {
            match digits(step) {
                Some(0) => return Err(format!("{name} {item} steps by zero")),
                Some(step) if step > self.last => {
                    return Err(format!(
                        "{name} steps by {step}, beyond its {}",
                        self.bounds()
                    ));
                }
                Some(_) => {}
                None => {
                    return Err(format!(
                        "{name} {item} steps by {step:?}, which is no number"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns whether it is a valid form with a letter or a `#`.
    fn is_special(&self, item: &str) -> Result<bool, String> {
        let upper = item.to_ascii_uppercase();
        if self.name == DAY_OF_MONTH {
            if upper == "L" || upper == "LW" {
                return Ok(true);
            }
            if let Some(day) = upper.strip_suffix('W') {
                return self.value(day, item).map(|_| true);
            }
        }
        if self.name == DAY_OF_WEEK {
            if let Some((day, nth)) = upper.split_once('#') {
                self.value(day, item)?;
                return match digits(nth) {
                    Some(1..=5) => Ok(true),
                    _ => Err(format!(
                        "{} {item}: after # stands which one of the month, 1-5",
                        self.name
                    )),
                };
            }
            if let Some(day) = upper.strip_suffix('L').filter(|day| !day.is_empty()) {
                return self.value(day, item).map(|_| true);
            }
        }
        Ok(false)
    }

    fn value(&self, text: &str, field: &str) -> Result<u16, String> {
        let name = self.name;
        let named = self.names.iter().zip(self.first..);
        if let Some((_, value)) = named
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            return Ok(value);
        }
        match digits(text) {
            Some(value) if (self.first..=self.last).contains(&value) => Ok(value),
            Some(_) => Err(format!("{name} {text} is not within {}", self.bounds())),
            None if text.is_empty() => Err(format!(
                "{name} {field:?} has a sign with nothing beside it"
            )),
            None => {
                // The error shows a value of letters whole, and a stray character alone.
                let stray = text.chars().find(|c| !c.is_ascii_alphanumeric());
                match stray {
                    Some(stray) => Err(format!(
                        "{name} {field:?} holds {stray:?}, which is not known there"
                    )),
                    None => Err(format!("{name} {text:?} is not within {}", self.bounds())),
                }
            }
        }
    }

    fn bounds(&self) -> String {
        let numbers = format!("{}-{}", self.first, self.last);
        match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!("{numbers} or {first}-{last}"),
            _ => numbers,
        }
    }
}

/// Parses an unsigned number. Numbers beyond `u16` saturate.
fn digits(text: &str) -> Option<u16> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().unwrap_or(u16::MAX))
}

const DAY_OF_MONTH: &str = "day of month";
const DAY_OF_WEEK: &str = "day of week";

const FIELDS: [Field; 6] = [
    field("second", 0, 59, &[]),
    field("minute", 0, 59, &[]),
    field("hour", 0, 23, &[]),
    field(DAY_OF_MONTH, 1, 31, &[]),
    field(
        "month",
        1,
        12,
        &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    ),
    field(
        DAY_OF_WEEK,
        0,
        7,
        &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ),
];

const fn field(name: &'static str, first: u16, last: u16, names: &'static [&'static str]) -> Field {
    Field {
        name,
        first,
        last,
        names,
    }
}

const NICKNAMES: [&str; 6] = [
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];

/// Maximum characters of an expression.
const MAX_LENGTH: usize = 200;

#[cfg(test)]
mod tests;
