//! Whether two recipes are of the same run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{RunConfig, TrainConfig};

impl TrainConfig {
    /// The keys, with this recipe's values, in which another recipe makes another run.
    ///
    /// All keys do but those of `[run]`; the number of steps, too, since the learning rate falls
    /// towards the last one.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.deciding_keys(), other.deciding_keys());
        let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| match ours.get(key) {
                Some(value) => format!("{key} = {value}"),
                None => format!("no {key}"),
            })
            .collect()
    }

    fn deciding_keys(&self) -> BTreeMap<String, Value> {
        let recipe = Self { run: RunConfig::default(), ..self.clone() };
        // By way of text, in which a 32-bit number has no more digits than it needs.
        let text = serde_json::to_string(&recipe).expect("a recipe is plain data");
        let sections: BTreeMap<String, Value> =
            serde_json::from_str(&text).expect("a recipe has named keys");
        let mut keys = BTreeMap::new();
        for (name, value) in sections {
            match value {
                Value::Object(section) => {
                    keys.extend(section.into_iter().map(|(key, it)| (format!("{name}.{key}"), it)));
                }
                value => {
                    keys.insert(name, value);
                }
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENES: &str = include_str!("../../../../config/train/scenes.toml");

    #[test]
    fn a_run_may_be_logged_saved_and_spread_otherwise() {
        let recipe = TrainConfig::from_toml(SCENES).unwrap();
        let run = RunConfig { threads: 7, log_every: 7, evaluate_every: 7, checkpoint_every: 7 };
        assert!(recipe.differences(&TrainConfig { run, ..recipe.clone() }).is_empty());
    }

    #[test]
    fn whatever_else_differs_is_named_with_its_value() {
        let recipe = TrainConfig::from_toml(SCENES).unwrap();
        let mut other = recipe.clone();
        other.steps = 9000;
        other.data.train = vec!["scenes".into()];
        other.data.emphasis.clear();
        other.optimizer.learning_rate = 0.002;
        assert_eq!(
            recipe.differences(&other),
            [
                "data.emphasis = [\"relation\",\"two-hop\"]",
                "no data.train",
                "optimizer.learning_rate = 0.001",
                "steps = 8800",
            ]
        );
    }

    #[test]
    fn a_recipe_saved_before_a_key_was_known_is_the_one_without_it() {
        let recipe = TrainConfig::from_toml("").unwrap();
        let mut saved = serde_json::to_value(&recipe).unwrap();
        let data = saved["data"].as_object_mut().unwrap();
        assert!(data.remove("emphasis_after").is_some());
        let saved: TrainConfig = serde_json::from_value(saved).unwrap();
        assert!(recipe.differences(&saved).is_empty());
    }
}
