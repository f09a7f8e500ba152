//! Continuous batching: who computes with whom, step by step.

use mue_batcher::{Config, Policy, Rows, Turn};

use crate::plan::{Plan, plan};
use crate::recorder::{Decoded, Seen};
use crate::scene::{Scene, Terms, answered, events, ms, verdict};

fn config(encode_steps_max: u32, decode_steps_max: u32, refill_rows_min: usize) -> Config {
    let policy = Policy::Continuous { encode_steps_max, decode_steps_max, refill_rows_min };
    Config { policy, ..Config::default() }
}

#[test]
fn a_lone_request_on_an_idle_worker_starts_at_once() {
    let mut scene = Scene::new(Config::default());
    assert_eq!(scene.turn(), Turn::Idle { until: None });
    let ticket = scene.one(plan(2, 3));
    assert_eq!(scene.turn(), Turn::Again);
    assert_eq!(scene.steps(), "b1", "the first turn after the submission begins with it");
    assert_eq!(scene.work(), Turn::Idle { until: None });
    assert_eq!(scene.steps(), "b1 e1 e1 d1 d1 d1");
    let answer = answered(ticket);
    assert_eq!(answer.output, 0);
    assert_eq!(answer.timing.queue, ms(0));
    assert_eq!((answer.timing.encode, answer.timing.decode), (ms(3), ms(3)));
    assert_eq!((answer.batch.cohort_rows, answer.batch.decode_steps), (1, 3));
    scene.assert_clean();
}

#[test]
fn rows_that_exit_early_decode_before_their_cohort_is_through() {
    let mut scene = Scene::new(config(1, 1, 1));
    let mut early = scene.one(plan(1, 1));
    let mut late = scene.one(plan(4, 1));
    scene.turns(3);
    assert_eq!(scene.steps(), "b2 e2 e1 d1", "the early one joins at the next token");
    assert!(verdict(&mut early).is_some() && verdict(&mut late).is_none());
    scene.work();
    assert_eq!(scene.steps(), "b2 e2 e1 d1 e1 e1 d1", "who has left costs nothing more");
}

#[test]
fn newcomers_join_rows_of_any_age_and_answers_leave_when_complete() {
    let mut scene = Scene::new(config(1, 9, 1));
    let old = scene.one(plan(1, 4));
    scene.turns(4);
    let new = scene.one(plan(1, 4));
    scene.work();
    assert_eq!(scene.steps(), "b1 e1 d1 d1 b1 e1 d1 d2 d1 d1 d1");
    let (old, new) = (answered(old), answered(new));
    assert_eq!(old.batch.decode_rows_mean, 1.25);
    assert_eq!(new.batch.decode_rows_mean, 1.25);
    assert_eq!(old.timing.decode, ms(5), "it waited for the newcomer's start alone");
    assert_eq!(new.timing.total(), ms(6));
}

#[test]
fn rows_decode_while_others_encode() {
    let mut scene = Scene::new(config(1, 9, 1));
    let old = scene.one(plan(1, 4));
    scene.turns(3);
    let new = scene.one(plan(5, 1));
    scene.work();
    assert_eq!(scene.steps(), "b1 e1 d1 b1 e1 d1 e1 d1 e1 d1 e1 e1 d1");
    assert_eq!(answered(old).timing.decode, ms(5), "four tokens, and the newcomer's start");
    assert_eq!(answered(new).timing.encode, ms(6), "its start and five layers");
}

#[test]
fn encoding_delays_a_token_by_its_bound_only() {
    let mut scene = Scene::new(config(3, 9, 1));
    let _old = scene.one(plan(1, 4));
    scene.turns(3);
    let _new = scene.one(plan(5, 1));
    scene.work();
    let steps = "b1 e1 d1 b1 e1 e1 d1 e1 e1 e1 d1 d2";
    assert_eq!(scene.steps(), steps, "three, and a token at the same time as the last");
}

#[test]
fn decoding_delays_a_small_refill_by_its_bound_only() {
    let mut scene = Scene::new(config(1, 2, 3));
    let _old = scene.one(plan(1, 9));
    scene.turns(3);
    let _new = [scene.one(plan(1, 1)), scene.one(plan(1, 1))];
    scene.turns(3);
    assert_eq!(scene.steps(), "b1 e1 d1 d1 d1 b2");
}

#[test]
fn a_refill_is_as_large_as_what_it_encodes() {
    let beams = Plan { rows: Rows { encode: 1, decode: 5 }, ..plan(1, 1) };
    let mut scene = Scene::new(config(1, 3, 2));
    let _old = scene.one(plan(1, 9));
    scene.turns(3);
    let _first = scene.one(beams);
    scene.turns(1);
    assert_eq!(scene.steps(), "b1 e1 d1 d1", "five beams encode as one row");
    let _second = scene.one(beams);
    scene.turns(1);
    assert_eq!(scene.steps(), "b1 e1 d1 d1 b2");
}

#[test]
fn a_full_cohort_waits_for_nobody() {
    let mut scene = Scene::new(Config { cohort_rows_max: 2, ..config(1, 9, 3) });
    let _old = scene.one(plan(1, 9));
    scene.turns(3);
    let _new = [scene.one(plan(1, 1)), scene.one(plan(1, 1))];
    scene.turns(1);
    assert_eq!(scene.steps(), "b1 e1 d1 b2");
}

#[test]
fn a_refill_counts_only_what_there_is_room_for() {
    let beams = Plan { rows: Rows { encode: 1, decode: 5 }, ..plan(1, 1) };
    let mut scene = Scene::new(Config { rows_max: 8, ..config(1, 3, 2) });
    let _old = scene.one(plan(1, 9));
    scene.turns(3);
    let _new = [scene.one(beams), scene.one(beams)];
    scene.turns(4);
    assert_eq!(scene.steps(), "b1 e1 d1 d1 d1 d1 b1", "one of them, when it has waited");
}

#[test]
fn static_batches_wait_for_their_slowest() {
    let mut scene = Scene::new(Config { policy: Policy::Static, ..Config::default() });
    let mut early = scene.one(plan(1, 1));
    let _late = scene.one(plan(3, 2));
    scene.turns(1);
    let _next = scene.one(plan(1, 1));
    scene.turns(4);
    assert_eq!(scene.steps(), "b2 e2 e1 e1 d2");
    assert!(verdict(&mut early).is_some(), "its answer is complete");
    scene.work();
    assert_eq!(scene.steps(), "b2 e2 e1 e1 d2 d1 b1 e1 d1");
}

#[test]
fn beams_are_counted_where_they_cost() {
    let beams = Plan { rows: Rows { encode: 1, decode: 5 }, ..plan(1, 1) };
    let mut scene = Scene::new(Config { rows_max: 10, ..config(1, 9, 1) });
    let tickets = [beams; 3].map(|plan| scene.one(plan));
    scene.work();
    assert_eq!(scene.steps(), "b2 e2 d10 b1 e1 d5", "ten rows hold two times five beams");
    assert_eq!(tickets.map(|ticket| answered(ticket).batch.decode_rows_mean), [10.0, 10.0, 5.0]);
}

#[test]
fn events_stream_to_those_who_asked() {
    let mut scene = Scene::new(Config::default());
    let mut streamed = scene.with(plan(1, 3), Terms { stream: true, ..Terms::default() });
    let mut silent = scene.one(plan(1, 3));
    scene.turns(4);
    assert_eq!(events(&mut streamed), [1, 2], "as they happen");
    scene.work();
    assert_eq!(events(&mut streamed), [3]);
    assert_eq!(events(&mut silent), [] as [usize; 0]);
    answered(streamed);
}

#[test]
fn the_observer_sees_every_step() {
    let mut scene = Scene::new(Config::default());
    let ticket = scene.one(plan(1, 1));
    let id = ticket.id();
    scene.work();
    let seen = scene.recorder.seen().clone();
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert_eq!(seen[0], Seen::Built);
    assert!(matches!(seen[1], Seen::Accepted(one, depth) if one == id && depth.rows == 1));
    assert_eq!(seen[2], Seen::Admitted(id, ms(0)));
    assert!(matches!(seen[3], Seen::CohortStarted(start) if start.rows == 1));
    assert!(matches!(seen[4], Seen::Encoded(step) if (step.layer, step.ready) == (1, 1)));
    assert_eq!(seen[5], Seen::Joined(vec![id], 1));
    let decoded = Decoded { held_rows: 1, layer_rows: vec![1], beside_encode: false };
    assert_eq!(seen[6], Seen::Decoded(decoded));
    assert!(matches!(seen[7], Seen::Ended(one, end) if one == id && end.timing.total() == ms(3)));
}
