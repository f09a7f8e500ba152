//! Pictures that several requests are about.

use std::sync::Arc;

use mue_engine::{Branch, Encoding, Engine, EngineSettings, ExitChoice};

use crate::folder::{self, Folder};
use crate::watch::Watch;
use crate::{AT_ONCE, caption, entailment, replies, settings, together, watched, watched_with};

fn with_cache(folder: &Folder, image_cache_bytes_max: usize) -> (Engine, Arc<Watch>) {
    watched_with(folder, EngineSettings { image_cache_bytes_max, ..settings() })
}

#[test]
fn hypotheses_share_their_picture() {
    let folder = Folder::new(2, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    let texts = ["a red circle", "a green ring", "a large cross"];
    together(&engine, texts.map(|text| entailment(&engine, 7, text)).to_vec());
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS, "one picture, every layer once");
    replies(&engine, vec![caption(&engine, 7, ExitChoice::Off)]);
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS, "its encoding is kept");
    assert!(watch.hits() >= 1);
    replies(&engine, vec![caption(&engine, 7, ExitChoice::Thresholds(AT_ONCE))]);
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS + 1, "other exits, another encoding");
}

#[test]
fn they_share_it_without_a_cache_too() {
    let folder = Folder::new(2, Encoding::Decomposed);
    let (engine, watch) = with_cache(&folder, 0);
    let texts = ["a red circle", "a green ring", "a large cross"];
    together(&engine, texts.map(|text| entailment(&engine, 7, text)).to_vec());
    assert_eq!(watch.rows(Branch::Image), folder::LAYERS, "one picture, every layer once");
    replies(&engine, vec![caption(&engine, 7, ExitChoice::Off)]);
    assert_eq!(watch.rows(Branch::Image), 2 * folder::LAYERS, "nothing was kept");
    assert_eq!((watch.hits(), watch.cache_bytes_most()), (0, 0));
}

#[test]
fn the_image_cache_keeps_within_its_bytes() {
    let folder = Folder::new(3, Encoding::Decomposed);
    let bytes_max = 10_000;
    let (engine, watch) = with_cache(&folder, bytes_max);
    for seed in 0..20 {
        replies(&engine, vec![caption(&engine, seed, ExitChoice::Off)]);
    }
    let most = watch.cache_bytes_most();
    assert!(most > 0 && most <= bytes_max, "{most}");
}

#[test]
fn encodings_leave_the_cache_in_the_order_of_their_last_use() {
    let folder = Folder::new(3, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    replies(&engine, vec![caption(&engine, 0, ExitChoice::Off)]);
    let (engine, watch) = with_cache(&folder, 2 * watch.cache_bytes_most());
    let is_hit = |seed: u64| {
        let before = watch.hits();
        replies(&engine, vec![caption(&engine, seed, ExitChoice::Off)]);
        watch.hits() > before
    };
    let asked = [0, 1, 0, 2, 0, 1, 2];
    let hits = [false, false, true, false, true, false, false];
    assert_eq!(asked.map(is_hit), hits, "2 takes the place of 1, then 1 that of 2");
}
