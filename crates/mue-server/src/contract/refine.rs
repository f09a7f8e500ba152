//! What schemas derived from types leave open: limits, alternatives, forms, common headers.

use mue_engine::ModelFolder;
use serde_json::{Value, json};

use crate::config::Config;
use crate::models::{default_search, max_tokens_max};
use crate::picture::PATTERN;
use crate::problem::Code;

/// Completes the contract for a server with these settings and this model.
pub(super) fn refine(document: &mut Value, config: &Config, model: &ModelFolder) {
    limits(document, config, model);
    let several = json!({
        "type": "array",
        "description": "Pictures, each as a field of its own.",
        "minItems": 1,
        "maxItems": config.images_possible(),
        "items": file(),
    });
    form(document, "Caption", several);
    form(document, "Entailment", file());
    for (schema, keyword, alternatives) in [
        ("CaptionRequest", "anyOf", either("image", "images")),
        ("EntailmentRequest", "anyOf", either("hypothesis", "hypotheses")),
        (
            "EntailmentForm",
            "oneOf",
            json!([{"required": ["hypothesis"]}, {"required": ["hypotheses"]}]),
        ),
    ] {
        set(document, &format!("/components/schemas/{schema}"), keyword, alternatives);
    }
    set(document, "/components/schemas/EntailmentRequest", "required", json!(["image"]));
    let image = "/components/schemas/EntailmentRequest/properties/image";
    set(document, image, "type", json!("string"));
    set(document, "/components/schemas/ProblemCode", "description", Value::String(codes()));
    for task in ["Caption", "Entailment"] {
        // The generic answer has its results written out.
        let results = format!("/components/schemas/Answer_{task}Result/properties/results");
        set(document, &results, "items", reference(&format!("{task}Result")));
    }
    events(document);
    everywhere(document);
}

/// The numbers that settings and model decide.
fn limits(document: &mut Value, config: &Config, model: &ModelFolder) {
    let search = default_search(config, model);
    for (field, key, value) in [
        ("CaptionRequest/properties/images", "maxItems", config.images_possible()),
        ("CaptionRequest/properties/beam_size", "maximum", config.beam_size_possible()),
        ("CaptionRequest/properties/beam_size", "default", search.beam_size),
        ("CaptionRequest/properties/max_tokens", "maximum", max_tokens_max(config, model)),
        ("CaptionRequest/properties/max_tokens", "default", search.tokens_max),
        ("EntailmentRequest/properties/hypotheses", "maxItems", config.hypotheses_possible()),
        // Bytes are at least as many as characters.
        ("EntailmentRequest/properties/hypothesis", "maxLength", config.text_bytes_max),
        ("EntailmentRequest/properties/premise", "maxLength", config.text_bytes_max),
    ] {
        set(document, &format!("/components/schemas/{field}"), key, json!(value));
    }
    for request in ["CaptionRequest", "EntailmentRequest"] {
        let field = format!("/components/schemas/{request}/properties/image");
        set(document, &field, "pattern", json!(PATTERN));
        let field = format!("/components/schemas/{request}/properties/deadline_ms");
        set(document, &field, "maximum", json!(config.deadline_ms_max));
        set(document, &field, "default", json!(config.deadline_ms_default));
    }
    let hypothesis = "/components/schemas/EntailmentRequest/properties/hypothesis";
    let (tokens_max, words_max) = (model.text_tokens_max(), model.settings().prompts.words_max);
    let description = format!(
        "A sentence to judge. It has {tokens_max} tokens at most, of which a premise takes its own and a few more; \
         words behind the first {words_max} are left out."
    );
    set(document, hypothesis, "description", json!(description));
    // The items of a list are as one alone.
    let schemas = &mut document["components"]["schemas"];
    for (request, one, list) in
        [("CaptionRequest", "image", "images"), ("EntailmentRequest", "hypothesis", "hypotheses")]
    {
        let properties = &mut schemas[request]["properties"];
        let mut item = properties[one].clone();
        if let Some(item) = item.as_object_mut() {
            item.remove("description");
            item.insert("type".into(), json!("string"));
        }
        properties[list]["items"] = item;
    }
}

const FORM: &str = "The same as a form: lists are repeated fields, a single `hypotheses` may be one in JSON. A field that \
    is left empty is not given, but for hypotheses. `true` and `false` may be `1` and `0`, and written in any case.";

/// A form has the fields of the JSON request, but for pictures, which are files.
fn form(document: &mut Value, task: &str, pictures: Value) {
    let schemas = &mut document["components"]["schemas"];
    let mut form = schemas[format!("{task}Request")].clone();
    form["description"] = json!(FORM);
    form["required"] = json!(["image"]);
    form["properties"]["image"] = pictures;
    if let Some(properties) = form["properties"].as_object_mut() {
        properties.remove("images");
        for property in properties.values_mut() {
            // There is no `null` in a form: what is not given is left out.
            if let Some([kind, _]) = property["type"].as_array().map(Vec::as_slice) {
                property["type"] = kind.clone();
            }
        }
    }
    schemas[format!("{task}Form")] = form;
    let route = format!("/paths/~1v1~1{}/post/requestBody/content", task.to_lowercase());
    let content = json!({
        "schema": reference(&format!("{task}Form")),
        "encoding": {"image": {"contentType": "image/png, image/jpeg, image/*"}},
    });
    set(document, &route, "multipart/form-data", content);
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn file() -> Value {
    json!({
        "type": "string",
        "format": "binary",
        "description": "A picture: PNG, JPEG, WebP, GIF, BMP or TIFF. Where the field has no file name, a data URI or a URL \
            as in JSON is one too.",
    })
}

/// One of two fields; `null` is as good as nothing, so that no two of the alternatives hold at once.
fn either(one: &str, list: &str) -> Value {
    let alternative = |given: &str, kind: &str, other: &str| {
        json!({
            "title": given,
            "required": [given],
            "properties": {given: {"type": kind}, other: {"type": "null"}},
        })
    };
    json!([alternative(one, "string", list), alternative(list, "array", one)])
}

/// What a stream of captions consists of.
fn events(document: &mut Value) {
    let event = |name: &str, schema: &str| {
        json!({
            "title": name,
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": {"const": name},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": reference(schema),
                },
            },
        })
    };
    document["components"]["schemas"]["CaptionEvent"] = json!({
        "description": "One event of a stream.",
        "oneOf": [
            event("token", "TokenEvent"),
            event("result", "Answer_CaptionResult"),
            event("error", "Problem"),
        ],
    });
    let responses = "/paths/~1v1~1caption/post/responses/200/content";
    let content = json!({
        "schema": reference("CaptionEvent"),
        "example": {"event": "token", "data": r#"{"index":0,"text":" red","layer":1}"#},
    });
    set(document, responses, "text/event-stream", content);
}

/// The kinds of problems in a table.
fn codes() -> String {
    let line = |code: Code| format!("| `{}` | {} | {} |", code.name(), code.status(), code.title());
    let lines: Vec<String> = Code::ALL.into_iter().map(line).collect();
    format!("| code | status | |\n|---|---|---|\n{}", lines.join("\n"))
}

/// What every request may send, and every response has.
fn everywhere(document: &mut Value) {
    let id = json!({"type": "string", "examples": ["5f0c63aa1d2e4b97-12"]});
    document["components"]["headers"] = json!({"request-id": {
        "description": "Names the request in the answer and in the logs.",
        "required": true,
        "schema": id,
    }});
    document["components"]["parameters"] = json!({"request-id": {
        "name": "x-request-id",
        "in": "header",
        "description": "An id of the client's own, up to 128 printable ASCII characters; else one is made.",
        "schema": id,
    }});
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    for operation in operations {
        operation["parameters"] = json!([{"$ref": "#/components/parameters/request-id"}]);
        let responses = operation["responses"].as_object_mut();
        for response in responses.into_iter().flat_map(|responses| responses.values_mut()) {
            response["headers"]["x-request-id"] =
                json!({"$ref": "#/components/headers/request-id"});
        }
    }
}

/// Sets a key of the object at a JSON pointer.
fn set(document: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(object) = document.pointer_mut(pointer).and_then(Value::as_object_mut) {
        object.insert(key.into(), value);
    }
}
