//! A frontier of a small random model beside another, and made-up ones.

use std::sync::OnceLock;

use mue_data::datasets::{DatasetOptions, Task};
use mue_engine::{BranchRule, Encoding, Engine, ExitChoice, ExitRules};

use super::*;
use crate::folder::Folder;
use crate::measure::{macs, mean};
use crate::testing::engine;
use crate::{Plan, Report, TaskResult, answer, evaluate, score};

const BOOTSTRAP: Bootstrap = Bootstrap { draws: 100, confidence: 0.95, seed: 0 };

fn data(seed: u64, task: Task) -> EvalData {
    let spec = format!("scenes:seed={seed},count=24").parse().unwrap();
    EvalData::open(&spec, task, &DatasetOptions::default()).unwrap()
}

fn model() -> (Folder, Engine) {
    let folder = Folder::new(2, Encoding::Decomposed);
    let engine = engine(&folder);
    (folder, engine)
}

/// Everything that a run says of entailment, computed once.
pub(crate) fn report() -> Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(run).clone()
}

fn run() -> Report {
    let (_folder, engine) = model();
    let other_folder = Folder::new(3, Encoding::Joint);
    let other_engine = self::engine(&other_folder);
    let (data, tune) = (data(3, Task::Entailment), data(4, Task::Entailment));
    let contender = Contender { name: None, engine: &engine, clock: &engine };
    let other =
        Contender { name: Some("other <model>|1"), engine: &other_engine, clock: &other_engine };
    let progress = |what: &str, done: usize, total: usize| {
        assert!(!what.is_empty() && done <= total, "{what}: {done} of {total}");
    };
    let plan = FrontierPlan { timed: 2, bootstrap: BOOTSTRAP, progress: &progress };
    let frontier = frontier((&contender, &[other]), (&tune, &data), &plan).unwrap();
    let plan = Plan { exit: ExitChoice::Auto, timed: 1, bootstrap: BOOTSTRAP };
    let report = evaluate(&engine, &data, &plan).unwrap().report;
    Report {
        model: "random".into(),
        device: "flex".into(),
        machine: "a machine".into(),
        date: "a day".into(),
        command: "mue eval".into(),
        data: data.name().into(),
        exits: "auto".into(),
        caption: None,
        entailment: Some(TaskResult { report, frontier: Some(frontier) }),
    }
}

fn found() -> Frontier {
    report().entailment.unwrap().frontier.unwrap()
}

/// Accuracy or CIDEr-D, and cost, of rules that are run alone.
fn really(engine: &Engine, data: &EvalData, rules: &[ExitRules]) -> Vec<(f64, f64)> {
    let ways: Vec<ExitChoice> = rules.iter().cloned().map(ExitChoice::Rules).collect();
    let answers = answer(engine, (data, 0..data.len()), &ways).unwrap();
    let scored = score(&answers.truths, &answers.replies).unwrap();
    let costs = answers.replies.iter().map(|replies| mean(replies.iter().map(macs)));
    scored.iter().map(|scored| scored.quality.main()).zip(costs).collect()
}

#[test]
fn rows_are_what_a_run_of_their_rules_gives() {
    let frontier = found();
    let (_folder, engine) = model();
    let own: Vec<&Row> = frontier.rows.iter().filter(|row| row.model.is_none()).collect();
    let rules: Vec<ExitRules> = own.iter().map(|row| row.exits.clone()).collect();
    let really = really(&engine, &data(3, Task::Entailment), &rules);
    let (full, full_macs) = really[0];
    assert_eq!(own[0].rule, Rule::Full);
    for (row, (quality, macs)) in own.into_iter().zip(really) {
        assert_eq!(row.quality.main(), quality, "{row:?}");
        assert!((row.retention.unwrap().estimate - quality / full).abs() < 1e-9);
        assert!((row.macs - macs).abs() < 1e-6);
        assert!((row.macs_saved.estimate - (1.0 - macs / full_macs)).abs() < 1e-9);
    }
}

#[test]
fn every_family_that_was_tuned_has_rows_and_so_has_the_other_model() {
    let frontier = found();
    for rule in Rule::tuned() {
        let levels: usize = frontier.of_rule(rule).map(|row| row.levels.len()).sum();
        assert_eq!(levels, choose::LEVELS.len(), "full depth is a case of {rule:?}");
    }
    // Whatever one signal can do, the best of all can, on the data it was tuned on.
    assert!(frontier.at(Rule::Any, 0.99).is_some());
    let other: Vec<&Row> = frontier.rows.iter().filter(|row| row.model.is_some()).collect();
    assert_eq!(other[0].rule, Rule::Full);
    assert!(other[0].retention.unwrap().estimate > 0.0, "relative to the model's full depth");
    // It is a joint one, whose encoder is one branch of three layers.
    for Row { layers: [image, _, decoder], layers_saved, .. } in other {
        assert!((layers_saved - (1.0 - (image + decoder) / 6.0)).abs() < 1e-9, "{layers_saved}");
    }
    assert_eq!((frontier.timed_samples, frontier.tuning_samples), (2, 24));
    assert!(frontier.rows.iter().all(|row| row.wall_ms_p50 > 0.0));
}

#[test]
fn the_grid_of_static_truncations_is_exact() {
    let (_folder, engine) = model();
    let data = data(3, Task::Entailment);
    let frontier = found();
    let rules: Vec<ExitRules> =
        frontier.static_grid.iter().map(|point| point.exits.clone()).collect();
    let depths: std::collections::BTreeSet<_> = rules.iter().map(rows::depths_of).collect();
    assert_eq!(depths.len(), 27, "each of three depths of three branches");
    let really = really(&engine, &data, &rules);
    let full = really.last().unwrap();
    for (point, (quality, macs)) in frontier.static_grid.iter().zip(&really) {
        assert!((point.retention - quality / full.0).abs() < 1e-9, "{point:?}");
        assert!((point.macs / macs - 1.0).abs() < 1e-9, "{point:?}");
        assert!((point.macs_saved - (1.0 - macs / full.1)).abs() < 1e-9, "{point:?}");
    }
    for row in &frontier.rows {
        let hindsight = row.hindsight.as_ref().map(|point| point.macs);
        let kept = row.retention.unwrap().estimate;
        let enough = frontier.static_grid.iter().filter(|point| point.retention >= kept - 1e-9);
        let cheapest = enough.map(|point| point.macs).min_by(f64::total_cmp);
        assert_eq!(hindsight, cheapest, "{row:?}");
    }
}

#[test]
fn captions_have_a_frontier_too() {
    let (_folder, engine) = model();
    let (data, tune) = (data(3, Task::Caption), data(4, Task::Caption));
    let contender = Contender { name: None, engine: &engine, clock: &engine };
    let plan = FrontierPlan { timed: 1, bootstrap: BOOTSTRAP, progress: &|_, _, _| () };
    let frontier = frontier((&contender, &[]), (&tune, &data), &plan).unwrap();
    assert_eq!(frontier.static_grid.len(), 9, "image and decoder; the prompt is constant");
    let rules: Vec<ExitRules> =
        frontier.static_grid.iter().map(|point| point.exits.clone()).collect();
    let really = really(&engine, &data, &rules);
    for (point, (_, macs)) in frontier.static_grid.iter().zip(&really) {
        assert!((point.macs / macs - 1.0).abs() < 1e-9, "{point:?}");
    }
    assert!(!findings(&frontier).is_empty());
}

#[test]
fn the_text_has_every_row_and_says_what_does_not_hold() {
    let report = report();
    let text = report.markdown();
    let frontier = report.entailment.as_ref().unwrap().frontier.as_ref().unwrap();
    for row in &frontier.rows {
        let cells = cells(row).join(" | ").replace(">|1", ">\\|1");
        assert!(text.contains(&format!("| {cells} |")), "{row:?}: {text}");
    }
    // The random model loses nothing and gains nothing: half of the layers cannot be saved so.
    for finding in findings(frontier) {
        assert!(text.contains(&finding));
    }
    let json = serde_json::to_value(&report).unwrap();
    let entailment = &json["entailment"];
    assert!(entailment["full"].is_object() && entailment["retention"].is_f64());
    let rows = entailment["frontier"]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["rule"]), (frontier.rows.len(), &"full".into()));
    assert!(rows[1]["layers"]["decoder"].is_f64() && rows[1]["exits"]["image"].is_object());
}

/// A frontier with two rows at the headline's level, which cost so much of full depth.
fn made_up(fixed: f64, any: f64) -> Frontier {
    let interval = |estimate: f64| Interval { estimate, low: estimate, high: estimate };
    let template = found().rows.remove(0);
    let row = |rule, decoder, macs: f64| Row {
        rule,
        levels: vec![0.99],
        exits: ExitRules { decoder, ..ExitRules::default() },
        retention: Some(interval(0.991)),
        layers_saved: 0.7,
        macs,
        macs_saved: interval(1.0 - macs),
        wall_saved: interval(0.4),
        hindsight: None,
        ..template.clone()
    };
    let less = interval(1.0 - any / fixed);
    let compared = |rule| Comparison { level: 0.99, rule, macs_less: less, wall_less: less };
    Frontier {
        rows: vec![
            row(Rule::Static, BranchRule::Fixed(2), fixed),
            row(Rule::Mue, BranchRule::Similarity(vec![0.9]), any),
            row(Rule::Any, BranchRule::Probability(vec![0.9]), any),
            row(Rule::Auto, BranchRule::Probability(vec![0.9]), any),
        ],
        comparisons: vec![compared(Rule::Mue), compared(Rule::Any)],
        ..found()
    }
}

#[test]
fn findings_follow_the_figures() {
    let has = |frontier: &Frontier, words: &str| {
        let findings = findings(frontier);
        assert!(findings.iter().any(|it| it.contains(words)), "{words}: {findings:#?}");
    };
    let earned = made_up(0.5, 0.4);
    has(&earned, "cost 20.0% less (20.0 to 20.0) than the best static truncation");
    has(&earned, "That is at least 10% less in both.");
    has(&earned, "top probability kept too little");
    has(&earned, "it holds in layers and MACs, and not in time");
    has(&earned, "costs 20.0% less at 99%: it beats static truncation at all of them");
    has(&earned, "Layers alone flatter: of `auto` they say 70.0%, where MACs say 60.0%");
    let lost = made_up(0.5, 0.6);
    has(&lost, "cost 20.0% more (20.0 to 20.0) than the best static truncation");
    has(&lost, "That is not 10% less in either.");
    has(&lost, "it holds in layers, and not in MACs and time");
    has(&lost, "it beats static truncation at none of them");
    let mut worse = made_up(0.5, 0.4);
    worse.rows[1].retention = Some(Interval { estimate: 0.9, low: 0.88, high: 0.92 });
    has(&worse, "it does not hold, the quality is lost");
    let mut static_is_best = made_up(0.5, 0.5);
    static_is_best.rows[2].exits = static_is_best.rows[0].exits.clone();
    has(&static_is_best, "nothing adaptive is cheaper");
    let mut beside = made_up(0.5, 0.4);
    let mue = beside.rows[1].clone();
    beside.rows.push(Row { rule: Rule::Entropy, ..mue.clone() });
    has(&beside, "tuned to 99%, it saves 60.0% of the MACs: as much as entropy (60.0%).");
    let more = Interval { estimate: 0.7, low: 0.7, high: 0.7 };
    beside.rows.push(Row { rule: Rule::Patience, macs_saved: more, ..mue });
    has(&beside, ": as much as entropy (60.0%) and less than patience (70.0%).");
    assert!(!findings(&earned).iter().any(|it| it.contains("DeeBERT) and patience")));
    let nothing = Frontier { rows: Vec::new(), ..earned };
    has(&nothing, "No exits kept 99%");
    has(&nothing, "it does not hold");
}
