//! Parts that a file writes as a text or as a table. An error names what is wrong in the table.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Reads a text, or a table of the form `M`.
pub(super) fn text_or_table<'de, D, M, T>(
    source: D,
    expecting: &'static str,
    of_text: fn(String) -> T,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    M: Deserialize<'de> + TryInto<T, Error: fmt::Display>,
{
    source.deserialize_any(TextOrTable {
        expecting,
        of_text,
        table: PhantomData::<M>,
    })
}

struct TextOrTable<T, M> {
    expecting: &'static str,
    of_text: fn(String) -> T,
    table: PhantomData<M>,
}

impl<'de, T, M> Visitor<'de> for TextOrTable<T, M>
where
    M: Deserialize<'de> + TryInto<T, Error: fmt::Display>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.of_text)(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        let table = M::deserialize(MapAccessDeserializer::new(entries))?;
        table.try_into().map_err(A::Error::custom)
    }
}
