//! Every way to end without an answer, in every stage.

use mue_batcher::{Config, Outcome, Policy, RequestError, Stage, SubmitError, Turn};

use crate::fake::Failure;
use crate::plan::{Plan, Trouble, plan};
use crate::recorder::Seen;
use crate::scene::{Scene, Terms, answered, events, ms, refused, verdict};

fn troubled(trouble: Trouble) -> Plan {
    Plan { trouble, ..plan(3, 3) }
}

/// Turns after which a request of `plan(3, 3)` is in a stage.
const STAGES: [(usize, Stage); 4] =
    [(0, Stage::Queue), (2, Stage::Encode), (4, Stage::Encode), (5, Stage::Decode)];

#[test]
fn a_dropped_ticket_frees_its_rows_at_the_next_step() {
    for (turns, stage) in STAGES {
        let mut scene = Scene::new(Config::default());
        let dropped = scene.one(plan(3, 3));
        let kept = scene.one(plan(3, 3));
        scene.turns(turns);
        let (id, now) = (dropped.id(), scene.shared.now());
        scene.shared.world().ends.insert(0, now);
        drop(dropped);
        scene.work();
        let world = scene.shared.world();
        let after = &world.steps[turns..];
        assert!(after.iter().all(|(_, rows)| *rows == 1), "{stage} {turns}: {after:?}");
        drop(world);
        let (first, end) = scene.recorder.ends()[0];
        assert_eq!((first, end.outcome, end.stage), (id, Outcome::Cancelled, stage));
        answered(kept);
        scene.assert_clean();
    }
}

#[test]
fn cancelling_the_last_request_of_a_stage_leaves_the_worker_idle() {
    for (turns, stage) in STAGES {
        let mut scene = Scene::new(Config::default());
        let ticket = scene.one(plan(3, 3));
        scene.turns(turns);
        drop(ticket);
        assert_eq!(scene.turn(), Turn::Idle { until: None }, "{stage} {turns}");
        scene.assert_clean();
        let ticket = scene.one(plan(3, 3));
        scene.work();
        answered(ticket);
    }
}

#[test]
fn a_deadline_ends_a_request_in_any_stage() {
    for (turns, stage) in STAGES {
        let mut scene = Scene::new(Config::default());
        let deadline = Some(scene.at(turns as u64));
        let late = scene.with(plan(3, 3), Terms { deadline, ..Terms::default() });
        let kept = scene.one(plan(3, 3));
        scene.turns(turns);
        scene.work();
        assert_eq!(refused(late), RequestError::DeadlineExceeded { stage }, "{turns}");
        assert_eq!(scene.recorder.ends()[0].1.timing.total(), ms(turns as u64));
        answered(kept);
        scene.assert_clean();
    }
}

#[test]
fn an_answer_that_the_step_in_progress_completes_is_given() {
    let mut scene = Scene::new(Config::default());
    let deadline = Some(scene.start + ms(3) - std::time::Duration::from_micros(1));
    let ticket = scene.with(plan(1, 1), Terms { deadline, ..Terms::default() });
    scene.work();
    answered(ticket);
}

#[test]
fn an_idle_worker_looks_again_at_the_next_deadline() {
    let mut scene = Scene::new(Config { wait_max: ms(50), ..Config::default() });
    let deadline = Some(scene.at(20));
    let ticket = scene.with(plan(1, 1), Terms { deadline, ..Terms::default() });
    assert_eq!(scene.turn(), Turn::Idle { until: deadline });
    scene.advance(ms(20));
    assert_eq!(scene.turn(), Turn::Idle { until: None });
    assert_eq!(refused(ticket), RequestError::DeadlineExceeded { stage: Stage::Queue });
}

#[test]
fn a_failing_request_fails_alone() {
    for trouble in [Trouble::FailAtBegin, Trouble::FailAtLayer(2), Trouble::FailAtToken(2)] {
        let mut scene = Scene::new(Config::default());
        let failing = scene.one(troubled(trouble));
        let kept = scene.one(plan(3, 3));
        scene.work();
        assert_eq!(refused(failing), RequestError::Model(Failure), "{trouble:?}");
        answered(kept);
        let alone = scene.one(troubled(trouble));
        scene.work();
        assert_eq!(refused(alone), RequestError::Model(Failure), "{trouble:?}");
        scene.assert_clean();
    }
}

/// A model that says of a request in other hands that it has ended there is not believed.
#[test]
fn reports_of_a_stage_that_a_request_is_not_in_are_ignored() {
    // Encoded and not joined yet while the other goes on encoding; then decoding beside it.
    for encode_steps_max in [4, 1] {
        let policy =
            Policy::Continuous { encode_steps_max, decode_steps_max: 4, refill_rows_min: 1 };
        let mut scene = Scene::new(Config { policy, ..Config::default() });
        let terms = Terms { stream: true, ..Terms::default() };
        let misreported = Plan { layers: 1, ..troubled(Trouble::Misreported) };
        let mut misreported = scene.with(misreported, terms);
        let other = scene.one(plan(6, 1));
        scene.work();
        assert_eq!(events(&mut misreported), [1, 2, 3], "{encode_steps_max}");
        let answer = answered(misreported);
        assert_eq!((answer.output, answer.batch.decode_steps), (0, 3), "{encode_steps_max}");
        answered(other);
        scene.assert_clean();
    }
    // Still encoding while the other decodes.
    let mut scene = Scene::new(Config::default());
    let misreported = scene.one(Plan { layers: 6, ..troubled(Trouble::Misreported) });
    let other = scene.one(plan(1, 3));
    scene.work();
    assert_eq!(answered(misreported).output, 0);
    answered(other);
    scene.assert_clean();
}

#[test]
fn a_panic_costs_the_rows_in_flight_and_a_model() {
    for trouble in [Trouble::PanicAtBegin, Trouble::PanicAtLayer(2), Trouble::PanicAtToken(2)] {
        let policy =
            Policy::Continuous { encode_steps_max: 4, decode_steps_max: 4, refill_rows_min: 1 };
        let config = Config { cohort_rows_max: 2, policy, ..Config::default() };
        let mut scene = Scene::new(config);
        let lost = [scene.one(troubled(trouble)), scene.one(plan(1, 9))];
        let mut queued = scene.one(plan(1, 5));
        while scene.shared.world().models == 1 {
            scene.turns(1);
        }
        for ticket in lost {
            assert_eq!(refused(ticket), RequestError::ModelPanicked, "{trouble:?}");
        }
        let gone = verdict(&mut queued).is_some_and(|verdict| verdict.is_err());
        assert_eq!(gone, trouble == Trouble::PanicAtToken(2), "it was in flight only then");
        scene.work();
        let next = scene.one(plan(1, 1));
        scene.work();
        answered(next);
        let seen = scene.recorder.seen().clone();
        assert!(seen.contains(&Seen::Panicked("out of cheese".to_owned())));
        assert_eq!(seen.iter().filter(|seen| **seen == Seen::Built).count(), 2);
        drop(queued);
        scene.assert_clean();
    }
}

#[test]
fn a_panic_while_rows_are_freed_costs_as_much() {
    let mut scene = Scene::new(Config::default());
    let (dropped, lost) = (scene.one(troubled(Trouble::PanicAtRetain)), scene.one(plan(3, 3)));
    scene.turns(2);
    drop(dropped);
    scene.work();
    assert_eq!(refused(lost), RequestError::ModelPanicked);
    let next = scene.one(plan(1, 1));
    scene.work();
    answered(next);
    scene.assert_clean();
}

#[test]
fn a_model_that_is_slow_to_come_back_keeps_its_queue() {
    let mut scene = Scene::unbuilt(Config { build_wait: ms(10), ..Config::default() });
    scene.shared.world().builds_to_fail = 2;
    let ticket = scene.one(plan(1, 1));
    assert_eq!(scene.work(), Turn::Idle { until: Some(scene.at(10)) });
    scene.advance(ms(10));
    assert_eq!(scene.work(), Turn::Idle { until: Some(scene.at(20)) });
    scene.advance(ms(10));
    scene.work();
    let timing = answered(ticket).timing;
    assert_eq!((timing.queue, timing.encode, timing.decode), (ms(20), ms(2), ms(1)));
}

#[test]
fn a_model_that_does_not_come_back_ends_the_service() {
    let config = Config { build_attempts_max: 2, build_wait: ms(10), ..Config::default() };
    let mut scene = Scene::unbuilt(config);
    scene.shared.world().builds_to_fail = 2;
    let ticket = scene.one(plan(1, 1));
    scene.work();
    scene.advance(ms(10));
    assert_eq!(scene.work(), Turn::Finished);
    assert_eq!(refused(ticket), RequestError::ModelUnavailable);
    let refused = scene.submit(&[plan(1, 1)], Terms::default()).map(|_| ());
    assert_eq!(refused, Err(SubmitError::ModelUnavailable));
    assert_eq!(scene.turn(), Turn::Finished);
    let message = Seen::BuildFailed("no such weights".to_owned());
    assert_eq!(scene.recorder.seen().iter().filter(|seen| **seen == message).count(), 2);
    scene.assert_clean();
}
