//! Whether settings make sense, and which of them only a restart changes.

use axum::http::Uri;

use super::Config;
use crate::cors::is_origin;
use crate::fetch::{HostRule, HostRuleError};

/// Why a [`Config`] makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A limit that has to let something through is zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
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
        let limits = [
            ("connections_max", self.connections_max),
            ("header_ms_max", self.header_ms_max as usize),
            ("header_bytes_max", self.header_bytes_max),
            ("body_bytes_max", self.body_bytes_max),
            ("body_ms_max", self.body_ms_max as usize),
            ("requests_max", self.requests_max),
            ("images_max", self.images_max),
            ("image_bytes_max", self.image_bytes_max),
            ("image_pixels_max", self.image_pixels_max as usize),
            ("image_url_ms_max", self.image_url_ms_max as usize),
            ("image_url_fetches_max", self.image_url_fetches_max),
            ("hypotheses_max", self.hypotheses_max),
            ("text_bytes_max", self.text_bytes_max),
            ("beam_size_max", self.beam_size_max),
            ("deadline_ms_default", self.deadline_ms_default as usize),
        ];
        if let Some((key, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(ConfigError::Zero(key));
        }
        if self.deadline_ms_default > self.deadline_ms_max {
            return Err(ConfigError::Above("deadline_ms_default", "deadline_ms_max"));
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
        Ok(self.batcher().validate()?)
    }

    /// The keys that differ from another configuration's and that only a restart can change.
    pub(crate) fn restart_needed(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen", self.listen != other.listen),
            ("threads", self.threads != other.threads),
            ("log_format", self.log_format != other.log_format),
            ("log_level", self.log_level != other.log_level),
            ("otlp_endpoint", self.otlp_endpoint != other.otlp_endpoint),
            ("otlp_service", self.otlp_service != other.otlp_service),
            ("connections_max", self.connections_max != other.connections_max),
            ("header_ms_max", self.header_ms_max != other.header_ms_max),
            ("header_bytes_max", self.header_bytes_max != other.header_bytes_max),
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
        assert_eq!(config.validate(), Err(ConfigError::Zero("images_max")));
        let config = Config { deadline_ms_default: 700_000, ..Config::default() };
        assert!(config.validate().unwrap_err().to_string().contains("deadline_ms_max"));
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
}
