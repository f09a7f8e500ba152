//! A form instead of JSON: pictures as files, the other fields by name.

use std::convert::Infallible;

use axum::body::Bytes;
use futures_util::stream::once;
use multer::Multipart;
use serde_json::{Map, Value};

use crate::problem::{Code, Problem};

/// A form, taken apart.
pub(crate) struct Form {
    /// The fields as JSON would have them.
    pub(crate) fields: Value,
    /// The `image` fields.
    pub(crate) files: Vec<Bytes>,
}

/// Fields whose text is meant as it stands, even if it looks like a number.
const TEXTS: [&str; 2] = ["hypothesis", "premise"];

/// The field that may occur several times, beside `image`.
const LIST: &str = "hypotheses";

/// Takes a form apart.
///
/// # Errors
///
/// If it is no form, or a field occurs twice that may occur once.
pub(crate) async fn read(body: Bytes, boundary: String) -> Result<Form, Problem> {
    let body = once(async move { Ok::<_, Infallible>(body) });
    let mut form = Multipart::new(body, boundary);
    let (mut fields, mut files) = (Map::new(), Vec::new());
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "image" {
            files.push(field.bytes().await.map_err(malformed)?);
            continue;
        }
        let text = field.text().await.map_err(malformed)?;
        add(&mut fields, &name, text)?;
    }
    Ok(Form { fields: Value::Object(fields), files })
}

fn add(fields: &mut Map<String, Value>, name: &str, text: String) -> Result<(), Problem> {
    if name == LIST {
        let list = fields.entry(LIST).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(Value::String(text));
        }
        return Ok(());
    }
    let value = match TEXTS.contains(&name) {
        true => Value::String(text),
        // `auto` is no JSON, `1` and `{"quality": 0.99}` are. Nothing is said by leaving it out.
        false => match serde_json::from_str(&text) {
            Ok(Value::Null) | Err(_) => Value::String(text),
            Ok(value) => value,
        },
    };
    match fields.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Problem::invalid(format!("{name} occurs twice"))),
    }
}

fn malformed(error: multer::Error) -> Problem {
    Problem::new(Code::MalformedBody, error.to_string())
}
