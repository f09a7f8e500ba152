//! A form instead of JSON: pictures as files, the other fields by name.

use std::convert::Infallible;

use axum::body::Bytes;
use futures_util::FutureExt;
use futures_util::stream::once;
use multer::Multipart;
use serde_json::{Map, Value};

use crate::config::Config;
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
/// If it is no form, a field occurs more often than it may, or a text is not UTF-8.
pub(crate) fn read(body: Bytes, boundary: String, config: &Config) -> Result<Form, Problem> {
    let body = once(async move { Ok::<_, Infallible>(body) });
    // All of it is here, so there is nothing to wait for.
    let form = parts(Multipart::new(body, boundary), config).now_or_never();
    form.unwrap_or_else(|| Err(Problem::new(Code::MalformedBody, "the form does not end")))
}

async fn parts(mut form: Multipart<'_>, config: &Config) -> Result<Form, Problem> {
    let (mut fields, mut files) = (Map::new(), Vec::new());
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_owned();
        let content = field.bytes().await.map_err(malformed)?;
        if name != "image" {
            add(&mut fields, &name, text(&name, &content)?, config)?;
            continue;
        }
        if files.len() == config.images_max {
            return Err(too_many("image", config.images_max));
        }
        files.push(content);
    }
    Ok(Form { fields: Value::Object(fields), files })
}

/// A field's text, which as in JSON is UTF-8.
fn text(name: &str, content: &[u8]) -> Result<String, Problem> {
    std::str::from_utf8(content).map(str::to_owned).map_err(|error| {
        Problem::new(Code::MalformedBody, format!("the text is not UTF-8: {error}")).about(name)
    })
}

fn add(
    fields: &mut Map<String, Value>,
    name: &str,
    text: String,
    config: &Config,
) -> Result<(), Problem> {
    if name == LIST {
        let list = fields.entry(LIST).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            if list.len() == config.hypotheses_max {
                return Err(too_many(LIST, config.hypotheses_max));
            }
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

fn too_many(field: &str, most: usize) -> Problem {
    Problem::invalid(format!("{field} occurs more than {most} times"))
}

fn malformed(error: multer::Error) -> Problem {
    Problem::new(Code::MalformedBody, error.to_string())
}
