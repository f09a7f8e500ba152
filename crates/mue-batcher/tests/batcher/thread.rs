//! The worker on its own thread, in real time, with plain futures.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use mue_batcher::{Config, Handle, Load, Permit, Priority, Submission, Ticket, pair};

use crate::fake::{Fake, Input, Shared};
use crate::plan::plan;
use crate::recorder::Recorder;

/// The callers' ends live in handlers that move between threads.
const _: fn() = || {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<(Handle<Fake>, Permit<Fake>, Ticket<Fake>)>();
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn callers_on_many_threads_are_answered_by_one_worker() {
    let shared = Shared::new();
    let factory = {
        let shared = shared.clone();
        move || shared.model()
    };
    let config = Config { wait_max: Duration::from_millis(1), ..Config::default() };
    let recorder = Arc::new(Recorder::default());
    let (handle, worker) = pair(config, factory, recorder.clone()).unwrap();
    let alive = Arc::clone(&shared.world().alive);
    let running = thread::spawn(move || worker.run());
    thread::scope(|scope| {
        for caller in 0..4 {
            let (handle, alive) = (handle.clone(), alive.clone());
            scope.spawn(move || {
                for number in 0..50 {
                    let key = caller * 50 + number;
                    let plan = plan(1 + key % 3, 1 + key % 4);
                    let input = Input { key, plan, _alive: alive.clone() };
                    let submission = Submission {
                        inputs: vec![input],
                        priority: Priority::ALL[key % 3],
                        deadline: None,
                        stream: true,
                    };
                    let mut ticket =
                        handle.submit(submission, Instant::now()).unwrap().pop().unwrap();
                    if key % 7 == 0 {
                        continue;
                    }
                    block_on(async {
                        let mut tokens = 0;
                        while let Some(token) = ticket.next_event().await {
                            tokens += 1;
                            assert_eq!(token, tokens);
                        }
                        assert_eq!(tokens, plan.tokens);
                        assert_eq!(ticket.await.unwrap().output, key);
                    });
                }
            });
        }
    });
    handle.drain(Instant::now() + Duration::from_secs(60));
    running.join().unwrap();
    assert_eq!(handle.load(), Load::default());
    assert_eq!(recorder.ends().len(), 200);
    assert_eq!(Arc::strong_count(&alive), 2, "ours and the world's");
}

#[test]
fn the_thread_ends_when_the_last_handle_goes() {
    let shared = Shared::new();
    let (handle, worker) =
        pair(Config::default(), move || shared.model(), Arc::new(Recorder::default())).unwrap();
    let running = thread::spawn(move || worker.run());
    drop(handle);
    running.join().unwrap();
}
