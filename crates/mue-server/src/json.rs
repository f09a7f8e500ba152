//! JSON as the contract has it: an object whose fields are named when they are wrong, with lists of
//! a bounded length.

mod bounded;
mod names;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Error, Value};

use self::bounded::{Bounded, Room};
use crate::problem::{Code, Problem};

pub(crate) use self::names::names;

/// Reads an object whose fields hold lists of so many items at most; at the first beyond, it stops.
///
/// # Errors
///
/// If it is no JSON, no object, or one of its fields is not as it should be.
pub(crate) fn from_slice<T: DeserializeOwned>(json: &[u8], items_max: usize) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(json);
    named(items_max, |object| {
        let fields = object.deserialize(&mut json)?;
        json.end().map(|()| fields)
    })
}

/// The same of JSON that is parsed already.
///
/// # Errors
///
/// As [`from_slice`].
pub(crate) fn from_value<T: DeserializeOwned>(json: Value, items_max: usize) -> Result<T, Problem> {
    named(items_max, |object| object.deserialize(json))
}

/// Reads a list of texts, unless it is none.
///
/// # Errors
///
/// If it has more than so many items; at the first beyond, it stops.
pub(crate) fn texts(json: &str, items_max: usize) -> Option<Result<Vec<String>, TooMany>> {
    if !json.trim_ascii_start().starts_with('[') {
        return None;
    }
    let (mut parsed, room) = (serde_json::Deserializer::from_str(json), Room::new(items_max));
    let list = Bounded::new(PhantomData::<Vec<String>>, &room).deserialize(&mut parsed);
    match list.and_then(|list| parsed.end().map(|()| list)) {
        Ok(list) => Some(Ok(list)),
        // Of an item that is no text the message differs.
        Err(error) if error.to_string().starts_with(bounded::TOO_MANY) => Some(Err(TooMany)),
        Err(_) => None,
    }
}

/// A list has more items than it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// A word for a value that has a name; serde would take a map of it as well.
///
/// # Errors
///
/// If it is no text, or no such name.
pub(crate) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(json)?.into_deserializer())
}

/// An object by its names; serde would take a list of its values as well.
///
/// # Errors
///
/// If it is no object, or its fields are wrong.
pub(crate) fn object<'de, D, T>(json: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    json.deserialize_map(Named(PhantomData))
}

/// Reads an object, and says which field an error is about.
fn named<T>(
    items_max: usize,
    read: impl FnOnce(Object<'_, T>) -> Result<T, Error>,
) -> Result<T, Problem> {
    let field = Cell::new(None);
    read(Object { items_max, field: &field, fields: PhantomData }).map_err(|error| {
        let field: Option<String> = field.take().filter(|_| error.is_data());
        let code = if error.is_data() { Code::InvalidRequest } else { Code::MalformedBody };
        let problem = Problem::new(code, error.to_string());
        match field {
            Some(field) => problem.about(&field),
            None => problem,
        }
    })
}

/// Takes a map, and nothing else.
struct Named<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Named<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// An object that is being read, and what is noted of it.
struct Object<'a, T> {
    items_max: usize,
    /// The field that is being read.
    field: &'a Cell<Option<String>>,
    fields: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Object<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Named(PhantomData::<T>).expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let Self { items_max, field, .. } = self;
        Named(PhantomData).visit_map(Noted { map, items_max, field })
    }
}

/// The fields of an object: each is noted while it is read.
struct Noted<'a, A> {
    map: A,
    items_max: usize,
    field: &'a Cell<Option<String>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Noted<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(name) = self.map.next_key::<String>()? else { return Ok(None) };
        let key = seed.deserialize(name.as_str().into_deserializer())?;
        self.field.set(Some(name));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        let room = Room::new(self.items_max);
        let value = self.map.next_value_seed(Bounded::new(seed, &room))?;
        self.field.set(None);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        list: Option<Vec<String>>,
        count: Option<usize>,
        share: Option<f64>,
        any: Option<Value>,
        #[serde(default, deserialize_with = "word")]
        colour: Colour,
        #[serde(default, deserialize_with = "object")]
        size: Size,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        #[default]
        Red,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Size {
        width: f64,
    }

    fn read(json: &str) -> Result<Asked, Problem> {
        from_slice(json.as_bytes(), 2)
    }

    #[test]
    fn an_object_is_read_and_whole_floats_are_integers() {
        let json = r#"{"list": ["a", "b"], "count": 2.0, "share": 1.0, "colour": "red", "size": {"width": 1}}"#;
        let asked = read(json).unwrap();
        assert_eq!((asked.list.unwrap().len(), asked.count, asked.share), (2, Some(2), Some(1.0)));
        assert_eq!(asked.size, Size { width: 1.0 });
        let parsed: Value = serde_json::from_str(json).unwrap();
        assert_eq!(from_value::<Asked>(parsed, 2).unwrap().count, Some(2));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, field) in [
            (r#"{"count": 1.5}"#, "count"),
            (r#"{"count": -1.0}"#, "count"),
            (r#"{"share": [0.5]}"#, "share"),
            (r#"{"list": "a"}"#, "list"),
            (r#"{"count": 1, "count": 1}"#, "count"),
            (r#"{"colour": null}"#, "colour"),
            (r#"{"colour": {"red": null}}"#, "colour"),
            (r#"{"colour": []}"#, "colour"),
            (r#"{"size": [1]}"#, "size"),
            (r#"{"size": {"width": null}}"#, "size"),
            (r#"{"other": 1}"#, "unknown field `other`"),
            (r#"[["a"], 1, 1, 1, "red", {"width": 1}]"#, "invalid type: sequence"),
        ] {
            let problem = read(json).unwrap_err();
            assert_eq!(problem.code, Code::InvalidRequest, "{json}");
            assert!(problem.detail.starts_with(field), "{json}: {}", problem.detail);
        }
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for json in ["", "{", r#"{"colour": "#, r#"{"count": 1} {}"#, r#"{"size": {"width": 1,}}"#]
        {
            let problem = read(json).unwrap_err();
            assert_eq!(problem.code, Code::MalformedBody, "{json}");
        }
    }

    #[test]
    fn a_list_is_read_to_the_first_item_too_many() {
        assert!(read(r#"{"list": ["a", "b"]}"#).is_ok());
        // Nobody gets as far as the end, which is missing.
        let problem = read(r#"{"list": ["a", "b", "c", "#).unwrap_err();
        assert_eq!(problem.code, Code::InvalidRequest);
        assert!(problem.detail.starts_with("list: more than 2 items"), "{problem:?}");
    }

    #[test]
    fn lists_and_objects_in_others_are_bounded_together() {
        let entries = (0..65).map(|entry| format!("\"{entry}\": 0, ")).collect::<String>();
        let (many, within) = (format!("{{{entries}"), format!("{{\"a\": {{{entries}"));
        for (value, found) in [
            (r#"{"a": [0, 0, 0, "#, "any: more than 2 items"),
            (r#"[[0, 0, "#, "any: more than 2 items"),
            (r#"{"a": [0], "b": [0], "c": [0, "#, "any: more than 2 items"),
            (many.as_str(), "any: more than 64 entries"),
            (within.as_str(), "any: more than 64 entries"),
        ] {
            let problem = read(&format!("{{\"any\": {value}")).unwrap_err();
            assert!(problem.detail.starts_with(found), "{value}: {}", problem.detail);
        }
        let fits = read(r#"{"any": {"a": [0], "b": [1], "c": 2}}"#).unwrap();
        assert_eq!(fits.any, Some(serde_json::json!({"a": [0], "b": [1], "c": 2})));
    }
}
