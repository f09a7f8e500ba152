//! Pictures by URL, for clients that would rather name one than send it.
//!
//! Whoever makes a server fetch can make it ask what the client itself cannot reach. So nothing is
//! fetched but from hosts that the settings name, at addresses that are public. Both are checked
//! where a name becomes the addresses that are connected to, which no redirect and no second answer
//! of a name server gets around: every connection is a new one and every connection passes there.

mod address;
mod guard;
mod host;

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use ureq::Agent;
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::DefaultConnector;

use self::guard::{Guard, Refusal};
pub(crate) use self::host::HostRule;
pub use self::host::HostRuleError;
use crate::config::Config;
use crate::pool::Pool;
use crate::problem::{Code, Problem};

/// Fetches pictures, a bounded number at a time.
pub(crate) struct Fetcher {
    agent: Agent,
    pool: Pool,
    enabled: bool,
}

impl Fetcher {
    /// By the settings, with the system's names.
    pub(crate) fn new(config: &Config) -> Self {
        Self::resolving(config, DefaultResolver::default())
    }

    fn resolving(config: &Config, names: impl Resolver) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_millis(config.image_url_ms_max)))
            .max_redirects(config.image_url_redirects_max)
            // A connection kept would pass no guard the next time.
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("mue/", env!("CARGO_PKG_VERSION")))
            .accept("image/*")
            .build();
        let guard = Guard::new(config, names);
        Self {
            agent: Agent::with_parts(agent, DefaultConnector::default(), guard),
            pool: Pool::new(config.image_url_fetches_max),
            enabled: !config.image_url_hosts.is_empty(),
        }
    }

    /// Fetches a picture of so many bytes at most.
    ///
    /// # Errors
    ///
    /// If URLs are not enabled, this one is not allowed, or nothing comes of it in time.
    pub(crate) async fn fetch(&self, url: String, bytes_max: usize) -> Result<Bytes, Problem> {
        if !self.enabled {
            let detail = "this server fetches no pictures; send the image itself, in base64";
            return Err(Problem::new(Code::ImageUrlRefused, detail));
        }
        let agent = self.agent.clone();
        let fetched = self.pool.start(move || get(&agent, &url, bytes_max)).await;
        match fetched.await {
            Ok(fetched) => fetched.map_err(|error| problem(error, bytes_max)),
            Err(_) => Err(Problem::new(Code::Internal, "fetching failed")),
        }
    }
}

/// Whether a picture is a URL rather than the picture itself, of which only the beginning is read.
pub(crate) fn is_url(text: &str) -> bool {
    let begins = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    begins("http://") || begins("https://")
}

fn get(agent: &Agent, url: &str, bytes_max: usize) -> Result<Bytes, ureq::Error> {
    let mut response = agent.get(url).call()?;
    let limited = response.body_mut().with_config().limit(bytes_max as u64);
    limited.read_to_vec().map(Bytes::from)
}

fn problem(error: ureq::Error, bytes_max: usize) -> Problem {
    let failed = |detail: String| Problem::new(Code::ImageUrlFailed, detail);
    match error {
        ureq::Error::Other(error) if error.is::<Refusal>() => {
            Problem::new(Code::ImageUrlRefused, error.to_string())
        }
        ureq::Error::BodyExceedsLimit(_) => {
            let detail = format!("the URL's picture has more than {bytes_max} bytes");
            Problem::new(Code::ImageTooLarge, detail)
        }
        ureq::Error::StatusCode(status) => failed(format!("the URL's host answered {status}")),
        ureq::Error::Timeout(_) => failed("the URL's host took too long".into()),
        ureq::Error::TooManyRedirects => failed("the URL redirects too often".into()),
        ureq::Error::HostNotFound => failed("the URL's host was not found".into()),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => failed("that is no URL".into()),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            failed("the URL's host took too long".into())
        }
        error => {
            // The words of what lies below may tell what the network looks like.
            tracing::debug!(%error, "a picture could not be fetched");
            failed("the URL's host could not be asked".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_from_a_picture() {
        assert!(["http://a/b", "https://a", "HTTPS://A"].into_iter().all(is_url));
        assert!(
            !["", "http", "data:image/png;base64,aGk=", "ftp://a", "aGk="].into_iter().any(is_url)
        );
    }
}
