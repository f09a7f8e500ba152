//! A random model, opened for tests.

use std::sync::Arc;

use mue_engine::batcher::NoObserver;
use mue_engine::{DeviceChoice, Engine, EngineSettings};

use crate::folder::Folder;

/// An engine that caches no pictures.
pub(crate) fn engine(folder: &Folder) -> Engine {
    let settings = EngineSettings {
        device: DeviceChoice::Flex,
        warm_up: false,
        image_cache_bytes_max: 0,
        ..EngineSettings::default()
    };
    Engine::open(folder.path(), settings, Arc::new(NoObserver)).unwrap()
}
