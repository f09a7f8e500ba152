use super::*;

const SMALL: &str = "d_model = 16\nheads = 2\nffn_dim = 32\nencoder_layers = 1\ndecoder_layers = 1\n\
                     stem_width = 4\n";

/// One step on a few scenes, by a recipe that is written into the folder.
fn args(folder: &Path, encoding: &str, more: &str) -> TrainArgs {
    let config = folder.join(format!("{encoding}.toml"));
    let text = format!(
        "steps = 1\n[model]\nencoding = \"{encoding}\"\n{SMALL}[run]\nthreads = 1\n\
         [data]\npictures = 2\naccumulation = 1\n{more}"
    );
    std::fs::write(&config, text).unwrap();
    TrainArgs {
        config: Some(config),
        out: folder.join("out"),
        resume: false,
        export: false,
        device: DeviceChoice::Flex,
    }
}

#[test]
fn a_run_is_exported_by_its_own_recipe_and_not_resumed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let scenes = "train = \"scenes:seed=1,count=4,split=train\"\n";
    run(&args(folder, "joint", scenes), &mut Vec::new()).unwrap();

    let other = || args(folder, "decomposed", scenes);
    let settings = folder.join("out/model/mue.json");
    for config in [other().config, None] {
        std::fs::remove_file(&settings).unwrap();
        if config.is_none() {
            // Runs of before have kept nothing.
            std::fs::remove_dir_all(folder.join("out/model-without-weights")).unwrap();
        }
        run(&TrainArgs { config, export: true, ..other() }, &mut Vec::new()).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&settings).unwrap()).unwrap();
        assert_eq!(written["encoding"], "joint");
    }

    let error = run(&TrainArgs { resume: true, ..other() }, &mut Vec::new()).unwrap_err();
    let line = format!("{error:#}");
    assert!(line.contains("step-00000001 was made by another recipe"), "{line}");
    assert!(line.ends_with("with model.encoding = \"joint\""), "{line}");
}

#[test]
fn the_folder_is_looked_at_before_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let scenes = "train = \"scenes:seed=1,count=4,split=train\"\n";
    run(&args(folder, "joint", scenes), &mut Vec::new()).unwrap();
    for (resume, expected) in [(false, "holds a run already"), (true, "made by another recipe")] {
        let nowhere = args(folder, "joint", "train = \"nowhere.json\"\n");
        let error = run(&TrainArgs { resume, ..nowhere }, &mut Vec::new()).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}

#[test]
fn nothing_is_resumed_where_no_run_is_and_no_model_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kept = folder.join("out/model/mine.txt");
    std::fs::create_dir_all(folder.join("out/model")).unwrap();
    std::fs::write(&kept, "mine").unwrap();
    let scenes = "train = \"scenes:seed=1,count=4,split=train\"\n";
    let resumed = TrainArgs { resume: true, ..args(folder, "joint", scenes) };
    let error = run(&resumed, &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("holds no checkpoint"), "{error:#}");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "mine");
}

#[test]
fn one_picture_with_captions_is_too_few_to_be_rewarded_by() {
    let folder = tempfile::tempdir().unwrap();
    let scene = "train = \"scenes:seed=1,count=1,split=train\"\n[self_critical]\nweight = 1.0\n";
    let error = run(&args(folder.path(), "joint", scene), &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("at least 2 pictures with captions"), "{error:#}");
}
