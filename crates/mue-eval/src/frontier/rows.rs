//! Chosen rules, run beside full depth.

use mue_data::datasets::Task;
use mue_engine::{BranchRule, ExitChoice, ExitRules};

use super::choose::{Choice, LEVELS};
use super::{Comparison, Contender, Frontier, FrontierPlan, GridPoint, Row, Rule};
use crate::answers::{Way, ask};
use crate::measure::{
    ExitLayers, by_picture, layers, macs, mean, median, pairs, retention, saved, sums_by_picture,
};
use crate::search::{Candidates, Depths, Ground, Search};
use crate::{BootstrapError, EvalData, EvalError, latency, score};

/// Rules of a model that will be a row.
pub(super) struct Entry<'a> {
    contender: Contender<'a>,
    choice: Choice,
}

/// Full depth, what was chosen and what was calibrated.
pub(super) fn of_model<'a>(
    model: &Contender<'a>,
    task: Task,
    choices: Vec<Choice>,
) -> Vec<Entry<'a>> {
    let folder = model.engine.model();
    let (settings, calibration) = (folder.settings(), folder.calibration());
    let (default, calibration) = match task {
        Task::Caption => (&settings.exits.caption, &calibration.caption),
        Task::Entailment => (&settings.exits.entailment, &calibration.entailment),
    };
    let auto = calibration.default_rules(default.as_ref());
    let points = calibration.points.iter().map(|point| &point.exits);
    let others = points.filter(|exits| Some(*exits) != auto);
    let calibrated = auto
        .map(|exits| choice(Rule::Auto, exits))
        .into_iter()
        .chain(others.map(|exits| choice(Rule::Calibrated, exits)));
    let full = choice(Rule::Full, &ExitRules::default());
    let all = [full].into_iter().chain(choices).chain(calibrated);
    all.map(|choice| Entry { contender: *model, choice }).collect()
}

/// Full depth and what was chosen.
pub(super) fn of_other<'a>(
    model: &Contender<'a>,
    choices: Vec<Choice>,
) -> impl Iterator<Item = Entry<'a>> {
    let full = choice(Rule::Full, &ExitRules::default());
    let all = [full].into_iter().chain(choices);
    all.map(|choice| Entry { contender: *model, choice })
}

fn choice(rule: Rule, exits: &ExitRules) -> Choice {
    Choice { rule, levels: Vec::new(), exits: exits.clone() }
}

/// Runs every entry, the first of which is the model's full depth, and every static truncation.
pub(super) fn measure(
    model: &Contender<'_>,
    ((tuned_on, tuning_samples), data): ((&str, usize), &EvalData),
    entries: Vec<Entry<'_>>,
    plan: &FrontierPlan<'_>,
) -> Result<Frontier, EvalError> {
    let progress = |what: &'static str| move |done, total| (plan.progress)(what, done, total);
    let exit = |entry: &Entry<'_>| ExitChoice::Rules(entry.choice.exits.clone());
    let ways: Vec<Way<'_>> = entries
        .iter()
        .map(|entry| Way { engine: entry.contender.engine, exit: exit(entry) })
        .collect();
    let answers = ask(&ways, (data, 0..data.len()), &progress("running the chosen exits"))?;
    let grid = grid(model, data, &progress("running static truncations"))?;
    let ways: Vec<Way<'_>> = entries
        .iter()
        .map(|entry| Way { engine: entry.contender.clock, exit: exit(entry) })
        .collect();
    let clocks = latency::measure(&ways, (data, plan.timed), &progress("timing one at a time"))?;
    let scores = score(&answers.truths, &answers.replies)?;

    let costs: Vec<Vec<f64>> =
        answers.replies.iter().map(|replies| replies.iter().map(macs).collect()).collect();
    let measured = Measured { costs, pictures: &answers.pictures, clocks, plan };
    let mut rows = Vec::with_capacity(entries.len());
    for (way, entry) in entries.into_iter().enumerate() {
        let (scored, replies) = (&scores[way], &answers.replies[way]);
        let samples = pairs(scored.samples.iter().copied(), scores[0].samples.iter().copied());
        let samples = sums_by_picture(&answers.pictures, samples);
        let retention = retention(&plan.bootstrap, &samples, way == 0)?;
        let exit_layers = ExitLayers::of(replies);
        let encoding = entry.contender.engine.model().settings().encoding;
        let kept = retention.map(|interval| interval.estimate);
        let (macs_saved, wall_saved) = measured.less(way, 0)?;
        rows.push(Row {
            rule: entry.choice.rule,
            model: entry.contender.name.map(str::to_owned),
            levels: entry.choice.levels,
            exits: entry.choice.exits,
            quality: scored.quality.clone(),
            retention,
            layers: layers(replies),
            layers_saved: exit_layers.saved(data.task(), encoding),
            exit_layers,
            macs: mean(measured.costs[way].iter().copied()),
            macs_saved,
            wall_ms_p50: median(&measured.clocks[way]),
            wall_saved,
            hindsight: kept.and_then(|kept| cheapest_static(&grid, kept)).cloned(),
        });
    }
    Ok(Frontier {
        task: data.task(),
        tuned_on: tuned_on.to_owned(),
        tuning_samples,
        samples: answers.ids.len(),
        timed_samples: measured.clocks.first().map_or(0, Vec::len),
        comparisons: measured.comparisons(&rows)?,
        rows,
        static_grid: grid,
    })
}

/// Costs by row and sample.
struct Measured<'a> {
    costs: Vec<Vec<f64>>,
    /// By sample.
    pictures: &'a [String],
    clocks: Vec<Vec<f64>>,
    plan: &'a FrontierPlan<'a>,
}

impl Measured<'_> {
    /// Shares of one row's multiply-accumulates and time that another saves.
    fn less(
        &self,
        row: usize,
        than: usize,
    ) -> Result<(crate::Interval, crate::Interval), BootstrapError> {
        let both =
            |values: &[Vec<f64>]| pairs(values[row].iter().copied(), values[than].iter().copied());
        let (bootstrap, pictures) = (&self.plan.bootstrap, self.pictures);
        let macs = bootstrap.ratio(&sums_by_picture(pictures, both(&self.costs)))?;
        let wall = bootstrap.median_ratio(&by_picture(pictures, both(&self.clocks)))?;
        Ok((saved(macs), saved(wall)))
    }

    fn comparisons(&self, rows: &[Row]) -> Result<Vec<Comparison>, BootstrapError> {
        let place = |rule: Rule, level: f64| {
            let is_it =
                |row: &Row| row.rule == rule && row.model.is_none() && row.levels.contains(&level);
            rows.iter().position(is_it)
        };
        let mut comparisons = Vec::new();
        for level in LEVELS {
            let Some(than) = place(Rule::Static, level) else { continue };
            for rule in Rule::tuned().filter(|rule| *rule != Rule::Static) {
                let Some(row) = place(rule, level) else { continue };
                let (macs_less, wall_less) = self.less(row, than)?;
                comparisons.push(Comparison { level, rule, macs_less, wall_less });
            }
        }
        Ok(comparisons)
    }
}

/// Every static truncation of a model, the cheapest first.
fn grid(
    model: &Contender<'_>,
    data: &EvalData,
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<GridPoint>, EvalError> {
    let engine = model.engine;
    let depths = Depths::of(engine, data.task());
    let mut search = Search::begin(Ground { engine, data, samples: data.len(), progress })?;
    let mut trials = search.all(&Candidates::fixed(depths))?;
    trials.sort_by(|a, b| a.macs.total_cmp(&b.macs));
    // The deepest truncation is full depth.
    let full = trials.last().map_or(1.0, |trial| trial.macs);
    let points = trials.into_iter().map(|trial| GridPoint {
        exits: trial.rules,
        retention: trial.retention,
        macs: trial.macs,
        macs_saved: 1.0 - trial.macs / full,
    });
    Ok(points.collect())
}

/// The cheapest that keeps so much, of a grid that begins with the cheapest.
pub(super) fn cheapest_static(grid: &[GridPoint], retention: f64) -> Option<&GridPoint> {
    grid.iter().find(|point| point.retention >= retention - 1e-9)
}

/// The depths of a static truncation: image, text, decoder.
pub(super) fn depths_of(exits: &ExitRules) -> [Option<usize>; 3] {
    [&exits.image, &exits.text, &exits.decoder].map(|rule| match rule {
        BranchRule::Fixed(layers) => Some(*layers),
        _ => None,
    })
}
