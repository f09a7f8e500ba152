//! Scenes to learn from and to be evaluated on.

use std::sync::Arc;

use mue_data::Tokenizer;
use mue_data::scenes::{Colour, Family, Hypothesis, Object, Scene, SceneSet, Shape, Size, Split};

use crate::batch::{
    Batch, BatchSource, CaptionExample, CellLabels, HypothesisExample, Supplied, Supply,
};
use crate::config::DataConfig;
use crate::evaluate::{DevExample, DevHypothesis, DevSet};
use crate::interface::Interface;

/// Cells per side of a scene.
const CELLS_PER_SIDE: usize = 3;

/// Hypotheses among which one of an emphasised family is looked for.
const EMPHASIS_DRAWS: usize = 32;

/// Classes of shape, colour and size of a cell; class 0 is an empty cell.
pub const CELL_CLASSES: [usize; 3] =
    [Shape::ALL.len() + 1, Colour::ALL.len() + 1, Size::ALL.len() + 1];

/// Endless scenes as batches.
#[derive(Debug)]
pub struct Scenes {
    set: SceneSet,
    interface: Arc<Interface>,
    pictures: usize,
    hypotheses: usize,
    emphasis: Vec<Family>,
    /// Number of the first batch with the emphasis.
    emphasis_from: u64,
}

impl Scenes {
    /// Training scenes of a seed, for a model that is asked so.
    pub fn new(seed: u64, config: &DataConfig, interface: &Arc<Interface>) -> Self {
        Self {
            set: SceneSet::new(seed, Split::Train),
            interface: Arc::clone(interface),
            pictures: config.pictures,
            hypotheses: config.hypotheses,
            emphasis: config.emphasis.iter().filter_map(|name| Family::named(name)).collect(),
            emphasis_from: config.emphasis_after.saturating_mul(config.accumulation as u64),
        }
    }

    /// The references of the first training scenes.
    pub fn references(&self, pictures: usize) -> Vec<Vec<String>> {
        (0..pictures as u64).map(|index| self.set.scene(index).captions().into()).collect()
    }

    /// The first scenes of the development split.
    pub fn dev_set(&self, pictures: usize) -> DevSet {
        let set = SceneSet::new(self.set.seed(), Split::Dev);
        let examples = (0..pictures as u64).map(|index| {
            let scene = set.scene(index);
            let hypotheses = scene.hypotheses(DEV_HYPOTHESES).into_iter();
            DevExample {
                pixels: self.interface.pixels(&scene.image()),
                captions: vec![self.interface.caption(&scene.captions()[0])],
                hypotheses: hypotheses
                    .filter_map(|it| {
                        Some(DevHypothesis {
                            family: it.family.name().to_owned(),
                            prompt: self.prompt(&it.text)?,
                            answer: self.interface.answer(it.label.into()),
                        })
                    })
                    .collect(),
            }
        });
        DevSet { examples: examples.collect(), ..DevSet::new(&self.interface) }
    }

    /// Hypotheses to learn from in a batch. With an emphasis, the last one gives way to the first
    /// that follows about such a family.
    fn hypotheses(&self, scene: &Scene, batch: u64) -> Vec<Hypothesis> {
        let emphatic = !self.emphasis.is_empty() && batch >= self.emphasis_from;
        if !emphatic || self.hypotheses == 0 {
            return scene.hypotheses(self.hypotheses);
        }
        let mut drawn = scene.hypotheses(self.hypotheses + EMPHASIS_DRAWS);
        let mut rest = drawn.split_off(self.hypotheses).into_iter();
        let emphasised = rest.find(|it| self.emphasis.contains(&it.family));
        if let (Some(last), Some(emphasised)) = (drawn.last_mut(), emphasised) {
            *last = emphasised;
        }
        drawn
    }

    /// The prompt of a hypothesis; none if the model has not the positions for it.
    fn prompt(&self, hypothesis: &str) -> Option<Vec<u32>> {
        self.interface.prompt(None, hypothesis).ok()
    }

    /// A caption to learn; none if the model has not the positions for it.
    fn caption(&self, caption: &str) -> Option<Vec<u32>> {
        let tokens = self.interface.caption(caption);
        (tokens.len() < self.interface.prompt_tokens_max).then_some(tokens)
    }
}

/// Hypotheses about each development scene.
const DEV_HYPOTHESES: usize = 6;

impl BatchSource for Scenes {
    fn supply(&self, first: u64) -> Supply<'_> {
        Box::new((first..).map(|number| Ok(Supplied::Batch(self.batch(number)))))
    }
}

impl Scenes {
    fn batch(&self, number: u64) -> Batch {
        let first = number * self.pictures as u64;
        let mut batch = Batch {
            image_size: [self.interface.image_size; 2],
            pixels: Vec::new(),
            eos: Tokenizer::EOS,
            caption_prompt: self.interface.caption_prompt(),
            captions: Vec::new(),
            hypotheses: Vec::new(),
            cells: None,
            cell_classes: CELL_CLASSES.to_vec(),
        };
        let mut classes = Vec::new();
        for picture in 0..self.pictures {
            let scene = self.set.scene(first + picture as u64);
            batch.pixels.extend(self.interface.pixels(&scene.image()));
            let references: Vec<String> = scene.captions().into();
            if let Some(tokens) = self.caption(&references[0]) {
                batch.captions.push(CaptionExample { picture, tokens, references });
            }
            for hypothesis in self.hypotheses(&scene, number) {
                if let Some(prompt) = self.prompt(&hypothesis.text) {
                    let answer = self.interface.answer(hypothesis.label.into());
                    batch.hypotheses.push(HypothesisExample { picture, prompt, answer });
                }
            }
            classes.extend(scene.cells().iter().flat_map(|cell| cell_classes(*cell)));
        }
        batch.cells = Some(CellLabels { side: CELLS_PER_SIDE, classes });
        batch
    }
}

fn cell_classes(cell: Option<Object>) -> [usize; 3] {
    let place = |found: Option<usize>| found.map_or(0, |place| place + 1);
    [
        place(cell.and_then(|it| Shape::ALL.iter().position(|shape| *shape == it.shape))),
        place(cell.and_then(|it| Colour::ALL.iter().position(|colour| *colour == it.colour))),
        place(cell.and_then(|it| Size::ALL.iter().position(|size| *size == it.size))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{SCENE_PROMPT_TOKENS_MAX, SCENE_TOKENS_PER_SIDE};

    fn scenes() -> Scenes {
        let config = DataConfig { pictures: 5, hypotheses: 3, ..DataConfig::default() };
        Scenes::new(3, &config, &Arc::new(Interface::scenes().unwrap()))
    }

    #[test]
    fn a_batch_is_a_function_of_its_number() {
        let scenes = scenes();
        assert_eq!(scenes.batch(7), scenes.batch(7));
        assert_ne!(scenes.batch(7).pixels, scenes.batch(8).pixels);
    }

    #[test]
    fn every_picture_has_its_caption_hypotheses_and_cells() {
        let batch = scenes().batch(0);
        assert_eq!((batch.pictures(), batch.captions.len()), (5, 5));
        assert_eq!(batch.hypotheses.len(), 15);
        let cells = batch.cells.unwrap();
        assert_eq!(cells.classes.len(), 5 * 9 * 3);
        for cell in cells.classes.chunks_exact(3) {
            assert!(cell.iter().all(|class| *class == 0) || cell.iter().all(|class| *class > 0));
        }
        let unknown = 3;
        assert!(batch.captions.iter().all(|caption| !caption.tokens.contains(&unknown)));
        assert!(batch.hypotheses.iter().all(|it| !it.prompt.contains(&unknown)));
    }

    #[test]
    fn an_emphasis_is_on_every_picture_that_has_what_it_takes() {
        let config = DataConfig { hypotheses: 3, ..DataConfig::default() };
        let emphasis = vec!["two-hop".to_owned()];
        let interface = Arc::new(Interface::scenes().unwrap());
        let plain = Scenes::new(3, &config, &interface);
        let emphatic = Scenes::new(3, &DataConfig { emphasis, ..config }, &interface);
        let two_hop = |it: &Hypothesis| it.family == Family::TwoHop;
        for index in 0..200 {
            let scene = plain.set.scene(index);
            let (ours, usual) = (emphatic.hypotheses(&scene, 0), plain.hypotheses(&scene, 0));
            assert_eq!((ours.len(), &ours[..2]), (3, &usual[..2]));
            // Of a hundred draws one is a two-hop relation, or the scene has not what it takes.
            let possible = scene.hypotheses(100).iter().any(two_hop);
            assert_eq!(two_hop(&ours[2]), possible, "{index}");
        }
    }

    #[test]
    fn the_emphasis_begins_behind_its_step_wherever_one_looks_from() {
        let interface = Arc::new(Interface::scenes().unwrap());
        let scenes = |emphasis: &[&str], emphasis_after| {
            let emphasis = emphasis.iter().map(|name| (*name).to_owned()).collect();
            let config = DataConfig { emphasis, emphasis_after, ..DataConfig::default() };
            assert_eq!(config.accumulation, 2);
            Scenes::new(3, &config, &interface)
        };
        let emphasis = ["two-hop"];
        let (plain, emphatic) = (scenes(&[], 0), scenes(&emphasis, 0));
        let later = scenes(&emphasis, 2);
        for number in 0..6 {
            let expected = if number < 4 { &plain } else { &emphatic };
            let Some(Ok(Supplied::Batch(batch))) = later.supply(number).next() else {
                panic!("scenes never end");
            };
            assert_eq!(batch, expected.batch(number), "{number}");
        }
        assert_ne!(plain.batch(4), emphatic.batch(4));
    }

    #[test]
    fn a_model_of_scenes_has_room_for_what_is_said_of_them() {
        let scenes = scenes();
        for number in 0..40 {
            let batch = scenes.batch(number);
            let prompts = batch.hypotheses.iter().map(|it| it.prompt.len());
            let captions = batch.captions.iter().map(|it| it.tokens.len() + 2);
            let longest = prompts.chain(captions).chain([batch.caption_prompt.len()]).max();
            assert!(longest < Some(SCENE_PROMPT_TOKENS_MAX), "{longest:?}");
            assert_eq!(batch.hypotheses.len(), 15, "none was left out");
        }
        assert!(scenes.interface.caption_tokens_max < SCENE_PROMPT_TOKENS_MAX);
        assert_eq!(scenes.interface.image_size, 16 * SCENE_TOKENS_PER_SIDE);
    }

    #[test]
    fn what_a_model_has_no_positions_for_is_left_out() {
        let interface = Interface { prompt_tokens_max: 14, ..Interface::scenes().unwrap() };
        let scenes = Scenes::new(3, &DataConfig::default(), &Arc::new(interface));
        let batches: Vec<Batch> = (0..20).map(|number| scenes.batch(number)).collect();
        let captions: Vec<_> = batches.iter().flat_map(|batch| &batch.captions).collect();
        let hypotheses: Vec<_> = batches.iter().flat_map(|batch| &batch.hypotheses).collect();
        assert!(captions.iter().all(|it| it.tokens.len() < 14) && captions.len() < 320);
        assert!(hypotheses.iter().all(|it| it.prompt.len() <= 14) && hypotheses.len() < 640);
        assert!(!captions.is_empty() && !hypotheses.is_empty());
    }

    #[test]
    fn dev_scenes_are_not_training_scenes() {
        let scenes = scenes();
        let dev = scenes.dev_set(2);
        assert_eq!(dev.answers.len(), 3);
        let trained = scenes.batch(0).pixels;
        assert_ne!(dev.examples[0].pixels[..], trained[..dev.examples[0].pixels.len()]);
    }
}
