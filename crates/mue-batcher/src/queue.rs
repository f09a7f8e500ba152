//! What waits, and in which order it is admitted.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Iter};
use std::iter::Peekable;
use std::time::{Duration, Instant};

use crate::model::{RequestId, Rows};
use crate::observer::QueueDepth;
use crate::priority::Priority;

/// Requests that wait, in the order of their [`Priority`]. Every operation costs the logarithm of
/// the queue's length, per request that it moves.
pub(crate) struct Queue<T> {
    classes: [BTreeMap<RequestId, Waiting<T>>; 3],
    deadlines: BTreeSet<(Instant, RequestId, Priority)>,
    aging: Duration,
    held_rows: usize,
    encode_rows: usize,
}

/// A request that waits.
pub(crate) struct Waiting<T> {
    pub(crate) rows: Rows,
    pub(crate) priority: Priority,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) item: T,
}

/// Rows for which there is room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// To hold until the answer.
    pub(crate) held_rows: usize,
    /// To encode together.
    pub(crate) encode_rows: usize,
}

impl Room {
    /// Gives room to a request, if there is enough.
    fn admit(&mut self, rows: Rows) -> bool {
        let fits = rows.held() <= self.held_rows && rows.encoded() <= self.encode_rows;
        if fits {
            self.held_rows -= rows.held();
            self.encode_rows -= rows.encoded();
        }
        fits
    }
}

impl<T> Queue<T> {
    pub(crate) fn new(aging: Duration) -> Self {
        Self {
            classes: Priority::ALL.map(|_| BTreeMap::new()),
            deadlines: BTreeSet::new(),
            aging,
            held_rows: 0,
            encode_rows: 0,
        }
    }

    /// Adds a request; ids rise from call to call.
    pub(crate) fn push(&mut self, id: RequestId, waiting: Waiting<T>) {
        self.held_rows += waiting.rows.held();
        self.encode_rows += waiting.rows.encoded();
        self.deadlines.extend(waiting.deadline.map(|deadline| (deadline, id, waiting.priority)));
        self.classes[waiting.priority.index()].insert(id, waiting);
    }

    pub(crate) fn remove(&mut self, id: RequestId, priority: Priority) -> Option<Waiting<T>> {
        let waiting = self.classes[priority.index()].remove(&id)?;
        self.held_rows -= waiting.rows.held();
        self.encode_rows -= waiting.rows.encoded();
        if let Some(deadline) = waiting.deadline {
            self.deadlines.remove(&(deadline, id, priority));
        }
        Some(waiting)
    }

    /// Takes out the requests whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(RequestId, Waiting<T>)> {
        let mut expired = Vec::new();
        while let Some((deadline, id, priority)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            let waiting = self.remove(id, priority).expect("a deadline belongs to a request");
            expired.push((id, waiting));
        }
        expired
    }

    /// Takes requests in order as long as they fit. One that does not fit is not passed by smaller
    /// ones, which could keep it waiting for ever.
    pub(crate) fn take(&mut self, mut room: Room) -> Vec<(RequestId, Waiting<T>)> {
        let mut taken = Vec::new();
        while let Some((id, priority)) = self.first_admitted(&mut room) {
            let waiting = self.remove(id, priority).expect("the first request is queued");
            taken.push((id, waiting));
        }
        taken
    }

    /// Takes everything.
    pub(crate) fn clear(&mut self) -> Vec<(RequestId, Waiting<T>)> {
        self.take(Room { held_rows: usize::MAX, encode_rows: usize::MAX })
    }

    /// Rows to encode of what [`take`](Self::take) would take.
    pub(crate) fn encode_rows_fitting(&self, mut room: Room) -> usize {
        self.in_order()
            .take_while(|(_, waiting)| room.admit(waiting.rows))
            .map(|(_, waiting)| waiting.rows.encoded())
            .sum()
    }

    /// Whether waiting longer could not make the next cohort larger.
    pub(crate) fn fills(&self, room: Room) -> bool {
        self.held_rows >= room.held_rows || self.encode_rows >= room.encode_rows
    }

    pub(crate) fn oldest_arrival(&self) -> Option<Instant> {
        self.heads().map(|(_, waiting)| waiting.arrived).min()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }

    pub(crate) fn held_rows(&self) -> usize {
        self.held_rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held_rows == 0
    }

    pub(crate) fn depth(&self) -> QueueDepth {
        let requests = self.classes.iter().map(BTreeMap::len).sum();
        QueueDepth { requests, rows: self.held_rows }
    }

    /// The first of each class.
    fn heads(&self) -> impl Iterator<Item = (RequestId, &Waiting<T>)> {
        self.classes.iter().filter_map(|class| class.first_key_value().map(|(id, w)| (*id, w)))
    }

    /// Everything, first who is admitted first.
    fn in_order(&self) -> impl Iterator<Item = (RequestId, &Waiting<T>)> {
        let mut classes = self.classes.each_ref().map(|class| class.iter().peekable());
        let first = |class: &mut Peekable<Iter<'_, RequestId, Waiting<T>>>| {
            let (id, waiting) = class.peek()?;
            Some((waiting.priority.aged(waiting.arrived, self.aging), **id))
        };
        std::iter::from_fn(move || {
            let ahead = (0..classes.len())
                .filter_map(|place| Some((first(&mut classes[place])?, place)))
                .min()
                .map(|(_, place)| place)?;
            classes[ahead].next().map(|(id, waiting)| (*id, waiting))
        })
    }

    fn first_admitted(&self, room: &mut Room) -> Option<(RequestId, Priority)> {
        let (id, first) = self.in_order().next()?;
        room.admit(first.rows).then_some((id, first.priority))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGING: Duration = Duration::from_millis(100);

    struct Scene {
        queue: Queue<()>,
        start: Instant,
        next: u64,
    }

    impl Scene {
        fn new() -> Self {
            Self { queue: Queue::new(AGING), start: Instant::now(), next: 0 }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn push(&mut self, ms: u64, priority: Priority, rows: Rows, deadline_ms: Option<u64>) {
            let id = RequestId::from(self.next);
            self.next += 1;
            let (arrived, deadline) = (self.at(ms), deadline_ms.map(|ms| self.at(ms)));
            self.queue.push(id, Waiting { rows, priority, arrived, deadline, item: () });
        }

        fn take(&mut self, held_rows: usize, encode_rows: usize) -> Vec<u64> {
            let taken = self.queue.take(Room { held_rows, encode_rows });
            taken.into_iter().map(|(id, _)| id.into()).collect()
        }

        fn fitting(&self, held_rows: usize, encode_rows: usize) -> usize {
            self.queue.encode_rows_fitting(Room { held_rows, encode_rows })
        }
    }

    #[test]
    fn classes_are_passed_only_within_their_aging() {
        let mut scene = Scene::new();
        let one = Rows::both(1);
        scene.push(0, Priority::Low, one, None);
        scene.push(10, Priority::Normal, one, None);
        scene.push(109, Priority::High, one, None);
        scene.push(111, Priority::High, one, None);
        scene.push(99, Priority::Normal, one, None);
        scene.push(201, Priority::High, one, None);
        assert_eq!(scene.fitting(9, 9), 6);
        assert_eq!(scene.fitting(4, 9), 4);
        assert_eq!(scene.take(9, 9), [2, 1, 3, 4, 0, 5]);
    }

    #[test]
    fn a_request_that_does_not_fit_is_not_passed() {
        let mut scene = Scene::new();
        scene.push(0, Priority::Normal, Rows { encode: 1, decode: 5 }, None);
        scene.push(0, Priority::Normal, Rows { encode: 1, decode: 5 }, None);
        scene.push(0, Priority::Normal, Rows::both(1), None);
        assert_eq!(scene.fitting(4, 9), 0);
        assert_eq!(scene.fitting(9, 9), 1, "beams encode as one row");
        assert_eq!(scene.take(9, 9), [0], "five of nine rows are taken, the next five do not fit");
        assert_eq!(scene.fitting(9, 9), 2);
        assert_eq!(scene.fitting(9, 1), 1);
        assert_eq!(scene.take(9, 1), [1], "one row may encode");
        assert_eq!(scene.queue.depth(), QueueDepth { requests: 1, rows: 1 });
    }

    #[test]
    fn expiry_and_removal_leave_nothing_behind() {
        let mut scene = Scene::new();
        for deadline in [30, 10, 20] {
            scene.push(0, Priority::High, Rows::both(2), Some(deadline));
        }
        assert_eq!(scene.queue.next_deadline(), Some(scene.at(10)));
        let expired = scene.queue.expire(scene.at(20));
        assert_eq!(expired.len(), 2, "a deadline that is now has passed");
        assert!(scene.queue.remove(RequestId::from(0), Priority::High).is_some());
        assert!(scene.queue.remove(RequestId::from(0), Priority::High).is_none());
        assert!(scene.queue.is_empty() && scene.queue.deadlines.is_empty());
        assert_eq!((scene.queue.held_rows, scene.queue.encode_rows), (0, 0));
        assert_eq!(scene.queue.oldest_arrival(), None);
    }

    #[test]
    fn a_zero_row_request_counts_as_one() {
        let mut scene = Scene::new();
        scene.push(0, Priority::Low, Rows::both(0), None);
        assert_eq!(scene.queue.depth(), QueueDepth { requests: 1, rows: 1 });
        assert_eq!(scene.take(0, 1), [] as [u64; 0]);
        assert_eq!(scene.take(1, 1), [0]);
    }
}
