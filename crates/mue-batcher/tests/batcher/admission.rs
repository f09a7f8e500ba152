//! What gets in, when, and in which order.

use mue_batcher::{Config, Load, Priority, Rows, SubmitError, Turn};

use crate::plan::{Plan, plan};
use crate::recorder::Seen;
use crate::scene::{Scene, Terms, ms};

#[test]
fn a_list_is_accepted_whole_or_not_at_all() {
    let mut scene = Scene::new(Config { queue_rows_max: 4, ..Config::default() });
    let tickets = scene.submit(&[plan(1, 1); 3], Terms::default()).unwrap();
    assert_eq!(tickets.len(), 3);
    let refused = scene.submit(&[plan(1, 1); 2], Terms::default());
    assert!(matches!(refused, Err(SubmitError::QueueFull { retry_after: None })));
    assert_eq!(scene.handle.load().queue.requests, 3, "none of the refused list is queued");
    let last = scene.submit(&[plan(1, 1)], Terms::default()).unwrap();
    assert_eq!(scene.submit(&[], Terms::default()).map(|none| none.len()), Ok(0));
    drop((tickets, last));
    scene.assert_clean();
}

#[test]
fn what_can_never_fit_is_told_so() {
    let config = Config { queue_rows_max: 9, rows_max: 6, cohort_rows_max: 2, ..Config::default() };
    let mut scene = Scene::new(config);
    let rows = |encode, decode| Plan { rows: Rows { encode, decode }, ..plan(1, 1) };
    for (plans, rows, rows_max) in
        [(vec![rows(1, 7)], 7, 6), (vec![rows(3, 3)], 3, 2), (vec![rows(1, 5), rows(1, 5)], 10, 9)]
    {
        let refused = scene.submit(&plans, Terms::default()).map(|_| ());
        assert_eq!(refused, Err(SubmitError::TooLarge { rows, rows_max }));
    }
    let rejected = |seen: &&Seen| matches!(seen, Seen::Rejected(..));
    assert_eq!(scene.recorder.seen().iter().filter(rejected).count(), 3);
    scene.assert_clean();
}

#[test]
fn a_full_queue_tells_when_there_will_be_room() {
    let config = Config { queue_rows_max: 8, rows_max: 2, cohort_rows_max: 2, ..Config::default() };
    let mut scene = Scene::new(config);
    let _first = scene.submit(&[plan(1, 2); 8], Terms::default()).unwrap();
    // Two rows leave every four steps of a millisecond.
    for _ in 0..6 {
        scene.turns(4);
        let _ = scene.submit(&[plan(1, 2); 2], Terms::default()).map(std::mem::forget);
    }
    let Err(SubmitError::QueueFull { retry_after: Some(wait) }) =
        scene.submit(&[plan(1, 2); 4], Terms::default())
    else {
        panic!("the queue is full");
    };
    let expected = 2.0 * (scene.handle.load().queue.rows + 4 - 8) as f64;
    let wait_ms = wait.as_secs_f64() * 1e3;
    assert!((wait_ms / expected - 1.0).abs() < 0.3, "{wait_ms} instead of {expected} ms");
}

#[test]
fn permits_keep_room_and_give_it_back() {
    let mut scene = Scene::new(Config { queue_rows_max: 4, ..Config::default() });
    let now = scene.shared.now();
    let permit = scene.handle.reserve(3, now).unwrap();
    assert!(scene.submit(&[plan(1, 1); 2], Terms::default()).is_err());
    assert!(scene.handle.reserve(2, now).is_err());
    let submission = scene.submission(&[plan(1, 1); 2], Terms::default());
    let tickets = permit.submit(submission, now).unwrap();
    let queue = scene.handle.load().queue;
    assert_eq!((queue.rows, scene.handle.load().reserved_rows), (2, 0));
    drop(scene.handle.reserve(2, now).unwrap());
    let short = scene.handle.reserve(1, now).unwrap();
    let submission = scene.submission(&[plan(1, 1); 3], Terms::default());
    assert!(short.submit(submission, now).is_err(), "the rest has to find room as well");
    drop(tickets);
    scene.assert_clean();
}

#[test]
fn nobody_is_let_in_where_a_row_has_no_room() {
    let scene = Scene::new(Config { queue_rows_max: 4, ..Config::default() });
    let now = scene.shared.now();
    let early = scene.handle.admit(now).unwrap();
    let permit = scene.handle.reserve(4, now).unwrap();
    let full = Err(SubmitError::QueueFull { retry_after: None });
    assert_eq!(scene.handle.admit(now).map(drop), full);
    assert_eq!(early.reserve(1, now).map(drop), full, "nor is room kept for who is in");
    drop(permit);
    drop(early.reserve(4, now).unwrap());
    scene.assert_clean();
}

#[test]
fn the_wait_for_company_counts_from_the_oldest_arrival() {
    let config = Config { wait_max: ms(50), cohort_rows_max: 4, ..Config::default() };
    let mut scene = Scene::new(config);
    let _first = scene.one(plan(1, 1));
    assert_eq!(scene.turn(), Turn::Idle { until: Some(scene.at(50)) });
    scene.advance(ms(49));
    let _second = scene.with(plan(1, 1), Terms { priority: Priority::High, ..Terms::default() });
    assert_eq!(scene.turn(), Turn::Idle { until: Some(scene.at(50)) }, "not from the newest");
    scene.advance(ms(1));
    scene.work();
    assert_eq!(scene.recorder.cohorts(), [2]);
    let _four = scene.submit(&[plan(1, 1); 4], Terms::default()).unwrap();
    assert_eq!(scene.turn(), Turn::Again, "a full cohort has nothing to wait for");
    assert_eq!(scene.recorder.cohorts(), [2, 4]);
}

#[test]
fn cohorts_and_live_rows_stay_within_their_limits() {
    let config = Config { cohort_rows_max: 3, rows_max: 5, ..Config::default() };
    let mut scene = Scene::new(config);
    let _tickets = scene.submit(&[plan(2, 9); 20], Terms::default()).unwrap();
    while scene.turn() == Turn::Again {
        assert!(scene.handle.load().live_rows <= 5);
    }
    assert!(scene.recorder.cohorts().iter().all(|rows| *rows <= 3));
    let most = scene.shared.world().steps.iter().map(|(_, rows)| *rows).max();
    assert_eq!(most, Some(5), "and they are used");
    assert_eq!(scene.handle.load(), Load::default());
}

#[test]
fn urgent_requests_pass_those_that_have_not_aged() {
    let config = Config { aging: ms(100), cohort_rows_max: 1, rows_max: 1, ..Config::default() };
    let mut scene = Scene::new(config);
    let priority = |priority| Terms { priority, ..Terms::default() };
    let low = scene.with(plan(1, 1), priority(Priority::Low));
    let normal = scene.with(plan(1, 1), priority(Priority::Normal));
    scene.advance(ms(99));
    let soon = scene.with(plan(1, 1), priority(Priority::High));
    scene.advance(ms(102));
    let late = scene.with(plan(1, 1), priority(Priority::High));
    scene.work();
    let expected: [u64; 4] = [&soon, &normal, &low, &late].map(|ticket| ticket.id().into());
    assert_eq!(scene.recorder.admitted(), expected);
}
