//! Captions: COCO's own files and Karpathy's split.

use mue_data::datasets::{Dataset, DatasetOptions, SampleText, Task};
use mue_data::scenes::{SceneSet, Split};

use crate::folder::{Folder, full};

const OFFICIAL: &str = r#"{
  "info": {"year": 2014}, "licenses": [],
  "images": [
    {"id": 9, "file_name": "nine.jpg", "height": 480, "width": 640, "license": 3},
    {"id": 4, "file_name": "four.jpg"}
  ],
  "annotations": [
    {"image_id": 4, "id": 1, "caption": "a cat"},
    {"image_id": 9, "id": 2, "caption": "a dog"},
    {"image_id": 4, "id": 3, "caption": "a tabby cat"}
  ]
}"#;

const KARPATHY: &str = r#"{"dataset": "coco", "images": [
  {"filepath": "val2014", "filename": "a.jpg", "cocoid": 7, "imgid": 0, "split": "test",
   "sentids": [1], "sentences": [{"tokens": ["a"], "raw": "A cat.", "imgid": 0, "sentid": 1}]},
  {"filename": "b.jpg", "imgid": 1, "split": "restval", "sentences": [{"raw": "b"}, {"raw": " "}]},
  {"filename": "c.jpg", "imgid": 2, "split": "train", "sentences": [{"raw": "c"}]}
]}"#;

fn texts(dataset: &Dataset) -> Vec<(String, Vec<String>)> {
    let samples = (0..dataset.len()).map(|index| dataset.sample(index).unwrap());
    samples
        .map(|sample| match sample.text {
            SampleText::Captions(captions) => (sample.id, captions),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn entry(id: &str, captions: &[&str]) -> (String, Vec<String>) {
    (id.to_owned(), captions.iter().map(|caption| (*caption).to_owned()).collect())
}

fn splits(names: &[&str]) -> DatasetOptions {
    let splits = names.iter().map(|name| (*name).to_owned()).collect();
    DatasetOptions { splits, ..Default::default() }
}

#[test]
fn captions_are_gathered_by_picture() {
    let folder = Folder::new();
    folder.write("captions_val2014.json", OFFICIAL);
    let dataset = folder.open("captions_val2014.json", Task::Caption).unwrap();
    let expected = [entry("9", &["a dog"]), entry("4", &["a cat", "a tabby cat"])];
    assert_eq!(texts(&dataset), expected);
    assert_eq!(dataset.problems().count(), 0);
}

#[test]
fn karpathys_splits_have_to_be_chosen() {
    let folder = Folder::new();
    folder.write("dataset_coco.json", KARPATHY);
    let error = folder.open("dataset_coco.json", Task::Caption).unwrap_err().to_string();
    assert!(error.contains("restval, test, train"), "{error}");
    let open = |names: &[&str]| folder.open_with("", Task::Caption, &splits(names));
    assert_eq!(texts(&open(&["test"]).unwrap()), [entry("7", &["A cat."])]);
    let both = [entry("1", &["b"]), entry("2", &["c"])];
    assert_eq!(texts(&open(&["train", "restval"]).unwrap()), both);
    let error = open(&["dev"]).unwrap_err().to_string();
    assert!(error.contains("restval, test, train"), "{error}");
}

#[test]
fn bad_entries_are_counted_with_their_places() {
    let folder = Folder::new();
    let bad = r#"{"images": [{"id": 1, "file_name": "a"}, {"id": "x"}, {"id": 2, "file_name": "b"},
        {"id": 1, "file_name": "c"}],
        "annotations": [{"image_id": 1, "caption": "a"}, {"image_id": 8, "caption": "b"},
        {"image_id": 1, "caption": " "}, 5]}"#;
    folder.write("captions.json", bad);
    let open = |problems_max| {
        let options = DatasetOptions { problems_max, ..Default::default() };
        folder.open_with("captions.json", Task::Caption, &options)
    };
    let dataset = open(6).unwrap();
    assert_eq!(texts(&dataset), [entry("1", &["a"])]);
    assert_eq!(dataset.problems().count(), 6);
    let problems: Vec<String> = dataset.problems().first().iter().map(|p| p.to_string()).collect();
    for (problem, expected) in problems.iter().zip([
        "captions.json: images[1]: expected an id",
        "captions.json: images[3]: id 1 is there twice",
        "captions.json: annotations[1]: there is no image 8",
        "captions.json: annotations[2]: the caption is empty",
        "captions.json: annotations[3]: expected an image_id",
        "captions.json: images[2]: b has no caption",
    ]) {
        assert!(problem.contains(expected), "{problem}");
    }
    let error = open(5).unwrap_err().to_string();
    assert!(error.contains("more than 5") && error.contains("images[2]"), "{error}");
}

#[test]
fn karpathys_pictures_are_there_once_as_cocos_are() {
    let folder = Folder::new();
    folder.write("dataset.json", KARPATHY.replace("\"imgid\": 1,", "\"cocoid\": 7,"));
    let open = |names: &[&str]| folder.open_with("dataset.json", Task::Caption, &splits(names));
    let error = open(&["test", "restval"]).unwrap_err().to_string();
    assert!(error.contains("images[1]: id 7 is there twice"), "{error}");
    assert_eq!(texts(&open(&["restval"]).unwrap()), [entry("7", &["b"])], "only that one is taken");
}

#[test]
fn lists_are_not_taken_for_objects() {
    let folder = Folder::new();
    let bad = r#"{"images": [[9, "a.jpg"], {"id": 4, "file_name": "b"}],
        "annotations": [[4, "no"], {"image_id": 4, "caption": "yes"}]}"#;
    folder.write("captions.json", bad);
    let options = DatasetOptions { problems_max: 2, ..Default::default() };
    let dataset = folder.open_with("captions.json", Task::Caption, &options).unwrap();
    assert_eq!(texts(&dataset), [entry("4", &["yes"])]);
    assert_eq!(dataset.problems().count(), 2);
    folder.write("captions.json", "[[], []]");
    let error = full(&folder.open("captions.json", Task::Caption).unwrap_err());
    assert!(error.contains("expected an object, not a list"), "{error}");
}

#[test]
fn a_file_of_images_alone_is_said_to_have_no_captions() {
    let folder = Folder::new();
    folder.write("image_info.json", r#"{"images": [{"id": 9, "file_name": "a.jpg"}]}"#);
    let error = folder.open("image_info.json", Task::Caption).unwrap_err().to_string();
    assert!(error.contains("image_info.json has images without captions"), "{error}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_file() {
    let folder = Folder::new();
    folder.write("captions.json", format!("\u{feff}{OFFICIAL}"));
    assert_eq!(folder.open("captions.json", Task::Caption).unwrap().len(), 2);
}

#[test]
fn broken_files_say_where() {
    let folder = Folder::new();
    folder.write("captions.json", "{\"images\": [],\n \"annotations\": [}");
    let error = full(&folder.open("captions.json", Task::Caption).unwrap_err());
    assert!(error.contains("captions.json") && error.contains("line 2"), "{error}");
    folder.write("captions.json", r#"{"images": [], "annotations": []}"#);
    let error = folder.open("captions.json", Task::Caption).unwrap_err().to_string();
    assert!(error.contains("no usable sample"), "{error}");
}

#[test]
fn a_folder_must_leave_no_choice() {
    let folder = Folder::new();
    let error = folder.open("", Task::Caption).unwrap_err().to_string();
    assert!(error.contains("captions_*.json"), "{error}");
    folder.write("annotations/captions_val2014.json", OFFICIAL);
    assert_eq!(folder.open("", Task::Caption).unwrap().len(), 2);
    folder.write("captions_train2014.json", OFFICIAL);
    let error = folder.open("", Task::Caption).unwrap_err().to_string();
    assert!(error.contains("captions_train2014.json, captions_val2014.json"), "{error}");
    let error = full(&folder.open("nothing", Task::Caption).unwrap_err());
    assert!(error.contains("cannot read") && error.contains("nothing"), "{error}");
    let error = folder.open("captions_train2014.json", Task::Entailment).unwrap_err().to_string();
    assert!(error.contains("is for captions"), "{error}");
}

#[test]
fn the_same_samples_may_have_two_names() {
    let folder = Folder::new();
    folder.write("dataset.json", KARPATHY).write("captions/captions.json", OFFICIAL);
    let open = |name: &str, options: &DatasetOptions| {
        folder.open_with(name, Task::Caption, options).unwrap()
    };
    let (test, train) = (splits(&["test"]), splits(&["train"]));
    let karpathy = open("dataset.json", &test);
    assert_eq!(karpathy.splits(), ["test"]);
    assert!(karpathy.overlaps(&open("./dataset.json", &splits(&["train", "test"]))));
    assert!(!karpathy.overlaps(&open("dataset.json", &train)));
    // A file that tells no splits apart is the same whatever is taken of it.
    let official = open("captions/captions.json", &test);
    assert!(official.splits().is_empty() && official.overlaps(&open("captions", &train)));
    assert!(!official.overlaps(&karpathy));

    let scenes =
        |seed, split, count| Dataset::scenes(SceneSet::new(seed, split), count, Task::Caption);
    assert!(scenes(2, Split::Test, 14).overlaps(&scenes(2, Split::Test, 12)));
    assert!(!scenes(2, Split::Test, 9).overlaps(&scenes(3, Split::Test, 9)));
    assert!(!scenes(2, Split::Test, 9).overlaps(&scenes(2, Split::Dev, 9)));
    assert!(!scenes(2, Split::Test, 9).overlaps(&official));
}
