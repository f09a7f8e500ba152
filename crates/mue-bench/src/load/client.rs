//! HTTP to the service.

use std::time::Duration;

use bytes::Bytes;
use bytes::buf::{Buf, Chain};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};

/// Longer than any deadline that the service grants by default.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// Far more than any answer has.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none that this client can ask.
    #[error("{0:?} is no address such as http://127.0.0.1:8080; https is not supported")]
    Address(String),
    /// The address goes on behind the server's name.
    #[error("{0:?} has a path, and routes such as /v1/caption are asked for without one")]
    Path(String),
    /// The key cannot be sent.
    #[error("the API key has characters that no header may have")]
    Key,
    /// No connection, or one that broke.
    #[error("the server cannot be reached")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// The answer broke off or is too long.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is not what the service answers.
    #[error("the answer is not of the service's form")]
    Form(#[from] serde_json::Error),
    /// Nothing came.
    #[error("no answer within {} s", ANSWER_TIME_MAX.as_secs())]
    Slow,
    /// The server refused.
    #[error("{path} was answered with {status}: {body}")]
    Refused {
        /// The route.
        path: &'static str,
        /// The status.
        status: StatusCode,
        /// What the server said.
        body: String,
    },
}

/// A client of one server, which keeps its connections.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Parts>>,
    base: Uri,
    authorization: Option<HeaderValue>,
}

/// What a request carries, in parts that many may share and that are written as they are.
type Parts = Chain<Chain<Bytes, Bytes>, Bytes>;

/// A status and the body that came with it.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Which server it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerInfo {
    /// Its model's name.
    pub model: String,
    /// The device that it runs on.
    pub device: String,
}

impl Client {
    /// For a server's address, such as `http://127.0.0.1:8080`, with an API key if it wants one.
    ///
    /// # Errors
    ///
    /// If the address or the key cannot be used.
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, ClientError> {
        let refused = || ClientError::Address(url.to_owned());
        let base: Uri = url.parse().map_err(|_| refused())?;
        if base.scheme() != Some(&Scheme::HTTP) || base.authority().is_none() {
            return Err(refused());
        }
        if base.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(ClientError::Path(url.to_owned()));
        }
        let bearer = |key| HeaderValue::try_from(format!("Bearer {key}"));
        let authorization = key.map(bearer).transpose().map_err(|_| ClientError::Key)?;
        let mut connector = HttpConnector::new();
        // A request is written in two parts, and the second shall not wait for the first's receipt.
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        Ok(Self { pool, base, authorization })
    }

    /// The same server over connections of its own.
    pub(super) fn apart(&self) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { pool: Pool::builder(TokioExecutor::new()).build(connector), ..self.clone() }
    }

    /// Asks what the server serves.
    ///
    /// # Errors
    ///
    /// If it cannot be reached or refuses.
    pub async fn server(&self) -> Result<ServerInfo, ClientError> {
        #[derive(Deserialize)]
        struct Models {
            models: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            name: String,
            device: String,
        }
        let path = "/v1/models";
        let Response { status, body } = self.send(Method::GET, path, Default::default()).await?;
        if status != StatusCode::OK {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err(ClientError::Refused { path, status, body });
        }
        let Models { models } = serde_json::from_slice(&body)?;
        let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
        let device = models.into_iter().next().map_or_else(String::new, |model| model.device);
        Ok(ServerInfo { model: names.join(", "), device })
    }

    /// Sends a request, whose body comes in three parts, and reads the whole answer, whatever its
    /// status.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &'static str,
        [head, middle, end]: [Bytes; 3],
    ) -> Result<Response, ClientError> {
        let mut request = Request::new(Full::new(head.chain(middle).chain(end)));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(path);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let answer = async {
            let response = self.pool.request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            let body = body.collect().await.map_err(ClientError::Body)?.to_bytes();
            Ok(Response { status, body })
        };
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, answer).await;
        answer.unwrap_or(Err(ClientError::Slow))
    }

    fn uri(&self, path: &'static str) -> Uri {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static(path));
        Uri::from_parts(parts).expect("scheme, authority and path make an address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_are_taken() {
        assert!(Client::new("http://127.0.0.1:8080", None).is_ok());
        for url in ["", "127.0.0.1:8080", "https://example.org", "ftp://example.org", "/v1"] {
            assert!(matches!(Client::new(url, None), Err(ClientError::Address(_))), "{url}");
        }
        for url in ["http://localhost/some/prefix", "http://localhost/?a=b"] {
            assert!(matches!(Client::new(url, None), Err(ClientError::Path(_))), "{url}");
        }
        let broken = Client::new("http://localhost", Some("a\nb"));
        assert!(matches!(broken, Err(ClientError::Key)));
    }

    #[test]
    fn routes_follow_the_address() {
        let client = Client::new("http://localhost:1/", Some("secret")).unwrap();
        assert_eq!(client.uri("/v1/caption"), "http://localhost:1/v1/caption");
    }
}
