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
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use ureq::Agent;
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::DefaultConnector;

use self::guard::{Guard, Refusal};
pub(crate) use self::host::HostRule;
pub use self::host::HostRuleError;
use crate::bodies::{HeldBytes, NoRoom};
use crate::config::Config;
use crate::pool::Pool;
use crate::problem::{Code, Problem};

/// Fetches pictures, a bounded number at a time.
pub(crate) struct Fetcher {
    agent: Agent,
    pool: Pool,
    /// Pictures of one request that are fetched at once.
    at_once: usize,
    limits: Limits,
    enabled: bool,
}

/// What may be fetched.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes of a picture.
    picture_bytes_max: usize,
    /// Bytes of a request: of its body and all that is fetched for it.
    request_bytes_max: usize,
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
        let limits = Limits {
            picture_bytes_max: config.image_bytes_max,
            request_bytes_max: config.body_bytes_max,
        };
        Self {
            agent: Agent::with_parts(agent, DefaultConnector::default(), guard),
            pool: Pool::new(config.image_url_fetches_max),
            // So that no request keeps all places from the others.
            at_once: config.image_url_fetches_max.div_ceil(4),
            limits,
            enabled: !config.image_url_hosts.is_empty(),
        }
    }

    /// Fetches the pictures of a request, each from its URL for its place in the request: some at once,
    /// as places are free.
    ///
    /// # Errors
    ///
    /// If URLs are not enabled, one is not allowed, they are too large, or nothing comes of one in time.
    pub(crate) async fn fetch(
        &self,
        urls: Vec<(usize, String)>,
        held: &Arc<HeldBytes>,
    ) -> Result<Vec<(usize, Bytes)>, Problem> {
        if let Some((place, _)) = urls.first().filter(|_| !self.enabled) {
            let detail = "this server fetches no pictures; send the image itself, in base64";
            let refused = Problem::new(Code::ImageUrlRefused, detail);
            return Err(refused.about(&format!("image {place}")));
        }
        let work = |(place, url): &(usize, String)| {
            let (agent, limits, held) = (self.agent.clone(), self.limits, Arc::clone(held));
            let (place, url) = (*place, url.clone());
            move || {
                let fetched = limits.fetch(&agent, &url, &held).map(|bytes| (place, bytes));
                fetched.map_err(|problem| problem.about(&format!("image {place}")))
            }
        };
        let mut fetched = Vec::with_capacity(urls.len());
        for urls in urls.chunks(self.at_once) {
            let some = self.pool.all(urls.iter().map(&work).collect()).await;
            fetched.extend(some.map_err(|_| Problem::new(Code::Internal, "fetching failed"))??);
        }
        Ok(fetched)
    }
}

impl Limits {
    /// Fetches a picture for a request that holds so many bytes already.
    fn fetch(self, agent: &Agent, url: &str, held: &HeldBytes) -> Result<Bytes, Problem> {
        let bytes_max = held.left().min(self.picture_bytes_max);
        let bytes = get(agent, url, bytes_max).map_err(|error| problem(error, self))?;
        match held.take(bytes.len()) {
            Ok(()) => Ok(bytes),
            // Others of the request have come meanwhile.
            Err(NoRoom::OfItsOwn) => Err(self.too_large_together()),
            Err(NoRoom::OfAll(problem)) => Err(problem),
        }
    }

    fn too_large_together(self) -> Problem {
        let most = self.request_bytes_max;
        let detail =
            format!("the request's body and its URLs' pictures have more than {most} bytes");
        Problem::new(Code::ImageTooLarge, detail)
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
    let status = response.status();
    // Where none is to be followed, one comes through.
    if status.is_redirection() {
        return Err(ureq::Error::StatusCode(status.as_u16()));
    }
    let limited = response.body_mut().with_config().limit(bytes_max as u64);
    limited.read_to_vec().map(Bytes::from)
}

fn problem(error: ureq::Error, limits: Limits) -> Problem {
    let failed = |detail: String| Problem::new(Code::ImageUrlFailed, detail);
    match error {
        ureq::Error::Other(error) if error.is::<Refusal>() => {
            Problem::new(Code::ImageUrlRefused, error.to_string())
        }
        // The others of the request have left it less than a picture may have.
        ureq::Error::BodyExceedsLimit(most) if most < limits.picture_bytes_max as u64 => {
            limits.too_large_together()
        }
        ureq::Error::BodyExceedsLimit(most) => {
            let detail = format!("the URL's picture has more than {most} bytes");
            Problem::new(Code::ImageTooLarge, detail)
        }
        ureq::Error::StatusCode(300..400) => {
            failed("the URL redirects where this server does not follow".into())
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
