//! Requests about fresh scenes.

use clap::ValueEnum;
use mue_bench::load::is_of_share;
use mue_data::preprocess;
use mue_data::scenes::{SceneSet, Split};
use mue_engine::{Engine, ExitChoice, Image, Request};

/// How requests exit.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Exits {
    /// As the model folder says
    Auto,
    /// Not
    Off,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) exits: Exits,
    /// Share of entailments, 0 to 1.
    pub(crate) entailments: f64,
}

/// Requests of one round; every policy gets the same.
pub(crate) fn make(
    engine: &Engine,
    mix: Mix,
    count: usize,
    round: u64,
) -> anyhow::Result<Vec<Request>> {
    let exit = match mix.exits {
        Exits::Auto => ExitChoice::Auto,
        Exits::Off => ExitChoice::Off,
    };
    let model = engine.model();
    let side = model.settings().image_size;
    let scenes = SceneSet::new(round, Split::Test);
    (0..count)
        .map(|place| {
            let scene = scenes.scene(place as u64);
            let image = Image::new(preprocess(&scene.image(), side, side));
            let is_entailment = is_of_share(place, mix.entailments);
            Ok(match (is_entailment, scene.hypotheses(1).first()) {
                (true, Some(hypothesis)) => {
                    model.entailment(image, exit.clone(), (None, hypothesis.text.as_str()))?
                }
                _ => model.caption(image, exit.clone(), &model.settings().search)?,
            })
        })
        .collect()
}
