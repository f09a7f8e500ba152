//! Pictures loaded ahead, in order, with what is missing counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mue_data::datasets::{
    DataError, Dataset, DatasetOptions, Loader, LoaderConfig, Task, shuffled,
};
use mue_data::scenes::{SceneSet, Split};

use crate::folder::{Folder, full};

/// Twelve pictures with a caption each, without those whose numbers are given.
fn pictures(missing: &[u8]) -> (Folder, Arc<Dataset>) {
    let folder = Folder::new();
    let images: Vec<String> =
        (0..12).map(|id| format!(r#"{{"id": {id}, "file_name": "{id}.png"}}"#)).collect();
    let captions: Vec<String> =
        (0..12).map(|id| format!(r#"{{"image_id": {id}, "caption": "picture {id}"}}"#)).collect();
    let text =
        format!(r#"{{"images": [{}], "annotations": [{}]}}"#, images.join(","), captions.join(","));
    folder.write("annotations/captions_val2014.json", text);
    for id in (0..12).filter(|id| !missing.contains(id)) {
        folder.picture(&format!("val2014/{id}.png"), id);
    }
    let dataset = Arc::new(folder.open("", Task::Caption).unwrap());
    (folder, dataset)
}

#[test]
fn samples_come_in_order_whatever_the_threads() {
    let (_folder, dataset) = pictures(&[]);
    let order = shuffled(12, 5, 0);
    for (threads, ahead) in [(0, 0), (1, 1), (2, 4), (5, 1), (16, 2)] {
        let config = LoaderConfig { threads, ahead, ..Default::default() };
        let loader = Loader::start(&dataset, order.clone(), config, |image| image.samples[0]);
        let loaded: Vec<_> = loader.unwrap().map(|loaded| loaded.unwrap()).collect();
        for (position, loaded) in loaded.iter().enumerate() {
            assert_eq!(loaded.position, position);
            assert_eq!(loaded.sample.id, order[position].to_string());
            assert_eq!(usize::from(loaded.picture), order[position]);
        }
        assert_eq!(loaded.len(), 12);
    }
}

#[test]
fn missing_pictures_are_counted_and_then_too_many() {
    let (folder, dataset) = pictures(&[3, 7]);
    folder.write("val2014/8.png", "no picture");
    let start = |problems_max| {
        let config = LoaderConfig { problems_max, ..Default::default() };
        Loader::start(&dataset, (0..12).collect(), config, |_| ()).unwrap()
    };
    let mut loader = start(3);
    let ids: Vec<String> = loader.by_ref().map(|loaded| loaded.unwrap().sample.id).collect();
    assert_eq!(ids, ["0", "1", "2", "4", "5", "6", "9", "10", "11"]);
    assert_eq!(loader.problems().count(), 3);
    let problems: Vec<String> = loader.problems().first().iter().map(|p| p.to_string()).collect();
    assert!(problems[0].contains("captions_val2014.json: image 3: no picture 3.png"));
    assert!(problems[2].contains("8.png is not a picture"), "{problems:?}");

    let mut loader = start(1);
    let outcomes: Vec<_> = loader.by_ref().collect();
    assert_eq!(outcomes.len(), 7);
    let error = full(outcomes.last().unwrap().as_ref().unwrap_err());
    assert!(error.contains("more than 1") && error.contains("7.png"), "{error}");
}

#[test]
fn threads_stay_within_their_bounds_and_end_when_dropped() {
    let set = SceneSet::new(1, Split::Train);
    let dataset = Arc::new(Dataset::scenes(set, 10_000, Task::Caption));
    let made = Arc::new(AtomicUsize::new(0));
    let config = LoaderConfig { threads: 2, ahead: 3, ..Default::default() };
    let counter = Arc::clone(&made);
    let mut loader = Loader::start(&dataset, (0..10_000).collect(), config, move |image| {
        counter.fetch_add(1, Ordering::SeqCst);
        image
    })
    .unwrap();
    for _ in 0..10 {
        loader.next().unwrap().unwrap();
    }
    drop(loader);
    // Ten given out, three waiting and one in hand for each thread.
    assert!(made.load(Ordering::SeqCst) <= 10 + 2 * (3 + 1));
    assert_eq!(Arc::strong_count(&made), 1);
}

#[test]
fn a_broken_thread_is_an_error_and_not_an_end() {
    let set = SceneSet::new(1, Split::Train);
    let dataset = Arc::new(Dataset::scenes(set, 8, Task::Caption));
    let config = LoaderConfig { threads: 1, ..Default::default() };
    let loader = Loader::start(&dataset, (0..8).collect(), config, |image| {
        assert_ne!(image, SceneSet::new(1, Split::Train).scene(2).image(), "on purpose");
    });
    let outcomes: Vec<_> = loader.unwrap().collect();
    assert_eq!(outcomes.len(), 3);
    assert!(matches!(outcomes[2], Err(DataError::ThreadBroke(2))));
}

#[test]
fn pictures_are_looked_for_where_they_are_said_to_be() {
    let (folder, _) = pictures(&[]);
    folder.picture("elsewhere/0.png", 200);
    let images = Some(folder.path("elsewhere"));
    let options = DatasetOptions { images, ..Default::default() };
    let dataset = folder.open_with("", Task::Caption, &options).unwrap();
    let config = LoaderConfig { problems_max: 11, ..Default::default() };
    let loader =
        Loader::start(&Arc::new(dataset), (0..12).collect(), config, |image| image.samples[0]);
    let found: Vec<u8> = loader.unwrap().map(|loaded| loaded.unwrap().picture).collect();
    assert_eq!(found, [200]);
}
