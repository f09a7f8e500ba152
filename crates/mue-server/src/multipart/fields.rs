//! What the texts of a form mean.

use serde_json::{Map, Value};

use super::too_many;
use crate::json;
use crate::problem::Problem;

/// Fields whose text is meant as it stands, even if it looks like a number.
const TEXTS: [&str; 2] = ["hypothesis", PREMISE];

/// A text that may as well not be there, as an empty field of a page.
const PREMISE: &str = "premise";

/// The field that may occur several times, beside `image`.
const LIST: &str = "hypotheses";

/// Bytes of a field that is a number, a word or thresholds: what it is as JSON is parsed whole.
const VALUE_BYTES_MAX: usize = 4096;

/// Fields that are true or false.
const SWITCHES: [&str; 2] = ["stream", "trace"];

/// The fields so far, as JSON would have them.
pub(super) struct FormFields {
    fields: Map<String, Value>,
    hypotheses_max: usize,
    /// A field that was a list, as it was written: if there is another, it was a sentence.
    list: Option<String>,
}

impl FormFields {
    /// None yet.
    pub(super) fn new(hypotheses_max: usize) -> Self {
        Self { fields: Map::new(), hypotheses_max, list: None }
    }

    /// Adds a field, unless it is left empty.
    ///
    /// # Errors
    ///
    /// If it is there more often than it may be, or too long.
    pub(super) fn add(&mut self, name: &str, text: String) -> Result<(), Problem> {
        if name == LIST {
            return self.add_hypotheses(text);
        }
        let is_text = TEXTS.contains(&name);
        if text.trim_ascii().is_empty() && (!is_text || name == PREMISE) {
            return Ok(());
        }
        let value = if is_text { Value::String(text) } else { value(name, text)? };
        match self.fields.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => {
                let several = format!("; send several as `{LIST}`, repeated");
                let remedy = if name == "hypothesis" { several.as_str() } else { "" };
                Err(Problem::invalid(format!("{name} occurs twice{remedy}")))
            }
        }
    }

    /// Adds one hypothesis, or those of a list in JSON if it is the only field: else what is sentence
    /// and what is answer would not be told apart.
    fn add_hypotheses(&mut self, text: String) -> Result<(), Problem> {
        let most = self.hypotheses_max;
        let list = self.fields.entry(LIST).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else { return Ok(()) };
        if let Some(first) = self.list.take() {
            *list = vec![Value::String(first)];
        } else if list.is_empty()
            && let Some(read) = json::texts(&text, most)
        {
            let hypotheses = read.map_err(|_| too_many(LIST, most))?;
            list.extend(hypotheses.into_iter().map(Value::String));
            self.list = Some(text);
            return Ok(());
        }
        if list.len() >= most {
            return Err(too_many(LIST, most));
        }
        list.push(Value::String(text));
        Ok(())
    }
}

impl From<FormFields> for Value {
    fn from(fields: FormFields) -> Self {
        Self::Object(fields.fields)
    }
}

/// `auto` is no JSON, `1` and `{"quality": 0.99}` are. Nothing is said by leaving a field out, not
/// by `null`.
fn value(name: &str, text: String) -> Result<Value, Problem> {
    if text.len() > VALUE_BYTES_MAX {
        let detail = format!("the value has more than {VALUE_BYTES_MAX} bytes");
        return Err(Problem::invalid(detail).about(name));
    }
    if let Some(switch) = switch(&text).filter(|_| SWITCHES.contains(&name)) {
        return Ok(Value::Bool(switch));
    }
    Ok(match serde_json::from_str(&text) {
        Ok(Value::Null) | Err(_) => Value::String(text.trim_ascii().to_owned()),
        Ok(value) => value,
    })
}

/// As forms of many languages write it.
fn switch(text: &str) -> Option<bool> {
    match text.trim_ascii().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Value, String> {
        let mut form = FormFields::new(3);
        for (name, text) in fields {
            form.add(name, (*text).to_owned()).map_err(|problem| problem.detail)?;
        }
        Ok(form.into())
    }

    #[test]
    fn a_switch_is_written_in_many_ways() {
        for (text, is_on) in [
            ("true", true),
            ("True", true),
            ("TRUE", true),
            ("1", true),
            ("False", false),
            ("0", false),
        ] {
            assert_eq!(read(&[("stream", text)]), Ok(json!({"stream": is_on})), "{text}");
        }
        assert_eq!(read(&[("exit", " off\r\n")]), Ok(json!({"exit": "off"})));
        assert_eq!(read(&[("trace", "yes")]), Ok(json!({"trace": "yes"})));
        assert_eq!(read(&[("beam_size", "1")]), Ok(json!({"beam_size": 1})));
    }

    #[test]
    fn what_is_left_empty_is_not_given() {
        let empty = [("exit", ""), ("beam_size", " "), ("premise", ""), ("beam_size", "2")];
        assert_eq!(read(&empty), Ok(json!({"beam_size": 2})));
        let sentences = [("hypothesis", ""), ("hypotheses", "")];
        assert_eq!(read(&sentences), Ok(json!({"hypothesis": "", "hypotheses": [""]})));
    }

    #[test]
    fn a_value_is_short_and_a_text_may_be_long() {
        let list = format!("[{}0]", "0,".repeat(5000));
        for name in ["beam_size", "exit", "stream"] {
            let refused = read(&[(name, list.as_str())]).unwrap_err();
            assert_eq!(refused, format!("{name}: the value has more than 4096 bytes"));
        }
        assert_eq!(read(&[("premise", list.as_str())]), Ok(json!({"premise": list})));
    }

    #[test]
    fn hypotheses_are_repeated_or_one_list() {
        let repeated = [("hypotheses", "[a]"), ("hypotheses", "12"), ("hypotheses", "[1]")];
        assert_eq!(read(&repeated), Ok(json!({"hypotheses": ["[a]", "12", "[1]"]})));
        let list = ("hypotheses", r#"["a", "b"]"#);
        assert_eq!(read(&[list]), Ok(json!({"hypotheses": ["a", "b"]})));
        let sentences = json!({"hypotheses": [list.1, "c", list.1]});
        assert_eq!(read(&[list, ("hypotheses", "c"), list]), Ok(sentences));
        let empty = ("hypotheses", "[]");
        assert_eq!(read(&[empty, empty]), Ok(json!({"hypotheses": ["[]", "[]"]})));
        // Nobody gets as far as the end, which is missing.
        let endless = read(&[("hypotheses", r#"["a", "b", "c", "d", "#)]).unwrap_err();
        assert!(endless.contains("hypotheses occurs more than 3 times"), "{endless}");
        let refused = read(&[("hypotheses", "a"); 4]).unwrap_err();
        assert!(refused.contains("hypotheses occurs more than 3 times"), "{refused}");
        let refused = read(&[("hypothesis", "a"), ("hypothesis", "b")]).unwrap_err();
        assert!(refused.contains("send several as `hypotheses`"), "{refused}");
        assert_eq!(read(&[("exit", "off"), ("exit", "off")]), Err("exit occurs twice".into()));
    }
}
