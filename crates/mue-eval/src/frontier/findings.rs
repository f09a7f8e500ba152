//! What a frontier says, in sentences made of its figures: also where the paper's claims do not
//! hold.

use mue_data::datasets::Task;
use mue_engine::{BranchRule, ExitRules};

use super::rows::depths_of;
use super::table::{depths, less, percent_of_level};
use super::{Frontier, Row, Rule, in_words};
use crate::Interval;
use crate::report::{kept, percent, spread};

/// The level of the headline, and what adaptive exits are to save of static truncation there.
const HEADLINE: f64 = 0.99;
const MARK: f64 = 0.1;

/// What the paper says that MuE saves (its table 1), in layers, and at which level.
fn claim(task: Task) -> (f64, f64) {
    match task {
        Task::Entailment => (0.5, 0.99),
        Task::Caption => (0.4, 0.96),
    }
}

/// What the figures say.
pub fn findings(frontier: &Frontier) -> Vec<String> {
    let all = [headline, signals, auto, paper, one_threshold, rivals, layers_alone, branches];
    let found = all.into_iter().filter_map(|finding| finding(frontier));
    found.chain(ablations(frontier)).collect()
}

fn headline(frontier: &Frontier) -> Option<String> {
    let level = percent_of_level(HEADLINE);
    let (Some(best), Some(fixed)) =
        (frontier.at(Rule::Any, HEADLINE), frontier.at(Rule::Static, HEADLINE))
    else {
        return Some(format!("No exits kept {level} of the quality on the tuning data."));
    };
    let of = |row: &Row| in_words(&row.exits, frontier.task);
    if is_static(best) {
        return Some(format!(
            "Adaptive against static at {level} on the tuning data: nothing adaptive is cheaper \
             than a static truncation ({}), so adaptive exits do not earn their keep here.",
            of(fixed)
        ));
    }
    let compared = frontier.comparison(Rule::Any, HEADLINE)?;
    let met = match (compared.macs_less.estimate >= MARK, compared.wall_less.estimate >= MARK) {
        (true, true) => "That is at least 10% less in both.",
        (true, false) => "That is at least 10% less in MACs, not in time.",
        (false, true) => "That is at least 10% less in time, not in MACs.",
        (false, false) => "That is not 10% less in either.",
    };
    Some(format!(
        "Adaptive against static, both the cheapest at {level} on the tuning data: the best \
         adaptive exits ({}) cost {} than the best static truncation ({}) in MACs and {} in time, \
         and kept {} against {}. {met}",
        of(best),
        less_of(compared.macs_less),
        of(fixed),
        less_of(compared.wall_less),
        kept(best.retention),
        kept(fixed.retention),
    ))
}

fn signals(frontier: &Frontier) -> Option<String> {
    let rules = Rule::tuned().filter(|rule| match rule {
        Rule::Static => false,
        // Not every task has it.
        Rule::Deferral => frontier.of_rule(*rule).next().is_some(),
        _ => true,
    });
    let said: Vec<String> = rules
        .map(|rule| match frontier.comparison(rule, HEADLINE) {
            Some(compared) => format!("{} {}", rule.name(), less(compared.macs_less.estimate)),
            None => format!("{} kept too little", rule.name()),
        })
        .collect();
    frontier.at(Rule::Static, HEADLINE)?;
    Some(format!(
        "Which signal does it, in MACs against static truncation at the same {}: {}.",
        percent_of_level(HEADLINE),
        said.join(", ")
    ))
}

fn auto(frontier: &Frontier) -> Option<String> {
    let row = frontier.of_rule(Rule::Auto).next()?;
    let against = row.hindsight.as_ref().map(|point| {
        let compared = less(1.0 - point.macs / row.macs);
        format!(
            " Chosen in hindsight on these very answers, which favours it, the cheapest static \
             truncation that keeps as much ({}) costs {compared}.",
            depths(point)
        )
    });
    Some(format!(
        "`auto` ({}) kept {} of the quality and saved {} of the layers, {} of the MACs and {} of \
         the time.{}",
        in_words(&row.exits, frontier.task),
        kept(row.retention),
        percent(row.layers_saved),
        spread(row.macs_saved),
        spread(row.wall_saved),
        against.unwrap_or_default()
    ))
}

fn paper(frontier: &Frontier) -> Option<String> {
    let (claimed, level) = claim(frontier.task);
    let claim = format!(
        "The paper's claim is {} of the layers at {} of the quality by one threshold per branch.",
        percent(claimed),
        percent_of_level(level)
    );
    let Some(row) = frontier.at(Rule::Mue, level) else {
        return Some(format!("{claim} Here no such thresholds kept that: it does not hold."));
    };
    let figures = [
        ("layers", row.layers_saved),
        ("MACs", row.macs_saved.estimate),
        ("time", row.wall_saved.estimate),
    ];
    let (holds, fails): (Vec<_>, Vec<_>) =
        figures.into_iter().partition(|(_, saved)| *saved >= claimed);
    let names = |figures: &[(&str, f64)]| {
        figures.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" and ")
    };
    let verdict = match (holds.as_slice(), fails.as_slice()) {
        (_, []) => "it holds in layers, MACs and time".to_owned(),
        ([], _) => "it does not hold, neither in layers nor in MACs nor in time".to_owned(),
        (holds, fails) => {
            format!("it holds in {}, and not in {}", names(holds), names(fails))
        }
    };
    let is_lost = row.retention.is_some_and(|interval| interval.high < level);
    let verdict =
        if is_lost { "it does not hold, the quality is lost".to_owned() } else { verdict };
    Some(format!(
        "{claim} Here that rule, tuned to {}, saves {} of the layers, {} of the MACs and {} of the \
         time and keeps {}: {verdict}.",
        percent_of_level(level),
        percent(row.layers_saved),
        percent(row.macs_saved.estimate),
        percent(row.wall_saved.estimate),
        kept(row.retention),
    ))
}

fn one_threshold(frontier: &Frontier) -> Option<String> {
    let compared: Vec<_> =
        frontier.comparisons.iter().filter(|compared| compared.rule == Rule::Mue).collect();
    let cheaper = compared.iter().filter(|compared| compared.macs_less.low > 0.0).count();
    let by_level: Vec<String> = compared
        .iter()
        .map(|it| format!("{} at {}", less(it.macs_less.estimate), percent_of_level(it.level)))
        .collect();
    let verdict = match cheaper {
        0 => "it beats static truncation at none of them".to_owned(),
        all if all == compared.len() => "it beats static truncation at all of them".to_owned(),
        some => format!("it beats static truncation at {some} of {}", compared.len()),
    };
    (!compared.is_empty()).then(|| {
        format!(
            "The paper does not compare with static truncation. In MACs, tuned to the same levels, \
             one threshold per branch costs {}: {verdict}.",
            by_level.join(", ")
        )
    })
}

fn rivals(frontier: &Frontier) -> Option<String> {
    let (_, level) = claim(frontier.task);
    let saved = |rule| Some(frontier.at(rule, level)?.macs_saved.estimate);
    let mue = saved(Rule::Mue)?;
    let than = |(name, rule): (&str, Rule)| {
        let saved = saved(rule)?;
        let size = match less(mue - saved).as_str() {
            "the same" => "as much as",
            _ if mue > saved => "more than",
            _ => "less than",
        };
        Some(format!("{size} {name} ({})", percent(saved)))
    };
    let rivals = [("entropy", Rule::Entropy), ("patience", Rule::Patience)];
    let compared: Vec<String> = rivals.into_iter().filter_map(than).collect();
    (!compared.is_empty()).then(|| {
        format!(
            "In the paper MuE saves more than entropy (DeeBERT) and patience (PABEE). Here, tuned to \
             {}, it saves {} of the MACs: {}. (These two decide in the decoder, with encoder branches \
             of the best static depths.)",
            percent_of_level(level),
            percent(mue),
            compared.join(" and ")
        )
    })
}

fn layers_alone(frontier: &Frontier) -> Option<String> {
    let row = frontier.of_rule(Rule::Auto).next()?;
    let (macs, wall) = (row.macs_saved.estimate, row.wall_saved.estimate);
    (row.layers_saved > macs.max(wall)).then(|| {
        format!(
            "Layers alone flatter: of `auto` they say {}, where MACs say {} and the clock {}; the \
             stem and the LM head are no layers.",
            percent(row.layers_saved),
            percent(macs),
            percent(wall)
        )
    })
}

fn branches(frontier: &Frontier) -> Option<String> {
    let point = frontier.cheapest_static(HEADLINE)?;
    let level = percent_of_level(HEADLINE);
    let found = format!("The cheapest static truncation that keeps {level} of these answers is");
    match (frontier.task, depths_of(&point.exits)) {
        (Task::Entailment, [Some(image), Some(text), _]) => {
            let verdict = match image < text {
                true => "and so it is here",
                false => "which does not hold here",
            };
            let depths = depths(point);
            Some(format!(
                "{found} {depths} (image / text / decoder). In the paper entailment wants the text \
                 deep and the image shallow, {verdict}."
            ))
        }
        (Task::Caption, [Some(image), _, Some(decoder)]) => Some(format!(
            "{found} image {image}, decoder {decoder}. In the paper captions want the image deep \
             and the text shallow; here the prompt is the same for all and its branch is encoded \
             once."
        )),
        _ => None,
    }
}

fn ablations(frontier: &Frontier) -> Vec<String> {
    let (_, level) = claim(frontier.task);
    let fulls = frontier.rows.iter().filter(|row| row.rule == Rule::Full);
    let others = fulls.filter_map(|row| Some((row.model.as_ref()?, row)));
    let finding = |(name, full): (&String, &Row)| {
        let is_it = |row: &&Row| {
            row.model.as_ref() == Some(name) && row.rule == Rule::Mue && row.levels.contains(&level)
        };
        let level = percent_of_level(level);
        let with_exits = match frontier.rows.iter().find(is_it) {
            Some(row) => format!(
                "with one threshold per branch, tuned to {level} of the model's quality, it keeps \
                 {} and saves {} of the layers, {} of the MACs and {} of the time",
                kept(row.retention),
                percent(row.layers_saved),
                percent(row.macs_saved.estimate),
                percent(row.wall_saved.estimate)
            ),
            None => format!("no thresholds kept {level} of the model's quality"),
        };
        let full = kept(full.retention);
        format!("{name}: at full depth it has {full} of the model's quality; {with_exits}.")
    };
    others.map(finding).collect()
}

/// Whether every sample leaves at the same depths.
fn is_static(row: &Row) -> bool {
    let fixed = |rule: &BranchRule| matches!(rule, BranchRule::Fixed(_) | BranchRule::Full);
    let ExitRules { image, text, decoder, deferral } = &row.exits;
    deferral.is_none() && [image, text, decoder].into_iter().all(fixed)
}

/// A comparison and how sure it is.
fn less_of(interval: Interval) -> String {
    let Interval { estimate, low, high } = interval;
    let (low, high) = if estimate >= 0.0 { (low, high) } else { (-high, -low) };
    format!("{} ({:.1} to {:.1})", less(estimate), 100.0 * low, 100.0 * high)
}
