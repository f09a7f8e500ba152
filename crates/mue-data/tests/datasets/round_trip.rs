//! Scenes that are written and read back are the same samples.

use mue_data::ImageLimits;
use mue_data::Orientation;
use mue_data::datasets::{Dataset, DatasetOptions, Task, write_scenes};
use mue_data::scenes::{SceneSet, Split};

use crate::folder::{Folder, full};

const COUNT: usize = 40;

#[test]
fn files_hold_the_same_samples() {
    let set = SceneSet::new(6, Split::Dev);
    let folder = Folder::new();
    write_scenes(&folder.path(""), set, COUNT).unwrap();
    for task in [Task::Caption, Task::Entailment] {
        let made = Dataset::scenes(set, COUNT, task);
        let read = folder.open("", task).unwrap();
        assert_eq!(read.len(), COUNT);
        assert_eq!((read.problems().count(), read.disputed()), (0, 0));
        for index in 0..COUNT {
            let [made, read] = [made.sample(index).unwrap(), read.sample(index).unwrap()];
            assert_eq!((&made.id, &made.text), (&read.id, &read.text));
            let [made, read] = [made, read].map(|sample| {
                sample.picture.load(ImageLimits::default(), Orientation::Apply).unwrap()
            });
            assert_eq!(made, read, "{index}");
        }
    }
}

#[test]
fn the_same_scenes_are_the_same_files() {
    let set = SceneSet::new(6, Split::Test);
    let [one, other] = [Folder::new(), Folder::new()];
    for folder in [&one, &other] {
        write_scenes(&folder.path(""), set, 3).unwrap();
    }
    for name in ["images/000002.png", "captions_test.json", "snli_ve_test.jsonl"] {
        let [one, other] = [&one, &other].map(|folder| std::fs::read(folder.path(name)).unwrap());
        assert!(!one.is_empty() && one == other, "{name}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    let set = SceneSet::new(6, Split::Test);
    let error = full(&write_scenes(&folder.path("nowhere"), set, 1).unwrap_err());
    assert!(error.contains("nowhere"), "{error}");
    let options = DatasetOptions::default();
    assert!(Dataset::open(&folder.path(""), Task::Caption, &options).is_err());
}
