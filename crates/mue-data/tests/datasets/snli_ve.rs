//! Hypotheses: SNLI-VE's lines.

use mue_data::datasets::{
    DatasetOptions, EntailmentLabel, PictureSource, Sample, SampleText, Task,
};

use crate::folder::Folder;

fn line(key: &str, label: &str, hypothesis: &str) -> String {
    format!(
        r#"{{"{key}": "4705552913", "captionID": "4705552913.jpg#2", "pairID": "p", "sentence1": "Two women.", "sentence2": "{hypothesis}", "gold_label": "{label}"}}"#
    )
}

fn hypothesis(sample: &Sample) -> (&str, EntailmentLabel) {
    match &sample.text {
        SampleText::Hypothesis { hypothesis, label, .. } => (hypothesis, *label),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_spelling_of_the_picture_is_read() {
    let folder = Folder::new();
    let keys = ["Flickr30K_ID", "Flikr30kID", "Flickr30kID", "Flikr30K_ID"];
    let lines: Vec<String> = keys.iter().map(|key| line(key, "neutral", "They talk.")).collect();
    folder.write("snli_ve_dev.jsonl", lines.join("\n"));
    let dataset = folder.open("snli_ve_dev.jsonl", Task::Entailment).unwrap();
    assert_eq!(dataset.len(), keys.len());
    for index in 0..keys.len() {
        let sample = dataset.sample(index).unwrap();
        assert_eq!(sample.id, "p");
        let PictureSource::File { name, .. } = &sample.picture else { panic!("{sample:?}") };
        assert_eq!(name, "4705552913.jpg");
        let SampleText::Hypothesis { premise, .. } = &sample.text else { panic!("{sample:?}") };
        assert_eq!(premise.as_deref(), Some("Two women."));
    }
}

#[test]
fn an_empty_premise_is_none() {
    let folder = Folder::new();
    folder.write(
        "d.jsonl",
        r#"{"Flickr30K_ID": "1", "gold_label": "neutral", "sentence1": " ", "sentence2": "a"}"#,
    );
    let sample = folder.open("d.jsonl", Task::Entailment).unwrap().sample(0).unwrap();
    let SampleText::Hypothesis { premise, .. } = &sample.text else { panic!("{sample:?}") };
    assert_eq!(*premise, None);
}

#[test]
fn disputed_lines_are_left_out_and_bad_ones_counted() {
    let folder = Folder::new();
    let text = [
        &line("Flickr30K_ID", "entailment", "one"),
        &line("Flickr30K_ID", "-", "two"),
        "{\"Flickr30K_ID\": \"1\"}",
        "",
        "not JSON",
        &line("Flickr30K_ID", "perhaps", "three"),
        &line("Flickr30K_ID", "neutral", " "),
        &line("Flickr30K_ID", "contradiction", "ärger\\n"),
    ]
    .join("\r\n");
    folder.write("d.jsonl", text);
    let open = |problems_max| {
        let options = DatasetOptions { problems_max, ..Default::default() };
        folder.open_with("d.jsonl", Task::Entailment, &options)
    };
    let dataset = open(4).unwrap();
    assert_eq!((dataset.len(), dataset.disputed()), (2, 1));
    // The last first: lines are read by their place.
    let samples = [dataset.sample(1).unwrap(), dataset.sample(0).unwrap()];
    assert_eq!(hypothesis(&samples[0]), ("ärger\n", EntailmentLabel::Contradiction));
    assert_eq!(hypothesis(&samples[1]), ("one", EntailmentLabel::Entailment));
    let problems: Vec<String> = dataset.problems().first().iter().map(|p| p.to_string()).collect();
    let places = ["d.jsonl:3: ", "d.jsonl:5: ", "d.jsonl:6: ", "d.jsonl:7: "];
    assert_eq!(problems.len(), places.len());
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.contains(place), "{problem}");
    }
    let error = open(3).unwrap_err().to_string();
    assert!(error.contains("more than 3") && error.contains("d.jsonl:7"), "{error}");
}

#[test]
fn what_is_wrong_with_a_line_is_said_in_its_own_words() {
    let folder = Folder::new();
    let null = line("Flickr30K_ID", "?", "null").replace("\"?\"", "null");
    for (text, expected) in [
        (line("Flickr30K_ID", "", "empty"), "gold_label is \"\", not entailment, neutral, contra"),
        (line("Flickr30K_ID", "maybe", "unknown"), "gold_label is \"maybe\", not entailment"),
        (null, "gold_label is null, not entailment"),
        (r#"["1", "p", "Two women.", "They talk.", "neutral", "f"]"#.into(), "not a list"),
    ] {
        folder.write("d.jsonl", &text);
        let error = folder.open("d.jsonl", Task::Entailment).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let folder = Folder::new();
    let lines = [line("Flickr30K_ID", "neutral", "one"), line("Flickr30K_ID", "neutral", "two")];
    folder.write("d.jsonl", format!("\u{feff}{}", lines.join("\n")));
    let dataset = folder.open("d.jsonl", Task::Entailment).unwrap();
    let samples: Vec<Sample> = (0..2).map(|index| dataset.sample(index).unwrap()).collect();
    assert_eq!((hypothesis(&samples[0]).0, hypothesis(&samples[1]).0), ("one", "two"));
    assert_eq!(dataset.len(), 2);
}

#[test]
fn a_file_that_changes_underneath_is_noticed() {
    let folder = Folder::new();
    let text = [line("Flickr30K_ID", "neutral", "one"), line("Flickr30K_ID", "neutral", "two")];
    folder.write("d.jsonl", text.join("\n"));
    let dataset = folder.open("d.jsonl", Task::Entailment).unwrap();
    folder.write("d.jsonl", "short");
    let error = dataset.sample(1).unwrap_err().to_string();
    assert!(error.contains("d.jsonl:2"), "{error}");
}
