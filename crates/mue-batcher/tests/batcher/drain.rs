//! The end of a batcher.

use mue_batcher::{Config, RequestError, SubmitError, Turn};

use crate::plan::plan;
use crate::scene::{Scene, Terms, answered, ms, refused};

#[test]
fn a_drain_finishes_what_was_accepted() {
    let mut scene = Scene::new(Config { rows_max: 1, ..Config::default() });
    let accepted = [scene.one(plan(2, 2)), scene.one(plan(2, 2))];
    scene.turns(1);
    scene.handle.drain(scene.at(1000));
    let refused = scene.submit(&[plan(1, 1)], Terms::default()).map(|_| ());
    assert_eq!(refused, Err(SubmitError::ShuttingDown));
    assert_eq!(scene.work(), Turn::Finished);
    for ticket in accepted {
        answered(ticket);
    }
    assert_eq!(scene.turn(), Turn::Finished);
    scene.assert_clean();
    assert_eq!(scene.shared.world().models, 0, "the model is dropped");
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let mut scene = Scene::new(Config { rows_max: 1, ..Config::default() });
    let (live, queued) = (scene.one(plan(2, 2)), scene.one(plan(2, 2)));
    scene.handle.drain(scene.at(3));
    scene.handle.drain(scene.at(9));
    assert_eq!(scene.work(), Turn::Finished);
    assert_eq!(scene.steps(), "b1 e1 e1", "the earlier deadline counts");
    assert_eq!(refused(live), RequestError::ShuttingDown);
    assert_eq!(refused(queued), RequestError::ShuttingDown);
    scene.assert_clean();
}

#[test]
fn a_drain_does_not_wait_for_company() {
    let mut scene = Scene::new(Config { wait_max: ms(500), ..Config::default() });
    let ticket = scene.one(plan(1, 1));
    scene.handle.drain(scene.at(100));
    assert_eq!(scene.work(), Turn::Finished);
    answered(ticket);
}

#[test]
fn a_drain_waits_for_permits_until_its_deadline() {
    let mut scene = Scene::new(Config::default());
    let now = scene.shared.now();
    let used = scene.handle.reserve(1, now).unwrap();
    let late = scene.handle.reserve(1, now).unwrap();
    scene.handle.drain(scene.at(100));
    assert_eq!(scene.turn(), Turn::Idle { until: Some(scene.at(100)) });
    let submission = scene.submission(&[plan(1, 1)], Terms::default());
    let ticket = used.submit(submission, now).unwrap().pop().unwrap();
    assert_eq!(scene.work(), Turn::Idle { until: Some(scene.at(100)) });
    answered(ticket);
    scene.advance(ms(100));
    assert_eq!(scene.work(), Turn::Finished);
    let submission = scene.submission(&[plan(1, 1)], Terms::default());
    assert_eq!(late.submit(submission, now).map(|_| ()), Err(SubmitError::ShuttingDown));
    scene.assert_clean();
}

#[test]
fn a_drain_waits_for_who_was_let_in_and_takes_their_request() {
    let mut scene = Scene::new(Config::default());
    let now = scene.shared.now();
    let [used, gone] = [(); 2].map(|()| scene.handle.admit(now).unwrap());
    assert_eq!(scene.handle.load().reserved_rows, 0, "nothing is kept free for them");
    scene.handle.drain(scene.at(100));
    assert_eq!(scene.handle.admit(now).map(drop), Err(SubmitError::ShuttingDown));
    assert_eq!(scene.turn(), Turn::Idle { until: Some(scene.at(100)) });
    let permit = used.reserve(1, now).unwrap();
    drop(used);
    let submission = scene.submission(&[plan(1, 1)], Terms::default());
    let ticket = permit.submit(submission, now).unwrap().pop().unwrap();
    assert_eq!(scene.work(), Turn::Idle { until: Some(scene.at(100)) });
    answered(ticket);
    drop(gone);
    assert_eq!(scene.work(), Turn::Finished);
    scene.assert_clean();
}

#[test]
fn who_was_let_in_is_refused_when_a_drain_is_over() {
    let mut scene = Scene::new(Config::default());
    let late = scene.handle.admit(scene.shared.now()).unwrap();
    scene.handle.drain(scene.at(100));
    scene.advance(ms(100));
    assert_eq!(scene.work(), Turn::Finished);
    let refused = late.reserve(1, scene.shared.now()).map(drop);
    assert_eq!(refused, Err(SubmitError::ShuttingDown));
    drop(late);
    scene.assert_clean();
}

#[test]
fn when_the_last_handle_goes_the_worker_finishes_its_work() {
    let mut scene = Scene::new(Config::default());
    let ticket = scene.one(plan(2, 2));
    let (other, _) =
        mue_batcher::pair(Config::default(), || Err("".into()), scene.recorder.clone()).unwrap();
    let clone = scene.handle.clone();
    drop(std::mem::replace(&mut scene.handle, other));
    assert_eq!(scene.work(), Turn::Idle { until: None }, "a clone is left");
    answered(ticket);
    drop(clone);
    assert_eq!(scene.turn(), Turn::Finished);
}

#[test]
fn a_worker_that_is_dropped_refuses_what_it_had() {
    let mut scene = Scene::new(Config { rows_max: 1, ..Config::default() });
    let tickets = [scene.one(plan(2, 2)), scene.one(plan(2, 2))];
    scene.turns(2);
    let (_, other) =
        mue_batcher::pair(Config::default(), || Err("".into()), scene.recorder.clone()).unwrap();
    drop(std::mem::replace(&mut scene.worker, other));
    for ticket in tickets {
        assert_eq!(refused(ticket), RequestError::ShuttingDown);
    }
    let refused = scene.submit(&[plan(1, 1)], Terms::default()).map(|_| ());
    assert_eq!(refused, Err(SubmitError::ShuttingDown));
    scene.assert_clean();
}
