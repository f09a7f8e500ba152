//! Operating points of each family: the cheapest rules that keep a level of quality on the tuning
//! data.

use mue_data::datasets::Task;
use mue_engine::ExitRules;

use super::{Contender, Rule};
use crate::search::{Depths, Ground, Search, Trial, frontier};
use crate::{EvalData, EvalError};

/// Levels of retention that operating points are chosen for.
pub(crate) const LEVELS: [f64; 5] = [0.99, 0.98, 0.97, 0.96, 0.95];

/// How far below the lowest level rules may be in a first look.
const MARGIN: f64 = 0.03;

/// Captions of the first look, since each of their rules costs a run.
const FIRST_LOOK: usize = 512;

/// Rules of a family of which all captions are run, at most.
const SECOND_LOOK: usize = 16;

/// Rules of a family, and the levels that they were chosen for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) rule: Rule,
    pub(super) levels: Vec<f64>,
    pub(super) exits: ExitRules,
}

/// Full depth's quality on the samples of the first look and on all.
#[derive(Clone, Copy)]
pub(super) struct Baselines {
    first: f64,
    all: f64,
    /// How many were answered of all.
    pub(super) samples: usize,
}

/// Chooses for some families of a model. Retention is relative to its own full depth, or to that
/// of the model whose baselines are given.
pub(super) fn choose(
    contender: &Contender<'_>,
    data: &EvalData,
    (rules, baselines): (&[Rule], Option<Baselines>),
    progress: &dyn Fn(&str, usize, usize),
) -> Result<(Vec<Choice>, Baselines), EvalError> {
    let (task, engine) = (data.task(), contender.engine);
    let first = if task == Task::Caption { data.len().min(FIRST_LOOK) } else { data.len() };
    let model = contender.name.unwrap_or("the model");
    let what = format!("searching exits of {model}");
    let watching = |done, total| progress(&what, done, total);
    let ground = |samples| Ground { engine, data, samples, progress: &watching };
    let mut search = Search::begin(ground(first))?;
    let mut again = match task {
        Task::Caption if first < data.len() => Some(Search::begin(ground(data.len()))?),
        _ => None,
    };
    let baselines = baselines.unwrap_or_else(|| {
        let all = again.as_ref().unwrap_or(&search);
        Baselines { first: search.baseline(), all: all.baseline(), samples: all.samples() }
    });
    search.compare_with(baselines.first);
    if let Some(again) = &mut again {
        again.compare_with(baselines.all);
    }
    let (watched, depths) = (search.watched(), Depths::of(engine, task));
    let lowest = LEVELS.into_iter().fold(1.0, f64::min) - MARGIN;
    let mut choices = Vec::new();
    // The best of all signals is at least as good as each of them.
    let mut tried: Vec<Trial> = Vec::new();
    for rule in rules {
        let candidates = rule.candidates(&watched, depths, task);
        let mut trials = search.trials(&candidates, lowest)?;
        if let Some(Search::Captions(again)) = &mut again {
            let likely = frontier(trials, (lowest, SECOND_LOOK));
            trials = again.run(likely.into_iter().map(|trial| trial.rules).collect())?;
        }
        if *rule == Rule::Any {
            trials.append(&mut tried);
        }
        choices.extend(points(*rule, &trials));
        tried.extend(trials);
    }
    Ok((choices, baselines))
}

/// The cheapest trial of each level; one that serves several levels comes once.
fn points(rule: Rule, trials: &[Trial]) -> Vec<Choice> {
    let mut choices: Vec<Choice> = Vec::new();
    for level in LEVELS {
        let Some(trial) = cheapest(trials, level) else { continue };
        match choices.iter_mut().find(|choice| choice.exits == trial.rules) {
            Some(choice) => choice.levels.push(level),
            None => {
                let exits = trial.rules.clone();
                choices.push(Choice { rule, levels: vec![level], exits });
            }
        }
    }
    choices
}

fn cheapest(trials: &[Trial], level: f64) -> Option<&Trial> {
    // A share of correct answers may miss a level by rounding alone.
    let enough = trials.iter().filter(|trial| trial.retention >= level - 1e-9);
    enough.min_by(|a, b| a.macs.total_cmp(&b.macs).then(b.retention.total_cmp(&a.retention)))
}

#[cfg(test)]
mod tests {
    use mue_data::datasets::{DataSpec, DatasetOptions, write_scenes};
    use mue_data::scenes::{SceneSet, Split};
    use mue_engine::{BranchRule, Encoding};

    use super::*;
    use crate::folder::Folder;
    use crate::testing::engine;

    #[test]
    fn each_level_gets_its_cheapest_and_one_may_serve_several() {
        let trial = |layers, retention, macs| Trial {
            rules: ExitRules { image: BranchRule::Fixed(layers), ..ExitRules::default() },
            retention,
            macs,
        };
        let trials = [
            trial(1, 0.955, 10.0),
            trial(2, 0.981, 20.0),
            trial(3, 0.975, 30.0),
            trial(4, 0.98, 20.0),
        ];
        let found: Vec<(BranchRule, Vec<f64>)> = points(Rule::Static, &trials)
            .into_iter()
            .map(|choice| (choice.exits.image, choice.levels))
            .collect();
        // None keeps .99; the third is dearer and worse, the fourth no better.
        let expected =
            [(BranchRule::Fixed(2), vec![0.98, 0.97, 0.96]), (BranchRule::Fixed(1), vec![0.95])];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_cannot_be_read_is_none_of_the_samples_that_were_tuned_on() {
        let files = tempfile::tempdir().unwrap();
        write_scenes(files.path(), SceneSet::new(5, Split::Dev), 4).unwrap();
        std::fs::remove_file(files.path().join("images/000002.png")).unwrap();
        let spec = DataSpec::Path(files.path().to_owned());
        let options = DatasetOptions { problems_max: 9, ..DatasetOptions::default() };
        let folder = Folder::new(2, Encoding::Decomposed);
        let engine = engine(&folder);
        let contender = Contender { name: None, engine: &engine, clock: &engine };
        for task in [Task::Caption, Task::Entailment] {
            let data = EvalData::open(&spec, task, &options).unwrap();
            let (_, baselines) = choose(&contender, &data, (&[], None), &|_, _, _| ()).unwrap();
            assert_eq!((data.len(), baselines.samples), (4, 3), "{task:?}");
        }
    }
}
