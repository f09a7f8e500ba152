//! HTTP to one hub: timeouts, redirects, and a token that only the hub itself gets to see.

use std::fmt;
use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{HeaderMap, Method, Request, Response, Uri};
use ureq::{Agent, Body};

/// The hash of the content behind a redirect to large-file storage.
pub(super) const LINKED_ETAG: &str = "x-linked-etag";
const ERROR_MESSAGE: &str = "x-error-message";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS_MAX: usize = 10;

/// Where the hub is: an `http` or `https` address, which may have a path.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    address: String,
    origin: Uri,
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.trim_end_matches('/').to_owned();
        let origin: Uri = address.parse().map_err(|_| "this is not an address")?;
        if !matches!(origin.scheme_str(), Some("http" | "https")) {
            return Err("the address must start with http:// or https://");
        }
        if origin.query().is_some() || address.contains('@') {
            return Err("the address must have no query and no password");
        }
        Ok(Self { address, origin })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// An access token. Nothing prints it.
#[derive(Clone)]
pub(super) struct Token(String);

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(token.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("{} ({status}){message}", meaning(*status))]
    Refused { status: u16, message: String, retry_after: Option<Duration> },
    #[error("no answer")]
    Transport(#[source] ureq::Error),
    #[error("the hub redirects to an unusable address")]
    Redirect,
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => "the hub wants a valid login",
        403 => "the hub refuses access",
        404 => "the hub has no such thing",
        429 => "the hub is asked too often",
        _ => "the hub failed to answer",
    }
}

impl RequestError {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                matches!(status, 408 | 416 | 429 | 500 | 502 | 503 | 504)
            }
            // Invalid data is how a certificate that is not trusted shows itself.
            Self::Transport(ureq::Error::Io(error)) => error.kind() != ErrorKind::InvalidData,
            Self::Transport(error) => {
                !matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_))
            }
            Self::Redirect => false,
        }
    }

    /// How long the hub asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Refused { status: 401, .. } => {
                "check the name, and if the repository is private set HF_TOKEN to a token that \
                 may read it"
            }
            Self::Refused { status: 403, .. } => {
                "accept the terms on the repository's page and set HF_TOKEN to a token that may \
                 read it"
            }
            Self::Refused { status: 404, .. } => "check the name of the repository and --revision",
            Self::Transport(_) => "check the network and --endpoint, then run the command again",
            _ => "run the same command again later",
        }
    }
}

/// Sends requests to the hub and follows where it points.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    token: Option<Token>,
}

impl Client {
    pub(super) fn new(endpoint: Endpoint, token: Option<Token>) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("mue/", env!("CARGO_PKG_VERSION")))
            // A compressed answer would have neither the size nor the ranges of the file.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .timeout_per_write(Some(STALL_TIMEOUT))
            .build();
        let token = token.filter(|token| !token.0.is_empty());
        Self { agent: config.into(), endpoint, token }
    }

    /// Asks for `path`, from byte `offset` on.
    pub(super) fn get(&self, path: &str, offset: u64) -> Result<Response<Body>, RequestError> {
        self.request(Method::GET, path, offset)
    }

    /// Asks for the headers of `path`: the hub's own, if it links to large-file storage.
    pub(super) fn head(&self, path: &str) -> Result<Response<Body>, RequestError> {
        self.request(Method::HEAD, path, 0)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        offset: u64,
    ) -> Result<Response<Body>, RequestError> {
        let address = format!("{}{path}", self.endpoint.address);
        let mut uri: Uri = address.parse().map_err(|_| RequestError::Redirect)?;
        for _ in 0..REDIRECTS_MAX {
            let response = self.send(&method, &uri, offset)?;
            let linked = method == Method::HEAD && response.headers().contains_key(LINKED_ETAG);
            if response.status().is_redirection() && !linked {
                uri = redirect(&uri, response.headers()).ok_or(RequestError::Redirect)?;
            } else if response.status().is_success() || linked {
                return Ok(response);
            } else {
                return Err(refused(&response));
            }
        }
        Err(RequestError::Redirect)
    }

    /// One exchange. The token goes with it only to the hub's scheme, host and port.
    fn send(
        &self,
        method: &Method,
        uri: &Uri,
        offset: u64,
    ) -> Result<Response<Body>, RequestError> {
        let mut request = Request::builder().method(method).uri(uri);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        if let Some(Token(token)) = &self.token
            && same_origin(uri, &self.endpoint.origin)
        {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(|error| RequestError::Transport(error.into()))?;
        self.agent.run(request).map_err(RequestError::Transport)
    }
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && a.authority() == b.authority()
}

/// Where an answer to `from` redirects: an absolute address, or a path on the same host.
fn redirect(from: &Uri, headers: &HeaderMap) -> Option<Uri> {
    let location: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    match location.scheme_str() {
        Some("http" | "https") => Some(location),
        Some(_) => None,
        None => {
            let mut parts = from.clone().into_parts();
            parts.path_and_query = Some(location.into_parts().path_and_query?);
            Uri::from_parts(parts).ok()
        }
    }
}

fn refused(response: &Response<Body>) -> RequestError {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let message = text(ERROR_MESSAGE).map(|message| message.chars().take(200).collect::<String>());
    RequestError::Refused {
        status: response.status().as_u16(),
        message: message.map(|message| format!(": {message}")).unwrap_or_default(),
        retry_after: text(RETRY_AFTER.as_str())
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
    }
}
