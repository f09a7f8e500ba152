//! The contract: the committed file is what the code says, and the code does what it says.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

use std::path::Path;

use mue_engine::{ModelFolder, ModelSource};
use mue_server::{Config, openapi};

/// The contract of the default settings and the demo model.
fn contract() -> serde_json::Value {
    openapi(&Config::default(), &ModelFolder::open(ModelSource::Demo).unwrap())
}

#[test]
fn the_committed_contract_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/openapi.json");
    let current = serde_json::to_string_pretty(&contract()).unwrap() + "\n";
    if std::env::var_os("MUE_OPENAPI_WRITE").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(current.lines()).position(|(old, new)| old != new);
    assert!(
        committed == current,
        "openapi/openapi.json differs from the code, first in line {}; \
         MUE_OPENAPI_WRITE=1 cargo test -p mue-server --test contract writes it",
        1 + differs.unwrap_or(0),
    );
}

#[test]
fn limits_are_those_of_the_settings() {
    let config =
        Config { images_max: 3, beam_size_max: 2, caption_tokens_max: 7, ..Config::default() };
    let contract = openapi(&config, &ModelFolder::open(ModelSource::Demo).unwrap());
    let schemas = &contract["components"]["schemas"];
    let caption = &schemas["CaptionRequest"]["properties"];
    assert_eq!(caption["images"]["maxItems"], 3);
    assert_eq!(caption["beam_size"]["maximum"], 2);
    assert_eq!(caption["max_tokens"]["maximum"], 7);
    assert_eq!(caption["max_tokens"]["default"], 7);
    assert_eq!(schemas["CaptionForm"]["properties"]["image"]["maxItems"], 3);
    assert_eq!(schemas["CaptionForm"]["properties"]["beam_size"]["maximum"], 2);
}

#[test]
fn no_more_is_allowed_than_there_are_rows_for() {
    let config = Config { rows_max: 4, queue_rows_max: 8, ..Config::default() };
    let contract = openapi(&config, &ModelFolder::open(ModelSource::Demo).unwrap());
    let schemas = &contract["components"]["schemas"];
    let caption = &schemas["CaptionRequest"]["properties"];
    assert_eq!(caption["beam_size"]["maximum"], 4);
    assert_eq!(caption["images"]["maxItems"], 8);
    assert_eq!(schemas["CaptionForm"]["properties"]["image"]["maxItems"], 8);
    assert_eq!(schemas["EntailmentRequest"]["properties"]["hypotheses"]["maxItems"], 8);
}

/// Every reference leads somewhere.
#[test]
fn nothing_is_referred_to_that_is_not_there() {
    let contract = contract();
    let mut references = Vec::new();
    collect(&contract, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(contract.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &serde_json::Value, references: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| collect(item, references));
        }
        serde_json::Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(|field| field.as_str()) {
                references.push(reference.to_owned());
            }
            fields.values().for_each(|field| collect(field, references));
        }
        _ => {}
    }
}
