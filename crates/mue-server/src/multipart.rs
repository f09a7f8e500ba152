//! A form instead of JSON: pictures as files, the other fields by name.

mod fields;

use std::convert::Infallible;

use axum::body::Bytes;
use futures_util::FutureExt;
use futures_util::stream::once;
use multer::{Field, Multipart};
use serde_json::Value;

use self::fields::FormFields;
use crate::config::Config;
use crate::picture::{Picture, is_uri};
use crate::problem::{Code, Problem};

/// A form, taken apart.
pub(crate) struct Form {
    /// The fields as JSON would have them.
    pub(crate) fields: Value,
    /// The `image` fields.
    pub(crate) pictures: Vec<Picture>,
}

/// The fields that are pictures.
const IMAGE: &str = "image";

/// What JSON has pictures in and a form has not, where they are repeated.
const IMAGES: &str = "images";

/// Takes a form apart, whose fields may have these names.
///
/// # Errors
///
/// If it is no form, a field has another name or occurs more often than it may, or a text is not
/// UTF-8.
pub(crate) fn read(
    body: Bytes,
    boundary: String,
    names: &[&str],
    config: &Config,
) -> Result<Form, Problem> {
    let body = once(async move { Ok::<_, Infallible>(body) });
    // All of it is here, so there is nothing to wait for.
    let form = parts(Multipart::new(body, boundary), names, config).now_or_never();
    form.unwrap_or_else(|| Err(Problem::new(Code::MalformedBody, "the form does not end")))
}

async fn parts(mut form: Multipart<'_>, names: &[&str], config: &Config) -> Result<Form, Problem> {
    let (mut fields, mut pictures) = (FormFields::new(config.hypotheses_max), Vec::new());
    while let Some(part) = form.next_field().await.map_err(malformed)? {
        let name = name(&part, names)?;
        let file_name = part.file_name().map(str::to_owned);
        let content = part.bytes().await.map_err(malformed)?;
        if name != IMAGE {
            fields.add(&name, text(&name, &content)?)?;
            continue;
        }
        // What a page sends for a file that was not chosen, and a field that is left empty.
        if content.is_empty() && file_name.as_ref().is_none_or(String::is_empty) {
            continue;
        }
        if pictures.len() == config.images_max {
            return Err(too_many(IMAGE, config.images_max));
        }
        pictures.push(picture(file_name.is_some(), content));
    }
    Ok(Form { fields: fields.into(), pictures })
}

/// A part's name, which comes before what is in it: what has the wrong one is not looked at.
fn name(part: &Field<'_>, names: &[&str]) -> Result<String, Problem> {
    let known = |name: &&str| *name != IMAGES && names.contains(name);
    if let Some(name) = part.name().filter(known) {
        return Ok(name.to_owned());
    }
    let found = match part.name() {
        Some(name) => format!("unknown field `{name}`"),
        None => "a field without a name".into(),
    };
    let names = names.iter().copied().filter(known).filter(|name| *name != IMAGE);
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    Err(Problem::invalid(format!("{found}; send files as `{IMAGE}`, anything else as {names}")))
}

/// What is no file may be what JSON has in its place.
fn picture(is_file: bool, content: Bytes) -> Picture {
    match std::str::from_utf8(&content) {
        Ok(text) if !is_file && is_uri(text) => text.to_owned().into(),
        _ => Picture::File(content),
    }
}

/// A field's text, which as in JSON is UTF-8.
fn text(name: &str, content: &[u8]) -> Result<String, Problem> {
    std::str::from_utf8(content).map(str::to_owned).map_err(|error| {
        Problem::new(Code::MalformedBody, format!("the text is not UTF-8: {error}")).about(name)
    })
}

fn too_many(field: &str, most: usize) -> Problem {
    Problem::invalid(format!("{field} occurs more than {most} times"))
}

fn malformed(error: multer::Error) -> Problem {
    Problem::new(Code::MalformedBody, error.to_string())
}
