//! Scenes to learn from and to be evaluated on.

use mue_data::scenes::{
    Colour, Family, Hypothesis, Object, Scene, SceneSet, Shape, Size, Split, scenes_prompts,
    scenes_tokenizer,
};
use mue_data::{Prompts, Tokenizer, TokenizerError, preprocess};

use crate::batch::{Batch, BatchSource, CaptionExample, CellLabels, HypothesisExample};
use crate::config::DataConfig;
use crate::evaluate::{DevExample, DevHypothesis, DevSet};

/// Cells per side of a scene.
const CELLS_PER_SIDE: usize = 3;

/// Longest caption of a scene, with room to go wrong.
const CAPTION_TOKENS_MAX: usize = 30;

/// Hypotheses among which one of an emphasised family is looked for.
const EMPHASIS_DRAWS: usize = 32;

/// Longest prompt about a scene; the model has positions for more.
const PROMPT_TOKENS_MAX: usize = 60;

/// Classes of shape, colour and size of a cell; class 0 is an empty cell.
pub const CELL_CLASSES: [usize; 3] =
    [Shape::ALL.len() + 1, Colour::ALL.len() + 1, Size::ALL.len() + 1];

/// Endless scenes as batches.
#[derive(Debug)]
pub struct Scenes {
    set: SceneSet,
    tokenizer: Tokenizer,
    prompts: Prompts,
    pictures: usize,
    hypotheses: usize,
    emphasis: Vec<Family>,
}

impl Scenes {
    /// Training scenes of a seed.
    ///
    /// # Errors
    ///
    /// If the scenes' tokenizer cannot be made.
    pub fn new(seed: u64, config: &DataConfig) -> Result<Self, TokenizerError> {
        Ok(Self {
            set: SceneSet::new(seed, Split::Train),
            tokenizer: scenes_tokenizer()?,
            prompts: scenes_prompts(),
            pictures: config.pictures,
            hypotheses: config.hypotheses,
            emphasis: config.emphasis.iter().filter_map(|name| Family::named(name)).collect(),
        })
    }

    /// Ids of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    /// The first scenes of the development split.
    pub fn dev_set(&self, pictures: usize) -> DevSet {
        let set = SceneSet::new(self.set.seed(), Split::Dev);
        let examples = (0..pictures as u64).map(|index| {
            let scene = set.scene(index);
            let hypotheses = scene.hypotheses(DEV_HYPOTHESES).into_iter();
            DevExample {
                pixels: pixels(&scene),
                caption: self.tokenizer.encode(&scene.captions()[0]),
                hypotheses: hypotheses
                    .filter_map(|it| {
                        Some(DevHypothesis {
                            family: it.family.name().to_owned(),
                            prompt: self.prompt(&it.text)?,
                            answer: self.tokenizer.token_id(it.label.word())?,
                        })
                    })
                    .collect(),
            }
        });
        let words = mue_data::scenes::SceneLabel::ALL.map(|label| label.word());
        DevSet {
            image_size: [Scene::SIDE; 2],
            caption_prompt: self.prompts.caption_ids(&self.tokenizer),
            answers: words.iter().filter_map(|word| self.tokenizer.token_id(word)).collect(),
            caption_tokens_max: CAPTION_TOKENS_MAX,
            examples: examples.collect(),
        }
    }

    /// Hypotheses to learn from. With an emphasis, the last one gives way to the first that
    /// follows about such a family.
    fn hypotheses(&self, scene: &Scene) -> Vec<Hypothesis> {
        if self.emphasis.is_empty() || self.hypotheses == 0 {
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

    /// The prompt of a hypothesis; none if there is nothing in it.
    fn prompt(&self, hypothesis: &str) -> Option<Vec<u32>> {
        self.prompts.entailment_ids(&self.tokenizer, None, hypothesis, PROMPT_TOKENS_MAX).ok()
    }
}

/// Hypotheses about each development scene.
const DEV_HYPOTHESES: usize = 6;

impl BatchSource for Scenes {
    fn batch(&self, number: u64) -> Batch {
        let first = number * self.pictures as u64;
        let mut batch = Batch {
            image_size: [Scene::SIDE; 2],
            pixels: Vec::new(),
            eos: Tokenizer::EOS,
            caption_prompt: self.prompts.caption_ids(&self.tokenizer),
            captions: Vec::new(),
            hypotheses: Vec::new(),
            cells: None,
            cell_classes: CELL_CLASSES.to_vec(),
        };
        let mut classes = Vec::new();
        for picture in 0..self.pictures {
            let scene = self.set.scene(first + picture as u64);
            batch.pixels.extend(pixels(&scene));
            let tokens = self.tokenizer.encode(&scene.captions()[0]);
            batch.captions.push(CaptionExample { picture, tokens });
            for hypothesis in self.hypotheses(&scene) {
                let prompt = self.prompt(&hypothesis.text);
                let answer = self.tokenizer.token_id(hypothesis.label.word());
                if let (Some(prompt), Some(answer)) = (prompt, answer) {
                    batch.hypotheses.push(HypothesisExample { picture, prompt, answer });
                }
            }
            classes.extend(scene.cells().iter().flat_map(|cell| cell_classes(*cell)));
        }
        batch.cells = Some(CellLabels { side: CELLS_PER_SIDE, classes });
        batch
    }
}

fn pixels(scene: &Scene) -> Vec<f32> {
    preprocess(&scene.image(), Scene::SIDE, Scene::SIDE).values
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

    fn scenes() -> Scenes {
        let config = DataConfig { pictures: 5, hypotheses: 3, ..DataConfig::default() };
        Scenes::new(3, &config).unwrap()
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
        let plain = Scenes::new(3, &config).unwrap();
        let emphatic = Scenes::new(3, &DataConfig { emphasis, ..config }).unwrap();
        let two_hop = |it: &Hypothesis| it.family == Family::TwoHop;
        for index in 0..200 {
            let scene = plain.set.scene(index);
            let (ours, usual) = (emphatic.hypotheses(&scene), plain.hypotheses(&scene));
            assert_eq!((ours.len(), &ours[..2]), (3, &usual[..2]));
            // Of a hundred draws one is a two-hop relation, or the scene has not what it takes.
            let possible = scene.hypotheses(100).iter().any(two_hop);
            assert_eq!(two_hop(&ours[2]), possible, "{index}");
        }
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
