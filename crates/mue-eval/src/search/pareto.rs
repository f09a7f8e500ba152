//! Which trials are worth a closer look.

use super::Trial;

/// The frontier of quality and compute, from the safest rules to the cheapest: those that keep at
/// least `lowest`, and of them at most so many, evenly chosen.
pub(crate) fn frontier(mut trials: Vec<Trial>, (lowest, most): (f64, usize)) -> Vec<Trial> {
    trials.sort_by(|a, b| a.macs.total_cmp(&b.macs).then(b.retention.total_cmp(&a.retention)));
    let mut frontier = undominated(trials, |trial| trial.retention);
    let useful = frontier.iter().filter(|trial| trial.retention >= lowest).count();
    frontier.truncate(useful.max(1));
    thin(frontier, most)
}

/// Those that keep more than everything cheaper, from the safest to the cheapest, of points that
/// begin with the cheapest.
pub(crate) fn undominated<T>(
    cheapest_first: impl IntoIterator<Item = T>,
    retention: impl Fn(&T) -> f64,
) -> Vec<T> {
    let mut frontier: Vec<T> = Vec::new();
    for point in cheapest_first {
        if frontier.last().is_none_or(|last| retention(&point) > retention(last)) {
            frontier.push(point);
        }
    }
    frontier.reverse();
    frontier
}

/// At most so many, evenly chosen, the first and the last among them.
fn thin(trials: Vec<Trial>, most: usize) -> Vec<Trial> {
    let (count, most) = (trials.len(), most.max(2));
    if count <= most {
        return trials;
    }
    let chosen: Vec<usize> = (0..most).map(|place| place * (count - 1) / (most - 1)).collect();
    let chosen = |(place, trial)| chosen.contains(&place).then_some(trial);
    trials.into_iter().enumerate().filter_map(chosen).collect()
}

#[cfg(test)]
mod tests {
    use mue_engine::ExitRules;

    use super::*;

    fn trial(retention: f64, macs: f64) -> Trial {
        Trial { rules: ExitRules::default(), retention, macs }
    }

    #[test]
    fn a_frontier_falls_in_quality_and_cost() {
        let trials =
            [(0.99, 50.0), (0.98, 60.0), (1.0, 90.0), (0.5, 10.0), (0.95, 30.0), (0.9, 20.0)];
        let found = frontier(trials.map(|(kept, macs)| trial(kept, macs)).to_vec(), (0.87, 3));
        let found: Vec<f64> = found.iter().map(|trial| trial.macs).collect();
        assert_eq!(found, [90.0, 50.0, 20.0], "dominated, useless and middling ones are gone");
    }

    #[test]
    fn where_nothing_keeps_enough_the_safest_is_left() {
        let found = frontier(vec![trial(0.5, 10.0), trial(0.6, 20.0)], (0.9, 5));
        assert_eq!((found.len(), found[0].macs), (1, 20.0));
    }
}
