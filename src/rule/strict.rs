//! Reads a file's values as they are written: nothing is given twice, or changed silently.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value of a file, at its path. Notes the first fault, so that the error can name the rule.
pub(super) struct Strict<'f> {
    path: String,
    /// The first fault.
    fault: &'f RefCell<Option<Fault>>,
}

/// A path, and the problem there.
pub(super) type Fault = (String, String);

impl<'f> Strict<'f> {
    pub(super) const fn new(fault: &'f RefCell<Option<Fault>>) -> Self {
        Self {
            path: String::new(),
            fault,
        }
    }

    fn at(&self, path: String) -> Self {
        Self {
            path,
            fault: self.fault,
        }
    }

    fn fault(&self, problem: &str) -> Value {
        let fault = || (self.path.clone(), problem.to_owned());
        self.fault.borrow_mut().get_or_insert_with(fault);
        Value::Null
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a rule")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| self.fault(TOO_LARGE), Value::from))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(if !value.is_finite() {
            self.fault("it is no number that both databases know: give it as a text")
        } else if value.abs() >= BEYOND && value.fract() == 0.0 {
            // JSON makes a fraction of a whole number that is too large.
            self.fault(TOO_LARGE)
        } else {
            value.into()
        })
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        self.deserialize(source)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        loop {
            let seed = self.at(format!("{}[{}]", self.path, all.len()));
            match values.next_element_seed(seed)? {
                Some(value) => all.push(value),
                None => return Ok(all.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let dot = if self.path.is_empty() { "" } else { "." };
            let seed = self.at(format!("{}{dot}{key}", self.path));
            if all.contains_key(&key) {
                seed.fault("it is given twice");
            }
            let value = entries.next_value_seed(seed)?;
            if key == TOML_DATE {
                return Ok(self.fault(
                    "it is a date: give it as a text, in the form in which the column holds it",
                ));
            }
            all.insert(key, value);
        }
        Ok(all.into())
    }
}

const TOO_LARGE: &str = "it is a whole number of more than 64 bits: give it as a text";

/// Two to the 63rd.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

/// The key under which `toml` gives the text of a date.
const TOML_DATE: &str = "$__toml_private_datetime";
