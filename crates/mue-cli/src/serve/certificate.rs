//! The certificate's files: read at the start, at a reload, and when they change.

use std::mem::replace;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mue_server::{App, Config, Tls};

use crate::error::user_error;

/// How often to look whether the files have changed.
const INTERVAL: Duration = Duration::from_secs(5);

const REMEDY: &str = "tls_certificate and tls_key are the paths of a chain and its key in PEM";

/// What is in the files.
#[derive(PartialEq, Eq)]
pub(super) struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    /// Of the settings; none if they have no TLS.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub(super) fn read(config: &Config) -> anyhow::Result<Option<Self>> {
        let read = |path: &str| {
            let error = |error| user_error(error, REMEDY);
            std::fs::read(path).with_context(|| format!("cannot read {path}")).map_err(error)
        };
        if !config.has_tls() {
            return Ok(None);
        }
        let (certificate, key) = (read(&config.tls_certificate)?, read(&config.tls_key)?);
        Ok(Some(Self { certificate, key }))
    }

    /// Accepts connections with it.
    ///
    /// # Errors
    ///
    /// If it is no certificate with its key.
    pub(super) fn tls(&self) -> anyhow::Result<Tls> {
        let tls = Tls::new(&self.certificate, &self.key).context("cannot use the certificate");
        tls.map_err(|error| user_error(error, REMEDY))
    }

    /// Shows it to new connections instead of the former one.
    ///
    /// # Errors
    ///
    /// As [`tls`](Self::tls).
    pub(super) fn replace(&self, tls: &Tls) -> anyhow::Result<()> {
        Ok(tls.replace(&self.certificate, &self.key)?)
    }
}

/// Looks after the files of a running server.
pub(super) struct Watch {
    tls: Tls,
    /// What was last found, whether it could be used or not.
    found: Option<Pem>,
    /// Whether nothing was found at the last look, as a file could not be read.
    is_unreadable: bool,
}

/// What a look at the files can bring.
enum News {
    /// A file cannot be read any more.
    Unreadable(anyhow::Error),
    /// They can be read again, and are what they were.
    Readable,
    /// Something new that cannot be used.
    Unusable(anyhow::Error),
    /// Something new, which is shown from now on.
    Replaced,
}

impl News {
    fn log(&self) {
        match self {
            Self::Unreadable(error) => tracing::error!(
                cause = format!("{error:#}"),
                "the certificate's files cannot be read; the certificate in use stays"
            ),
            Self::Readable => tracing::info!("the certificate's files can be read again"),
            Self::Unusable(error) => tracing::error!(
                cause = format!("{error:#}"),
                "the certificate has changed and cannot be used; the former one stays"
            ),
            Self::Replaced => tracing::info!("the certificate has changed and is in use"),
        }
    }
}

impl Watch {
    /// Of a server that shows `found`.
    pub(super) fn new(tls: Tls, found: Option<Pem>) -> Self {
        Self { tls, found, is_unreadable: false }
    }

    /// Shows what is in the files from now on, if they have changed. Never ends.
    pub(super) async fn run(mut self, app: Arc<App>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let config = app.config();
            let looked = tokio::task::spawn_blocking(move || {
                let news = self.look(&config);
                (self, news)
            });
            let Ok((watch, news)) = looked.await else { return };
            self = watch;
            news.iter().for_each(News::log);
        }
    }

    /// What is new; what is amiss is so once.
    fn look(&mut self, config: &Config) -> Option<News> {
        let found = Pem::read(config);
        let was_unreadable = replace(&mut self.is_unreadable, found.is_err());
        let found = match found {
            Ok(found) => found,
            Err(error) => return (!was_unreadable).then_some(News::Unreadable(error)),
        };
        if found == self.found {
            return was_unreadable.then_some(News::Readable);
        }
        self.found = found;
        self.found.as_ref().map(|pem| match pem.replace(&self.tls) {
            Ok(()) => News::Replaced,
            Err(error) => News::Unusable(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(config: &Config, certificate: &str, key: &str) {
        std::fs::write(&config.tls_certificate, certificate).unwrap();
        std::fs::write(&config.tls_key, key).unwrap();
    }

    #[test]
    fn what_changes_is_taken_and_what_is_broken_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = Config {
            tls_certificate: path("chain.pem"),
            tls_key: path("key.pem"),
            ..Config::default()
        };
        let new = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (first, second) = (new(), new());
        write(&config, &first.cert.pem(), &first.signing_key.serialize_pem());
        let pem = Pem::read(&config).unwrap().unwrap();
        let mut watch = Watch::new(pem.tls().unwrap(), Some(pem));
        assert!(watch.look(&config).is_none());

        write(&config, &second.cert.pem(), &first.signing_key.serialize_pem());
        let news = watch.look(&config);
        assert!(matches!(news, Some(News::Unusable(_))), "a key of another certificate");
        assert!(watch.look(&config).is_none(), "said once");
        write(&config, &second.cert.pem(), &second.signing_key.serialize_pem());
        assert!(matches!(watch.look(&config), Some(News::Replaced)));
        std::fs::remove_file(&config.tls_key).unwrap();
        assert!(matches!(watch.look(&config), Some(News::Unreadable(_))));
        assert!(watch.look(&config).is_none(), "said once");
        write(&config, &second.cert.pem(), &second.signing_key.serialize_pem());
        assert!(matches!(watch.look(&config), Some(News::Readable)));
        assert!(watch.look(&config).is_none());
    }
}
