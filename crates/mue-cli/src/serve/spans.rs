//! A span per request, sent by OTLP in builds with the feature `otlp`.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod client;
#[cfg(feature = "otlp")]
mod conventions;
#[cfg(feature = "otlp")]
mod exporter;

use anyhow::anyhow;
use mue_server::Config;

#[cfg(not(feature = "otlp"))]
pub(super) use self::absent::Exporter;
#[cfg(feature = "otlp")]
pub(super) use self::exporter::Exporter;
use crate::error::user_error;

/// Where spans are sent: to the settings' endpoint, or to that of OpenTelemetry's own variables.
///
/// # Errors
///
/// If the settings have one and this build sends no spans.
pub(super) fn destination(
    config: &Config,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<String>> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    match config.otlp_endpoint.as_str() {
        "" if !cfg!(feature = "otlp") => Ok(None),
        "" => Ok(variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| traces(&base)))),
        base if cfg!(feature = "otlp") => Ok(Some(traces(base))),
        _ => {
            let error = anyhow!("otlp_endpoint is set, and this build cannot send spans");
            Err(user_error(error, "build mue with `--features otlp`, or leave the key empty"))
        }
    }
}

/// The address for spans of a collector's address.
fn traces(base: &str) -> String {
    format!("{}/v1/traces", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "otlp"))]
    fn a_build_without_spans_says_so_where_some_are_asked_for() {
        let everywhere = |_: &str| Some("http://all".to_owned());
        assert_eq!(destination(&Config::default(), everywhere).unwrap(), None);
        let own = Config { otlp_endpoint: "http://own".into(), ..Config::default() };
        let error = destination(&own, |_| None).unwrap_err().to_string();
        assert!(error.contains("otlp_endpoint"), "{error}");
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn the_settings_go_before_the_standard_variables() {
        let both = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some("http://spans/x".to_owned()),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://all/".to_owned()),
            _ => None,
        };
        let base = |name: &str| both(name).filter(|_| name == "OTEL_EXPORTER_OTLP_ENDPOINT");
        let none = Config::default();
        let own = Config { otlp_endpoint: "http://own".into(), ..Config::default() };
        assert_eq!(destination(&own, both).unwrap().unwrap(), "http://own/v1/traces");
        assert_eq!(destination(&none, both).unwrap().unwrap(), "http://spans/x");
        assert_eq!(destination(&none, base).unwrap().unwrap(), "http://all/v1/traces");
        assert_eq!(destination(&none, |_| None).unwrap(), None);
        assert_eq!(destination(&none, |_| Some(String::new())).unwrap(), None);
    }
}
