//! A server on a tiny random model, called without a network.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mue_engine::batcher::Handle;
use mue_engine::{BatchOfa, DeviceChoice, Encoding, Engine, EngineObserver, EngineSettings};
use mue_server::{App, Config, LoadError, Loaded, Metrics, router};
use serde_json::Value;
use tower::ServiceExt;

use crate::folder::Folder;

pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    /// Beside the server, to fill the queue and to see what is in it.
    pub(crate) batcher: Handle<BatchOfa>,
    _folder: Folder,
}

pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Fails unless this is a problem of the given kind.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
        assert!(!problem["title"].as_str().unwrap().is_empty(), "{problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    }
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::observed(config, |metrics| metrics)
    }

    /// With something between the engine and the metrics.
    pub(crate) fn observed<O: EngineObserver + 'static>(
        config: Config,
        observer: impl FnOnce(Arc<Metrics>) -> Arc<O>,
    ) -> Self {
        let folder = Folder::new(1, Encoding::Decomposed);
        let metrics = Metrics::new().unwrap();
        let engine = open(folder.path(), &config, observer(Arc::clone(&metrics)));
        let batcher = engine.batcher().clone();
        Self { app: App::new(engine, config, metrics), batcher, _folder: folder }
    }

    /// One that reloads what `loader` says.
    pub(crate) fn reloadable(
        config: Config,
        loader: impl Fn(Arc<Metrics>) -> Result<Loaded, LoadError> + Send + Sync + 'static,
    ) -> Self {
        let folder = Folder::new(1, Encoding::Decomposed);
        let metrics = Metrics::new().unwrap();
        let observer = Arc::clone(&metrics);
        let engine = open(folder.path(), &config, observer);
        let batcher = engine.batcher().clone();
        Self { app: App::reloadable(engine, config, metrics, loader), batcher, _folder: folder }
    }

    pub(crate) fn router(&self) -> Router {
        router(Arc::clone(&self.app))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let response = self.router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 24).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Response { status: head.status, headers: head.headers, text }
    }

    /// Waits until so many rows are in the queue.
    pub(crate) async fn until_queued(&self, rows: usize) {
        while self.batcher.load().queue.rows != rows {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the worker holds no row: an answer leaves before the step that gave it is over.
    pub(crate) async fn until_at_rest(&self) {
        while self.batcher.load().live_rows != 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the metrics have a line.
    pub(crate) async fn until_metric(&self, line: &str) {
        while !self.get("/metrics").await.text.lines().any(|found| found == line) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(post(path, body.to_string())).await
    }
}

/// An engine on a model folder.
pub(crate) fn open(
    folder: &Path,
    config: &Config,
    observer: Arc<impl EngineObserver + 'static>,
) -> Engine {
    let settings = EngineSettings { warm_up: false, ..config.engine(DeviceChoice::Flex) };
    Engine::open(folder, settings, observer).unwrap()
}

/// Runs a test in which all work that may block waits, as behind pictures that take their time.
pub(crate) fn while_others_block(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (open, closed) = std::sync::mpsc::channel::<()>();
        let blocks = tokio::task::spawn_blocking(move || closed.recv());
        test().await;
        drop(open);
        blocks.await.unwrap().unwrap_err();
    });
}

/// A JSON request.
pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path);
    request.header("content-type", "application/json").body(body.into()).unwrap()
}

/// A small picture of one colour, as a file.
pub(crate) fn png(colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(24, 16, image::Rgb(colour));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The same in base64.
pub(crate) fn picture(colour: [u8; 3]) -> String {
    BASE64_STANDARD.encode(png(colour))
}
