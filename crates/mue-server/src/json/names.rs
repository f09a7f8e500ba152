//! The names of an object's fields.

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

/// The names that a type's fields have in JSON; none for a type that is no object by itself.
pub(crate) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Names) {
        Err(Found(names)) => names,
        Ok(_) => &[],
    }
}

/// Reads nothing: it is told the names before anything is read, and ends with them.
struct Names;

/// The names, in place of an error.
#[derive(Debug)]
struct Found(&'static [&'static str]);

impl<'de> Deserializer<'de> for Names {
    type Error = Found;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Found> {
        Err(Found(fields))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Found> {
        Err(Found(&[]))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value")
    }
}

impl std::error::Error for Found {}

impl serde::de::Error for Found {
    fn custom<D: fmt::Display>(_message: D) -> Self {
        Self(&[])
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn they_are_those_of_the_type() {
        #[derive(Deserialize)]
        struct Asked {
            #[serde(rename = "image")]
            _picture: String,
            #[serde(rename = "stream")]
            _stream: Option<bool>,
        }
        assert_eq!(names::<Asked>(), ["image", "stream"]);
        assert!(names::<String>().is_empty());
    }
}
