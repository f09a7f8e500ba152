//! The batcher's own cost per request, with a model that does nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mue_batcher::{
    BatchModel, Config, DecodeReport, EncodeReport, Handle, NoObserver, Priority, RequestId, Rows,
    Submission, Ticket, Turn, Worker, pair,
};

/// Encodes in two layers and decodes in four tokens; every second request leaves after half.
struct Nothing;

type Places = Vec<(RequestId, u32)>;

impl BatchModel for Nothing {
    type Input = u32;
    type Output = u32;
    type Event = ();
    type Error = Infallible;
    type Cohort = Places;
    type Encoded = u32;
    type DecodeSet = Places;

    fn rows(_input: &u32) -> Rows {
        Rows::both(1)
    }

    fn begin_encode(&mut self, inputs: Places) -> (Places, Vec<(RequestId, Infallible)>) {
        (inputs.into_iter().map(|(id, input)| (id, 1 + input % 2)).collect(), Vec::new())
    }

    fn encode(&mut self, cohort: &mut Places) -> EncodeReport<Self> {
        let rows = cohort.len();
        let ready = advance(cohort).map(|id| (id, 2)).collect();
        EncodeReport { layer: 1, rows, ready, failed: Vec::new() }
    }

    fn retain_encode(&mut self, cohort: &mut Places, keep: &dyn Fn(RequestId) -> bool) {
        cohort.retain(|(id, _)| keep(*id));
    }

    fn begin_decode(&mut self) -> Places {
        Vec::new()
    }

    fn join(&mut self, set: &mut Places, encoded: Places, _streams: &dyn Fn(RequestId) -> bool) {
        set.extend(encoded.into_iter().map(|(id, _)| (id, 2 + 2 * (u64::from(id) as u32 % 2))));
    }

    fn decode(&mut self, set: &mut Places) -> DecodeReport<Self> {
        let layer_rows = vec![set.len()];
        let finished = advance(set).map(|id| (id, 0)).collect();
        DecodeReport { layer_rows, events: Vec::new(), finished, failed: Vec::new() }
    }

    fn retain_decode(&mut self, set: &mut Places, keep: &dyn Fn(RequestId) -> bool) {
        set.retain(|(id, _)| keep(*id));
    }
}

/// One step of every place; takes out those that are done.
fn advance(places: &mut Places) -> impl Iterator<Item = RequestId> {
    places.iter_mut().for_each(|(_, left)| *left -= 1);
    places.extract_if(.., |(_, left)| *left == 0).map(|(id, _)| id)
}

fn batcher() -> (Handle<Nothing>, Worker<Nothing>) {
    let config = Config { queue_rows_max: 4096, ..Config::default() };
    pair(config, || Ok(Nothing), Arc::new(NoObserver)).expect("the settings are valid")
}

fn submit(handle: &Handle<Nothing>, input: u32) -> Ticket<Nothing> {
    let now = Instant::now();
    let deadline = Some(now + Duration::from_secs(60));
    let priority = Priority::ALL[input as usize % 3];
    let submission = Submission { inputs: vec![input], priority, deadline, stream: false };
    let mut tickets = handle.submit(submission, now).expect("the queue has room");
    tickets.pop().expect("one ticket for one input")
}

fn work(worker: &mut Worker<Nothing>) {
    while worker.turn(&Instant::now) == Turn::Again {}
}

fn answer(ticket: Ticket<Nothing>) {
    let answered = pin!(ticket).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(answer) = answered else { unreachable!("the worker is idle") };
    black_box(answer.expect("nothing fails").output);
}

fn overhead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overhead");
    let (handle, mut worker) = batcher();
    group.throughput(Throughput::Elements(1));
    group.bench_function("lone request", |bencher| {
        bencher.iter(|| {
            let ticket = submit(&handle, 1);
            work(&mut worker);
            answer(ticket);
        });
    });
    for requests in [64, 4096] {
        group.throughput(Throughput::Elements(u64::from(requests)));
        group.bench_function(format!("{requests} requests at once"), |bencher| {
            bencher.iter(|| {
                let tickets: VecDeque<_> =
                    (0..requests).map(|input| submit(&handle, input)).collect();
                work(&mut worker);
                tickets.into_iter().for_each(answer);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
