//! The server's settings: what may be asked, how much at once, and for how long.

mod checks;

use std::time::Duration;

use ipnet::IpNet;
use mue_data::ImageLimits;
use mue_engine::batcher::{Config as BatcherConfig, Policy};
use mue_engine::{DeviceChoice, EngineSettings};
use serde::{Deserialize, Serialize};

pub use self::checks::ConfigError;
use crate::auth::ApiKey;

/// Every key of `config/server.toml`, in its order, with the defaults that stand there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub listen: String,
    /// Model folder; none is the demo model in this binary.
    pub model: String,
    /// Device to run on: auto, flex, ndarray or wgpu.
    pub device: String,
    /// Threads that compute on the CPU; 0 is as many as the CPU quota allows.
    pub threads: usize,
    /// Seconds that work in flight may take to finish when the server is told to stop.
    pub drain_s_max: u64,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written: a level, or levels by module.
    pub log_level: String,
    /// Where spans are sent by OTLP, such as `http://127.0.0.1:4318`; none sends none.
    pub otlp_endpoint: String,
    /// What the server is called there.
    pub otlp_service: String,

    /// Connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// Milliseconds that a connection may be idle between requests.
    pub idle_ms_max: u64,
    /// Milliseconds that the head of a request, or a TLS handshake, may take.
    pub header_ms_max: u64,
    /// Bytes of the head of a request.
    pub header_bytes_max: usize,
    /// Milliseconds that a client may take to read some more of its answer.
    pub write_ms_max: u64,
    /// Certificate chain in PEM; with a key, connections are TLS.
    pub tls_certificate: String,
    /// The certificate's private key in PEM.
    pub tls_key: String,

    /// Keys that clients may present; without any, nobody needs one.
    pub api_keys: Vec<ApiKey>,
    /// Whether the metrics can be read without a key.
    pub metrics_public: bool,
    /// Origins of web pages that may ask, such as `https://example.org`; `*` is all.
    pub cors_origins: Vec<String>,

    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Milliseconds that a request's body may take to arrive.
    pub body_ms_max: u64,
    /// Requests under way at once, whatever they wait for.
    pub requests_max: usize,
    /// Bytes of all bodies at once, and of the pictures that are fetched for them.
    pub bodies_bytes_max: usize,
    /// Pictures of one request.
    pub images_max: usize,
    /// Bytes of one encoded picture.
    pub image_bytes_max: usize,
    /// Pixels of one picture.
    pub image_pixels_max: u64,
    /// Hosts that pictures may be fetched from; none fetches nothing.
    pub image_url_hosts: Vec<String>,
    /// Networks that are not public and may be fetched from all the same.
    pub image_url_networks: Vec<IpNet>,
    /// Milliseconds that fetching the pictures of a request may take.
    pub image_url_ms_max: u64,
    /// Redirects to follow for a picture.
    pub image_url_redirects_max: u32,
    /// Pictures that are fetched at once.
    pub image_url_fetches_max: usize,
    /// Hypotheses of one request.
    pub hypotheses_max: usize,
    /// Bytes of one hypothesis or premise.
    pub text_bytes_max: usize,
    /// Beams of one caption.
    pub beam_size_max: usize,
    /// Longest caption in tokens; a model's own bound holds too.
    pub caption_tokens_max: usize,
    /// Pictures that decode and resize, and large bodies and many long texts that are parsed, at once;
    /// 0 is one per CPU.
    pub preprocess_max: usize,
    /// Deadline of a request that names none, and of every body, in milliseconds.
    pub deadline_ms_default: u64,
    /// Longest deadline that a request may name, in milliseconds.
    pub deadline_ms_max: u64,

    /// Rows that may wait in the queue.
    pub queue_rows_max: usize,
    /// Rows that may encode and decode at once.
    pub rows_max: usize,
    /// Rows that may encode together.
    pub cohort_rows_max: usize,
    /// Milliseconds that a cohort that is not full waits for company.
    pub cohort_wait_ms_max: u64,
    /// How many milliseconds later a request counts as arriving, per class below `high`.
    pub priority_aging_ms: u64,
    /// Encoder steps for each token that is decoded beside them.
    pub encode_steps_max: u32,
    /// Decode steps in a row while a cohort could start.
    pub decode_steps_max: u32,
    /// While rows decode, cohorts of fewer rows to encode than this wait for company.
    pub refill_rows_min: usize,
    /// Attempts in a row to build the model after a panic.
    pub build_attempts_max: u32,
    /// Milliseconds between two such attempts.
    pub build_wait_ms: u64,
    /// Bytes of image encodings to keep; 0 keeps none.
    pub image_cache_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            model: String::new(),
            device: "auto".into(),
            threads: 0,
            drain_s_max: 30,
            log_format: LogFormat::Text,
            log_level: "info".into(),
            otlp_endpoint: String::new(),
            otlp_service: "mue".into(),
            connections_max: 4096,
            idle_ms_max: 75_000,
            header_ms_max: 10_000,
            header_bytes_max: 64 << 10,
            write_ms_max: 30_000,
            tls_certificate: String::new(),
            tls_key: String::new(),
            api_keys: Vec::new(),
            metrics_public: false,
            cors_origins: Vec::new(),
            body_bytes_max: 16 << 20,
            body_ms_max: 30_000,
            requests_max: 1024,
            bodies_bytes_max: 256 << 20,
            images_max: 32,
            image_bytes_max: 16 << 20,
            image_pixels_max: 50_000_000,
            image_url_hosts: Vec::new(),
            image_url_networks: Vec::new(),
            image_url_ms_max: 5000,
            image_url_redirects_max: 3,
            image_url_fetches_max: 16,
            hypotheses_max: 64,
            text_bytes_max: 4096,
            beam_size_max: 8,
            caption_tokens_max: 256,
            preprocess_max: 0,
            deadline_ms_default: 60_000,
            deadline_ms_max: 600_000,
            queue_rows_max: 512,
            rows_max: 64,
            cohort_rows_max: 12,
            cohort_wait_ms_max: 0,
            priority_aging_ms: 1000,
            encode_steps_max: 1,
            decode_steps_max: 4,
            refill_rows_min: 1,
            build_attempts_max: 5,
            build_wait_ms: 1000,
            image_cache_bytes_max: 256 << 20,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object per line, for programs.
    Json,
}

impl Config {
    /// Whether connections are TLS.
    pub fn has_tls(&self) -> bool {
        !self.tls_certificate.is_empty()
    }

    /// The engine's part, on a device.
    pub fn engine(&self, device: DeviceChoice) -> EngineSettings {
        EngineSettings {
            device,
            batcher: self.batcher(),
            image_cache_bytes_max: self.image_cache_bytes_max,
            ..EngineSettings::default()
        }
    }

    /// The batcher's part.
    pub fn batcher(&self) -> BatcherConfig {
        BatcherConfig {
            queue_rows_max: self.queue_rows_max,
            rows_max: self.rows_max,
            cohort_rows_max: self.cohort_rows_max,
            wait_max: Duration::from_millis(self.cohort_wait_ms_max),
            aging: Duration::from_millis(self.priority_aging_ms),
            policy: Policy::Continuous {
                encode_steps_max: self.encode_steps_max,
                decode_steps_max: self.decode_steps_max,
                refill_rows_min: self.refill_rows_min,
            },
            build_attempts_max: self.build_attempts_max,
            build_wait: Duration::from_millis(self.build_wait_ms),
        }
    }

    /// Pictures of one request for which there are rows.
    pub(crate) fn images_possible(&self) -> usize {
        self.images_max.min(self.queue_rows_max)
    }

    /// Hypotheses of one request for which there are rows.
    pub(crate) fn hypotheses_possible(&self) -> usize {
        self.hypotheses_max.min(self.queue_rows_max)
    }

    /// Beams of one caption for which there are rows.
    pub(crate) fn beam_size_possible(&self) -> usize {
        self.beam_size_max.min(self.rows_max).min(self.queue_rows_max)
    }

    /// What pictures may be decoded.
    pub(crate) fn image_limits(&self) -> ImageLimits {
        ImageLimits { bytes_max: self.image_bytes_max, pixels_max: self.image_pixels_max }
    }

    /// How long a drain may take.
    pub(crate) fn drain_max(&self) -> Duration {
        Duration::from_secs(self.drain_s_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_are_the_batchers() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.batcher(), BatcherConfig::default());
        assert_eq!(config.image_limits(), ImageLimits::default());
    }
}
