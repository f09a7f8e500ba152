//! Files that the official COCO caption tools read, for the scores that need them (METEOR, SPICE).

use crate::CaptionSample;
use serde::Serialize;
use std::io::Write;

/// Writes captions as a COCO results file: a list of `{"image_id": 1, "caption": "..."}`.
///
/// `pycocotools` loads it by `COCO.loadRes`. Every picture may occur once.
///
/// # Errors
/// If the writer fails.
pub fn write_results(
    samples: &[CaptionSample<'_>],
    writer: impl Write,
) -> Result<(), serde_json::Error> {
    let results: Vec<_> = samples
        .iter()
        .map(|sample| ResultLine { image_id: sample.id, caption: sample.candidate })
        .collect();
    serde_json::to_writer(writer, &results)
}

/// Writes references as a COCO captions annotation file, for data that has none of its own.
///
/// `pycocotools` loads it by `COCO(file)`. References are numbered from 1 in the order given.
///
/// # Errors
/// If the writer fails.
pub fn write_references(
    samples: &[CaptionSample<'_>],
    writer: impl Write,
) -> Result<(), serde_json::Error> {
    let references =
        samples.iter().flat_map(|sample| sample.references.iter().map(|text| (sample.id, text)));
    let annotations = (1..)
        .zip(references)
        .map(|(id, (image_id, caption))| Annotation { id, image_id, caption })
        .collect();
    let images = samples.iter().map(|sample| Image { id: sample.id }).collect();
    let file =
        AnnotationFile { info: Empty {}, licenses: [], kind: "captions", images, annotations };
    serde_json::to_writer(writer, &file)
}

#[derive(Serialize)]
struct ResultLine<'a> {
    image_id: u64,
    caption: &'a str,
}

#[derive(Serialize)]
struct AnnotationFile<'a> {
    info: Empty,
    licenses: [Empty; 0],
    #[serde(rename = "type")]
    kind: &'static str,
    images: Vec<Image>,
    annotations: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Image {
    id: u64,
}

#[derive(Serialize)]
struct Annotation<'a> {
    id: u64,
    image_id: u64,
    caption: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>) -> Result<(), serde_json::Error>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn files_are_as_the_official_tools_want_them() {
        let references = ["a \"ring\"".to_owned(), "a circle".to_owned()];
        let samples = [CaptionSample { id: 7, candidate: "a ring", references: &references }];
        assert_eq!(
            text(|bytes| write_results(&samples, bytes)),
            r#"[{"image_id":7,"caption":"a ring"}]"#
        );
        assert_eq!(
            text(|bytes| write_references(&samples, bytes)),
            concat!(
                r#"{"info":{},"licenses":[],"type":"captions","images":[{"id":7}],"annotations":["#,
                r#"{"id":1,"image_id":7,"caption":"a \"ring\""},"#,
                r#"{"id":2,"image_id":7,"caption":"a circle"}]}"#
            )
        );
    }
}
