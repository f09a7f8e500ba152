//! Whether settings make sense, and which of them only a restart changes.

use axum::http::Uri;
use tokio::sync::Semaphore;

use super::Config;
use crate::cors::is_origin;
use crate::fetch::{HostRule, HostRuleError};

/// The head of an ordinary request: what a browser sends has several hundred bytes.
const HEADER_BYTES_LEAST: usize = 1024;

/// What reads heads has room for them.
const HEADER_BYTES_MOST: usize = 256 << 10;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Why a [`Config`] makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A limit lets nothing through.
    #[error("{0} must be at least {1}")]
    Small(&'static str, usize),
    /// So much at once cannot be counted.
    #[error("{0} must be at most {1}")]
    Large(&'static str, usize),
    /// Nobody waits so long.
    #[error("{0} must be at most a day")]
    Long(&'static str),
    /// One limit contradicts another.
    #[error("{0} must be at most {1}")]
    Above(&'static str, &'static str),
    /// An origin has a scheme and a host, and nothing behind them.
    #[error("cors_origins: {0:?} is no origin such as https://example.org")]
    Origin(String),
    /// No such host can be fetched from.
    #[error("image_url_hosts: {0:?}: {1}")]
    Host(String, HostRuleError),
    /// Spans can be sent there neither by HTTP nor by HTTPS.
    #[error("otlp_endpoint: {0:?} is no address such as http://127.0.0.1:4318")]
    Endpoint(String),
    /// A key would have the limits of one of the entries, and the log would name one of them.
    #[error("api_keys: {0:?} and {1:?} are the same key")]
    SameKey(String, String),
    /// A certificate is nothing without its key.
    #[error("tls_certificate and tls_key need each other")]
    HalfTls,
    /// The batcher cannot work so.
    #[error(transparent)]
    Batcher(#[from] mue_engine::batcher::ConfigError),
}

impl Config {
    /// Checks what the types leave open.
    ///
    /// # Errors
    ///
    /// If a limit lets nothing through or contradicts another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.let_something_through()?;
        self.can_be_counted()?;
        if self.deadline_ms_default > self.deadline_ms_max {
            return Err(ConfigError::Above("deadline_ms_default", "deadline_ms_max"));
        }
        // Else one request alone could be too much for ever.
        if self.body_bytes_max > self.bodies_bytes_max {
            return Err(ConfigError::Above("body_bytes_max", "bodies_bytes_max"));
        }
        if let Some(origin) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::Origin(origin.clone()));
        }
        for host in &self.image_url_hosts {
            let parsed = host.parse::<HostRule>();
            parsed.map_err(|error| ConfigError::Host(host.clone(), error))?;
        }
        if !self.otlp_endpoint.is_empty() && !is_address(&self.otlp_endpoint) {
            return Err(ConfigError::Endpoint(self.otlp_endpoint.clone()));
        }
        if self.tls_certificate.is_empty() != self.tls_key.is_empty() {
            return Err(ConfigError::HalfTls);
        }
        self.keys_differ()?;
        Ok(self.batcher().validate()?)
    }

    fn keys_differ(&self) -> Result<(), ConfigError> {
        let mut keys = self.api_keys.iter();
        while let Some(key) = keys.next() {
            if let Some(same) = keys.clone().find(|other| other.sha256 == key.sha256) {
                return Err(ConfigError::SameKey(key.name.clone(), same.name.clone()));
            }
        }
        Ok(())
    }

    fn let_something_through(&self) -> Result<(), ConfigError> {
        let limits = [
            ("connections_max", self.connections_max, 1),
            ("idle_ms_max", self.idle_ms_max as usize, 1),
            ("header_ms_max", self.header_ms_max as usize, 1),
            ("header_bytes_max", self.header_bytes_max, HEADER_BYTES_LEAST),
            ("write_ms_max", self.write_ms_max as usize, 1),
            ("body_bytes_max", self.body_bytes_max, 1),
            ("body_ms_max", self.body_ms_max as usize, 1),
            ("requests_max", self.requests_max, 1),
            ("images_max", self.images_max, 1),
            ("image_bytes_max", self.image_bytes_max, 1),
            ("image_pixels_max", self.image_pixels_max as usize, 1),
            ("image_url_ms_max", self.image_url_ms_max as usize, 1),
            ("image_url_fetches_max", self.image_url_fetches_max, 1),
            ("hypotheses_max", self.hypotheses_max, 1),
            ("text_bytes_max", self.text_bytes_max, 1),
            ("beam_size_max", self.beam_size_max, 1),
            ("caption_tokens_max", self.caption_tokens_max, 1),
            ("deadline_ms_default", self.deadline_ms_default as usize, 1),
        ];
        match limits.into_iter().find(|(_, limit, least)| limit < least) {
            Some((key, _, least)) => Err(ConfigError::Small(key, least)),
            None => Ok(()),
        }
    }

    fn can_be_counted(&self) -> Result<(), ConfigError> {
        let times = [
            ("drain_s_max", self.drain_s_max.saturating_mul(1000)),
            ("idle_ms_max", self.idle_ms_max),
            ("header_ms_max", self.header_ms_max),
            ("write_ms_max", self.write_ms_max),
            ("body_ms_max", self.body_ms_max),
            ("image_url_ms_max", self.image_url_ms_max),
            ("deadline_ms_max", self.deadline_ms_max),
            ("cohort_wait_ms_max", self.cohort_wait_ms_max),
            ("priority_aging_ms", self.priority_aging_ms),
            ("build_wait_ms", self.build_wait_ms),
        ];
        if let Some((key, _)) = times.into_iter().find(|(_, ms)| *ms > DAY_MS) {
            return Err(ConfigError::Long(key));
        }
        let limits = [
            ("preprocess_max", self.preprocess_max, Semaphore::MAX_PERMITS),
            ("image_url_fetches_max", self.image_url_fetches_max, Semaphore::MAX_PERMITS),
            ("header_bytes_max", self.header_bytes_max, HEADER_BYTES_MOST),
        ];
        match limits.into_iter().find(|(_, found, most)| found > most) {
            Some((key, _, most)) => Err(ConfigError::Large(key, most)),
            None => Ok(()),
        }
    }

    /// The keys that differ from those of another configuration and that only a restart can change.
    pub(crate) fn restart_needed(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen", self.listen != other.listen),
            ("threads", self.threads != other.threads),
            ("log_format", self.log_format != other.log_format),
            ("log_level", self.log_level != other.log_level),
            ("otlp_endpoint", self.otlp_endpoint != other.otlp_endpoint),
            ("otlp_service", self.otlp_service != other.otlp_service),
            ("connections_max", self.connections_max != other.connections_max),
            ("idle_ms_max", self.idle_ms_max != other.idle_ms_max),
            ("header_ms_max", self.header_ms_max != other.header_ms_max),
            ("header_bytes_max", self.header_bytes_max != other.header_bytes_max),
            ("write_ms_max", self.write_ms_max != other.write_ms_max),
            ("tls_certificate", self.has_tls() != other.has_tls()),
            ("requests_max", self.requests_max != other.requests_max),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

/// Whether it has a host that HTTP or HTTPS reaches.
fn is_address(text: &str) -> bool {
    let uri = text.parse::<Uri>().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let config = Config { images_max: 0, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Small("images_max", 1)));
        let config = Config { header_bytes_max: 10, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Small("header_bytes_max", 1024)));
        let config = Config { header_bytes_max: 1 << 20, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Large("header_bytes_max", 262_144)));
        let config = Config { deadline_ms_default: 700_000, ..Config::default() };
        assert!(config.validate().unwrap_err().to_string().contains("deadline_ms_max"));
        let config = Config { body_bytes_max: 1 << 30, ..Config::default() };
        let said = config.validate().unwrap_err().to_string();
        assert_eq!(said, "body_bytes_max must be at most bodies_bytes_max");
        let config = Config { cors_origins: vec!["example.org".into()], ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Origin("example.org".into())));
        let config = Config { image_url_hosts: vec!["a/b".into()], ..Config::default() };
        assert!(config.validate().unwrap_err().to_string().contains("a/b"));
        let config = Config { tls_key: "key.pem".into(), ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::HalfTls));
        for endpoint in ["localhost:4318", "grpc://localhost", "/v1/traces"] {
            let config = Config { otlp_endpoint: endpoint.into(), ..Config::default() };
            assert_eq!(config.validate(), Err(ConfigError::Endpoint(endpoint.into())));
        }
        let config = Config { rows_max: 0, ..Config::default() };
        assert!(matches!(config.validate(), Err(ConfigError::Batcher(_))));
    }

    #[test]
    fn what_no_clock_or_count_holds_is_named() {
        let most = i64::MAX as u64;
        let (default, places) = (Config::default(), most as usize);
        for (key, config) in [
            ("preprocess_max", Config { preprocess_max: places, ..default.clone() }),
            ("image_url_fetches_max", Config { image_url_fetches_max: places, ..default.clone() }),
            ("drain_s_max", Config { drain_s_max: most, ..default.clone() }),
            ("deadline_ms_max", Config { deadline_ms_max: most, ..default.clone() }),
            ("priority_aging_ms", Config { priority_aging_ms: most, ..default.clone() }),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(key) && error.contains("at most"), "{error}");
        }
    }
}
