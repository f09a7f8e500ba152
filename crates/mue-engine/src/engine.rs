//! The engine: a model on a thread of its own, and the batcher in front of it.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use mue_batcher::{Answer, Config, Handle, Panicked, Priority, RequestError, Submission, Ticket};
use mue_batcher::{SubmitError, pair};
use mue_model::{NonFiniteLogits, RunOptions};

use crate::answer::Reply;
use crate::batch::BatchOfa;
use crate::builder::Builder;
use crate::device::{DeviceChoice, DeviceError};
use crate::model_folder::{ModelFolder, ModelSource, OpenError};
use crate::observer::EngineObserver;
use crate::request::Request;

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Where.
    pub device: DeviceChoice,
    /// How rows that have exited are left out, and what the decoder keeps of skipped layers. What a
    /// gather costs is measured instead where there is a [warm-up](Self::warm_up).
    pub options: RunOptions,
    /// Queue, admission and batching.
    pub batcher: Config,
    /// Bytes of image encodings to keep; 0 keeps none.
    pub image_cache_bytes_max: usize,
    /// Whether to compute an answer of each task before the first request, and to measure when
    /// gathering the survivors of an exit pays.
    pub warm_up: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            options: RunOptions::default(),
            batcher: Config::default(),
            image_cache_bytes_max: 256 << 20,
            warm_up: true,
        }
    }
}

/// An accepted request: a future of its answer, and the tokens before it.
///
/// A token is told when it is decided: with one beam as it leaves, with several when the whole answer
/// is, all in order.
pub type Pending = Ticket<BatchOfa>;

/// What became of a request.
pub type Outcome = Result<Answer<Reply>, RequestError<NonFiniteLogits>>;

/// Answers requests with one model on one device.
///
/// The model lives on a worker thread. Dropping the engine ends it after the step in progress and
/// refuses what is unanswered; [`batcher`](Self::batcher) can be drained before.
pub struct Engine {
    handle: Handle<BatchOfa>,
    folder: Arc<ModelFolder>,
    device: DeviceChoice,
    worker: Option<JoinHandle<()>>,
}

/// Why an engine cannot start. What goes wrong with the first model is told at once; only a model that
/// has worked before is tried again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A limit makes no sense.
    #[error(transparent)]
    Config(#[from] mue_batcher::ConfigError),
    /// The model panicked while it was loaded or warmed up.
    #[error("the model panicked while it was built")]
    Panicked(#[from] Panicked),
    /// The system gave no thread, or the worker died.
    #[error("the engine's thread could not start")]
    Thread,
}

impl Engine {
    /// Opens a model and waits until the model is loaded and warm.
    ///
    /// # Errors
    ///
    /// If the folder, the device or the settings cannot be used.
    pub fn open(
        source: impl Into<ModelSource>,
        settings: EngineSettings,
        observer: Arc<dyn EngineObserver>,
    ) -> Result<Self, StartError> {
        let folder = Arc::new(ModelFolder::open(source)?);
        let device = settings.device.open()?;
        let choice = device.choice;
        let (started, start) = mpsc::channel();
        let mut builder = Builder {
            folder: Arc::clone(&folder),
            device,
            settings: settings.clone(),
            observer: Arc::clone(&observer),
            started: Some(started),
        };
        let (handle, worker) = pair(settings.batcher, move || builder.build(), observer)?;
        let name = String::from("mue-model");
        let worker = thread::Builder::new()
            .name(name)
            .spawn(move || worker.run())
            .map_err(|_| StartError::Thread)?;
        start.recv().map_err(|_| StartError::Thread)??;
        Ok(Self { handle, folder, device: choice, worker: Some(worker) })
    }

    /// Makes requests out of what users ask.
    pub fn model(&self) -> &ModelFolder {
        &self.folder
    }

    /// Where the model runs; never `auto`.
    pub fn device(&self) -> DeviceChoice {
        self.device
    }

    /// The batcher's end, for permits, load and drain.
    pub fn batcher(&self) -> &Handle<BatchOfa> {
        &self.handle
    }

    /// Accepts a list of requests, whole or not at all.
    ///
    /// # Errors
    ///
    /// If the queue has no room, or nothing is accepted any more.
    pub fn submit(&self, requests: Submission<Request>) -> Result<Vec<Pending>, SubmitError> {
        self.handle.submit(requests, Instant::now())
    }

    /// Answers requests of any number, in their order, as the queue has room. Blocks.
    ///
    /// # Errors
    ///
    /// If nothing is accepted any more; a request may fail alone.
    pub fn answer_all(
        &self,
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<Vec<Outcome>, SubmitError> {
        let mut outcomes = Vec::new();
        let mut waiting = std::collections::VecDeque::new();
        for request in requests {
            loop {
                match self.submit(in_bulk(request.clone())) {
                    Ok(tickets) => break waiting.extend(tickets),
                    // Full of our own: one answer makes room for one request.
                    Err(SubmitError::QueueFull { .. }) if !waiting.is_empty() => {
                        outcomes.extend(waiting.pop_front().map(block_on));
                    }
                    Err(SubmitError::QueueFull { .. }) => thread::sleep(FULL_OF_OTHERS),
                    Err(error) => return Err(error),
                }
            }
        }
        outcomes.extend(waiting.into_iter().map(block_on));
        Ok(outcomes)
    }
}

/// How long to wait for room that only others can make.
const FULL_OF_OTHERS: Duration = Duration::from_millis(2);

fn in_bulk(request: Request) -> Submission<Request> {
    Submission { inputs: vec![request], priority: Priority::Normal, deadline: None, stream: false }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.handle.drain(Instant::now());
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has refused its requests already.
            drop(worker.join());
        }
    }
}

/// Waits for a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
