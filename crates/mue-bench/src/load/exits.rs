//! How requests are asked to exit.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Number, Value, json};

/// An exit setting: how the user wrote it, and how it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitSetting {
    name: String,
    value: Value,
}

/// Not an exit setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no exit setting; there are off, auto, quality=0.99, and thresholds such as \
     image=0.9+text=0.95+decoder=0.95"
)]
pub struct UnknownExit(String);

impl ExitSetting {
    /// As a field of a request.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// The branch whose threshold is all that is set; none where more is, or something else.
    pub fn only_branch(&self) -> Option<&str> {
        let mut keys = self.value.as_object()?.keys();
        let key = keys.next().filter(|key| *key != "quality")?;
        keys.next().is_none().then_some(key.as_str())
    }
}

impl fmt::Display for ExitSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for ExitSetting {
    type Err = UnknownExit;

    fn from_str(text: &str) -> Result<Self, UnknownExit> {
        let value = match text {
            "off" | "auto" => json!(text),
            _ => Value::Object(numbers(text).ok_or_else(|| UnknownExit(text.to_owned()))?),
        };
        Ok(Self { name: text.to_owned(), value })
    }
}

/// `quality=0.99`, or thresholds by branch.
fn numbers(text: &str) -> Option<Map<String, Value>> {
    let mut numbers = Map::new();
    for part in text.split('+') {
        let (key, value) = part.split_once('=')?;
        let known = ["quality", "image", "text", "decoder"].contains(&key);
        let value = Number::from_f64(value.parse().ok()?)?;
        if !known || numbers.insert(key.to_owned(), Value::Number(value)).is_some() {
            return None;
        }
    }
    // A quality chooses the thresholds itself.
    (numbers.len() == 1 || !numbers.contains_key("quality")).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sent_as_the_service_takes_them() {
        for (text, value) in [
            ("off", json!("off")),
            ("auto", json!("auto")),
            ("quality=0.99", json!({"quality": 0.99})),
            ("image=0.9+decoder=0.95", json!({"image": 0.9, "decoder": 0.95})),
        ] {
            let exit: ExitSetting = text.parse().unwrap();
            assert_eq!((exit.to_string().as_str(), exit.value()), (text, &value));
        }
    }

    #[test]
    fn a_threshold_alone_names_its_branch() {
        for (text, branch) in [
            ("off", None),
            ("quality=0.99", None),
            ("image=0.9", Some("image")),
            ("image=0.9+decoder=0.95", None),
        ] {
            let exit: ExitSetting = text.parse().unwrap();
            assert_eq!(exit.only_branch(), branch, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "on", "image", "image=x", "image=nan", "quality=1+text=1", "text=1+text=1"]
        {
            assert!(text.parse::<ExitSetting>().is_err(), "{text}");
        }
    }
}
