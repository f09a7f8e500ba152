//! Builds the model on the worker's thread, at first and after a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};

use mue_batcher::{BuildError, Panicked};

use crate::batch::{BatchOfa, ImageCache};
use crate::device::OpenDevice;
use crate::engine::{EngineSettings, StartError};
use crate::model_folder::{ModelFolder, OpenError};
use crate::observer::EngineObserver;
use crate::warm_up;

/// What a model is built of.
pub(crate) struct Builder {
    pub(crate) folder: Arc<ModelFolder>,
    pub(crate) device: OpenDevice,
    pub(crate) settings: EngineSettings,
    pub(crate) observer: Arc<dyn EngineObserver>,
    /// Whoever waits for the first model.
    pub(crate) started: Option<mpsc::Sender<Result<(), StartError>>>,
}

impl Builder {
    /// The model; whoever waits for the first one is told.
    pub(crate) fn build(&mut self) -> Result<BatchOfa, BuildError> {
        let Some(started) = self.started.take() else { return Ok(self.load()?) };
        // The batcher survives a panic and tries again, which would leave whoever waits without a word.
        let built = catch_unwind(AssertUnwindSafe(|| self.load()));
        let built = match built.map_err(Panicked::from) {
            Ok(loaded) => loaded.map_err(StartError::from),
            Err(panicked) => Err(panicked.into()),
        };
        match built {
            Ok(model) => {
                // If nobody waits any more, the worker ends at its next turn.
                let _ = started.send(Ok(()));
                Ok(model)
            }
            Err(error) => {
                let message = error.to_string();
                let _ = started.send(Err(error));
                Err(message.into())
            }
        }
    }

    fn load(&self) -> Result<BatchOfa, OpenError> {
        let model = self.folder.load(&self.device, self.settings.options)?;
        let model = BatchOfa {
            model,
            folder: Arc::clone(&self.folder),
            images: Mutex::new(ImageCache::new(self.settings.image_cache_bytes_max)),
            observer: Arc::clone(&self.observer),
            cohort_rows_max: self.settings.batcher.cohort_rows_max,
        };
        // After a panic too: the cache starts empty.
        let usage = model.images().usage();
        self.observer.image_cache(usage);
        Ok(if self.settings.warm_up { warm_up::run(model) } else { model })
    }
}
