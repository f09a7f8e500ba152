//! Rows that layers compute, and rows that are active there.

use mue_engine::{Branch, CaptionSearch, Encoding, Engine, EngineSettings, ExitChoice, GatherCost};
use mue_engine::{Reply, Request};
use mue_model::RunOptions;

use crate::folder::{Folder, LAYERS, picture};
use crate::{AT_ONCE, caption, greedy, replies, settings, together, watched, watched_with};

/// Captions of which one leaves every branch at once.
fn captions(engine: &Engine, beam_size: usize) -> Vec<Request> {
    let exits = [ExitChoice::Off, ExitChoice::Thresholds(AT_ONCE), ExitChoice::Off];
    let search = CaptionSearch { beam_size, ..greedy(5) };
    let caption = |(exit, seed)| engine.model().caption(picture(seed), exit, &search).unwrap();
    exits.into_iter().zip(1..).map(caption).collect()
}

/// Layers that the pictures of some captions ran.
fn image_layers(replies: &[Reply]) -> usize {
    replies.iter().map(|reply| reply.exit().image.layer).sum()
}

/// Layers that their tokens ran: the first step has one row, those behind it one per beam.
fn decoder_layers(replies: &[Reply], beam_size: usize) -> usize {
    let of = |reply: &Reply| {
        let layers = &reply.exit().decoder;
        layers[0] + beam_size * layers[1..].iter().sum::<usize>()
    };
    replies.iter().map(of).sum()
}

#[test]
fn rows_computed_are_the_rows_active() {
    for beam_size in [1, 3] {
        let folder = Folder::new(1, Encoding::Decomposed);
        let (engine, watch) = watched(&folder);
        let replies = together(&engine, captions(&engine, beam_size));
        assert_eq!(watch.rows(Branch::Image), image_layers(&replies));
        assert_eq!(watch.rows(Branch::Text), 0, "the caption prompt is constant");
        assert_eq!(watch.rows(Branch::Decoder), decoder_layers(&replies, beam_size));
        for branch in Branch::ALL {
            assert_eq!(watch.rows(branch), watch.active(branch), "{branch:?}");
        }
    }
}

#[test]
fn rows_that_have_left_are_not_active_where_they_are_computed_on() {
    let folder = Folder::new(1, Encoding::Decomposed);
    let gather = GatherCost { call_ns: 1e15, ..GatherCost::FREE };
    let options = RunOptions { gather, ..RunOptions::default() };
    for beam_size in [1, 3] {
        let settings = EngineSettings { options, ..settings() };
        let (engine, watch) = watched_with(&folder, settings);
        let replies = together(&engine, captions(&engine, beam_size));
        assert_eq!(watch.rows(Branch::Image), 3 * LAYERS);
        assert_eq!(watch.active(Branch::Image), image_layers(&replies));
        let active = decoder_layers(&replies, beam_size);
        assert_eq!(watch.active(Branch::Decoder), active);
        assert!(watch.rows(Branch::Decoder) > active);
    }
}

#[test]
fn gathering_is_told_where_rows_leave_others_behind() {
    let folder = Folder::new(1, Encoding::Decomposed);
    let (engine, watch) = watched(&folder);
    replies(&engine, vec![caption(&engine, 0, ExitChoice::Off)]);
    for branch in Branch::ALL {
        assert_eq!(watch.gathered(branch).moves, 0, "a row alone leaves nobody behind");
    }
    together(&engine, captions(&engine, 1));
    for branch in [Branch::Image, Branch::Decoder] {
        let gathered = watch.gathered(branch);
        assert!(gathered.moves > 0 && !gathered.duration.is_zero(), "{branch:?}: {gathered:?}");
    }
}
