//! A value that holds a bounded number of others, whatever type it is read as: some are read whole
//! before anybody knows what they are.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The largest whole number below which a float holds every one.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Entries of an object within a request: thresholds, of which there is one per branch.
const ENTRIES_MAX: usize = 64;

/// What an error about a list's length begins with.
pub(super) const TOO_MANY: &str = "more than";

/// How much a value may still hold: its lists share their items, its objects their entries.
pub(super) struct Room {
    items: Places,
    entries: Places,
}

impl Room {
    /// For so many items.
    pub(super) fn new(items_max: usize) -> Self {
        let places = |what, most| Places { what, most, left: Cell::new(most) };
        Self { items: places("items", items_max), entries: places("entries", ENTRIES_MAX) }
    }
}

/// Room for values of one kind.
struct Places {
    what: &'static str,
    most: usize,
    left: Cell<usize>,
}

impl Places {
    /// The next value, for which there is a place before anything in it is read, or else an error if
    /// there is one beyond.
    fn next<A, T, E: Error>(
        &self,
        values: &mut A,
        next: impl FnOnce(&mut A) -> Result<Option<T>, E>,
        beyond: impl FnOnce(&mut A) -> Result<Option<IgnoredAny>, E>,
    ) -> Result<Option<T>, E> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return match beyond(values)? {
                None => Ok(None),
                Some(_) => Err(E::custom(format!("{TOO_MANY} {} {}", self.most, self.what))),
            };
        };
        self.left.set(left);
        let value = next(values)?;
        if value.is_none() {
            self.left.set(self.left.get() + 1);
        }
        Ok(value)
    }
}

/// What reads a value, at each of the steps that serde takes to it.
pub(super) struct Bounded<'a, I> {
    inner: I,
    room: &'a Room,
}

impl<'a, I> Bounded<'a, I> {
    /// With so much room.
    pub(super) fn new(inner: I, room: &'a Room) -> Self {
        Self { inner, room }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Bounded::new(json, self.room))
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Bounded::new(visitor, self.room))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Bounded::new(visitor, self.room))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(value)
    }

    /// To JSON Schema 2.0 is an integer; whoever takes a float takes an integer too.
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        match value.fract() == 0.0 && (0.0..WHOLE_MAX).contains(&value) {
            true => self.inner.visit_u64(value as u64),
            false => self.inner.visit_f64(value),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.inner.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.inner.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.inner.visit_string(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Bounded::new(json, self.room))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Items { items, room: self.room })
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Entries { entries, room: self.room })
    }
}

/// The items of a list, as far as there is room for them.
struct Items<'a, A> {
    items: A,
    room: &'a Room,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        let seed = Bounded::new(seed, self.room);
        let next = |items: &mut A| items.next_element_seed(seed);
        self.room.items.next(&mut self.items, next, A::next_element)
    }
}

/// The entries of an object, as far as there is room for them.
struct Entries<'a, A> {
    entries: A,
    room: &'a Room,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let next = |entries: &mut A| entries.next_key_seed(seed);
        self.room.entries.next(&mut self.entries, next, A::next_key)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.entries.next_value_seed(Bounded::new(seed, self.room))
    }
}
