//! Learning from files, as `mue scenes` writes them.

use std::path::Path;
use std::sync::Arc;

use mue_data::datasets::{Task, write_scenes};
use mue_data::scenes::{SceneSet, Split};
use mue_model::Device;
use mue_model::weights::initial_tensors;
use mue_train::{
    Batch, BatchSource, DevSet, Files, Interface, Line, Setup, Supplied, TrainConfig, Trainer,
    dev_files,
};
use tempfile::TempDir;

const SCENES: usize = 7;

const BOTH: [Task; 2] = [Task::Caption, Task::Entailment];

/// A folder of scenes without some of its pictures.
fn folder(missing: &[usize]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_scenes(folder.path(), SceneSet::new(5, Split::Train), SCENES).unwrap();
    for index in missing {
        std::fs::remove_file(folder.path().join(format!("images/{index:06}.png"))).unwrap();
    }
    folder
}

fn recipe(folder: &Path, steps: u64) -> TrainConfig {
    let mut recipe = crate::toy::config(steps);
    recipe.data.train = vec![folder.display().to_string()];
    recipe.data.pictures = 4;
    recipe.loss.grounding = 0.0;
    recipe.model.image_bucket_size = 6;
    recipe.model.token_bucket_size = 8;
    recipe.model.positions_max = 64;
    recipe.run.checkpoint_every = 2;
    recipe
}

fn interface() -> Arc<Interface> {
    Arc::new(Interface::scenes().unwrap())
}

fn files(recipe: &TrainConfig) -> Files {
    Files::open(&recipe.data, (&recipe.tasks(), recipe.seed), &interface()).unwrap()
}

/// So many batches from one on, and the problems on the way.
fn take(files: &Files, first: u64, count: usize) -> (Vec<Batch>, Vec<String>) {
    let (mut batches, mut problems) = (Vec::new(), Vec::new());
    let mut supply = files.supply(first);
    while batches.len() < count {
        match supply.next().unwrap().unwrap() {
            Supplied::Batch(batch) => batches.push(batch),
            Supplied::Problem(problem) => problems.push(problem.to_string()),
        }
    }
    (batches, problems)
}

fn trainer(recipe: &TrainConfig) -> Trainer {
    let device = Device::flex();
    let model = recipe.model.ofa(interface().tokenizer.vocab_size()).unwrap();
    let setup = Setup {
        weights: initial_tensors(&model, recipe.seed, &device).unwrap(),
        model,
        source: Arc::new(files(recipe)),
        cell_classes: Vec::new(),
        reward: None,
        dev: DevSet::new(&interface()),
    };
    Trainer::new(recipe.clone(), setup, &device).unwrap()
}

#[test]
fn a_resumed_run_on_files_has_the_losses_of_an_uninterrupted_one() {
    let data = folder(&[3]);
    let mut recipe = recipe(data.path(), 4);
    recipe.data.problems_max = 2;
    let out = tempfile::tempdir().unwrap();
    let whole = crate::toy::run(&mut trainer(&recipe), out.path());
    crate::toy::take_back(out.path(), 2);
    let mut resumed = trainer(&recipe);
    assert!(resumed.resume(out.path(), &mut |error| panic!("{error}")).unwrap());
    assert_eq!(crate::toy::run(&mut resumed, out.path()), whole[2..]);
}

#[test]
fn batches_share_their_pictures_between_the_tasks_in_a_new_order_each_pass() {
    let data = folder(&[]);
    let files = files(&recipe(data.path(), 1));
    let (batches, problems) = take(&files, 0, SCENES);
    assert!(problems.is_empty());
    let mut captions: Vec<Vec<String>> = Vec::new();
    for batch in &batches {
        assert_eq!((batch.pictures(), batch.captions.len(), batch.hypotheses.len()), (4, 2, 2));
        captions.extend(batch.captions.iter().map(|caption| caption.references.clone()));
    }
    // Seven batches of two captions are two passes over seven scenes.
    let (mut first, mut second) = (captions[..SCENES].to_vec(), captions[SCENES..].to_vec());
    assert_ne!(first, second);
    first.sort();
    second.sort();
    assert_eq!(first, second);
}

#[test]
fn a_batch_is_a_function_of_its_number_even_where_pictures_are_missing() {
    let data = folder(&[1, 2, 6]);
    let mut recipe = recipe(data.path(), 1);
    recipe.data.problems_max = 3;
    let files = files(&recipe);
    let (batches, problems) = take(&files, 0, 12);
    assert!(problems[0].contains("no picture 00000"), "{problems:?}");
    assert!(batches.iter().all(|batch| batch.pictures() == 4));
    for number in 0..12 {
        assert_eq!(take(&files, number, 1).0[0], batches[number as usize], "batch {number}");
    }
}

#[test]
fn a_missing_picture_is_in_the_log_and_one_too_many_fails_the_run() {
    let data = folder(&[4]);
    let mut recipe = recipe(data.path(), 3);
    recipe.data.problems_max = 1;
    let out = tempfile::tempdir().unwrap();
    let mut problems = Vec::new();
    let mut see = |line: &Line| {
        if let Line::Problem(line) = line {
            problems.push((line.count, format!("{}: {}", line.place, line.message)));
        }
    };
    trainer(&recipe).run(out.path(), &mut see).unwrap();
    let (count, first) = &problems[0];
    assert!(*count == 1 && first.contains("no picture 000004.png"), "{problems:?}");
    let log = std::fs::read_to_string(out.path().join("log.jsonl")).unwrap();
    assert!(log.contains("000004.png"), "{log}");

    recipe.data.problems_max = 0;
    let out = tempfile::tempdir().unwrap();
    let error = trainer(&recipe).run(out.path(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("more than 0") && error.contains("000004.png"), "{error}");
}

#[test]
fn words_that_the_model_does_not_know_are_problems() {
    let data = folder(&[]);
    let path = data.path().join("snli_ve_train.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, lines.replace("\"sentence2\":\"", "\"sentence2\":\"zebra ")).unwrap();
    let mut recipe = recipe(data.path(), 1);
    recipe.data.problems_max = 2 * SCENES;
    let mut supply = files(&recipe);
    let outcomes: Vec<_> = supply.supply(0).collect();
    let error = outcomes.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains("neither this sample nor any other"), "{error}");

    recipe.loss.entailment = 0.0;
    supply = files(&recipe);
    let (batches, problems) = take(&supply, 0, 3);
    assert!(problems.is_empty());
    assert!(batches.iter().all(|it| it.captions.len() == 4 && it.hypotheses.is_empty()));
}

#[test]
fn data_sets_are_told_apart_by_task() {
    let data = folder(&[]);
    let name = |file: &str| data.path().join(file).display().to_string();
    let open = |train: &[String], tasks: &[Task]| {
        let mut config = recipe(data.path(), 1).data;
        config.train = train.to_vec();
        Files::open(&config, (tasks, 1), &interface()).map(|files| take(&files, 0, 1).0.remove(0))
    };
    let captions = name("captions_train.json");
    let hypotheses = name("snli_ve_train.jsonl");
    let scenes = "scenes:seed=5,count=7,split=train".to_owned();

    let batch = open(std::slice::from_ref(&hypotheses), &BOTH).unwrap();
    assert_eq!((batch.captions.len(), batch.hypotheses.len()), (0, 4));
    let both = open(&[hypotheses.clone(), captions.clone()], &BOTH).unwrap();
    assert_eq!((both.captions.len(), both.hypotheses.len()), (2, 2));
    assert_eq!(open(std::slice::from_ref(&scenes), &BOTH).unwrap(), both, "made or read");

    let error = open(&[captions.clone(), scenes], &BOTH).unwrap_err().to_string();
    assert!(error.contains("second data set"), "{error}");
    let error = open(&[captions], &[Task::Entailment]).unwrap_err().to_string();
    assert!(error.contains("nothing for the tasks"), "{error}");
}

#[test]
fn the_first_samples_of_dev_files_are_evaluated_on() {
    let data = folder(&[0]);
    let mut recipe = recipe(data.path(), 1);
    recipe.data.dev = recipe.data.train.clone();
    recipe.data.dev_pictures = 3;
    recipe.data.problems_max = 1;
    let mut problems = 0;
    let set = dev_files(&recipe.data, &BOTH, &interface(), &mut |_| problems += 1).unwrap();
    // Three of each data set, less the missing one.
    assert_eq!((set.examples.len(), problems), (4, 2));
    assert_eq!(set.examples.iter().filter(|it| it.captions.len() == 5).count(), 2);
}
