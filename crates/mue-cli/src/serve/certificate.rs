//! The certificate's files: read at the start, at a reload, and when they change.

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
}

impl Watch {
    /// Of a server that shows `found`.
    pub(super) fn new(tls: Tls, found: Option<Pem>) -> Self {
        Self { tls, found }
    }

    /// Shows what is in the files from now on, if they have changed. Never ends.
    pub(super) async fn run(mut self, app: Arc<App>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let config = app.config();
            let looked = tokio::task::spawn_blocking(move || {
                let looked = self.look(&config);
                (self, looked)
            });
            let Ok((watch, looked)) = looked.await else { return };
            self = watch;
            match looked {
                Ok(false) => {}
                Ok(true) => tracing::info!("the certificate has changed and is in use"),
                Err(error) => tracing::error!(
                    cause = format!("{error:#}"),
                    "the certificate has changed and cannot be used; the former one stays"
                ),
            }
        }
    }

    /// Whether there was something new to show.
    fn look(&mut self, config: &Config) -> anyhow::Result<bool> {
        let found = Pem::read(config)?;
        if found == self.found {
            return Ok(false);
        }
        self.found = found;
        match &self.found {
            Some(pem) => pem.replace(&self.tls).map(|()| true),
            None => Ok(false),
        }
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
        assert!(!watch.look(&config).unwrap());

        write(&config, &second.cert.pem(), &first.signing_key.serialize_pem());
        assert!(watch.look(&config).is_err(), "a key of another certificate");
        assert!(!watch.look(&config).unwrap(), "said once");
        write(&config, &second.cert.pem(), &second.signing_key.serialize_pem());
        assert!(watch.look(&config).unwrap());
        std::fs::remove_file(&config.tls_key).unwrap();
        assert!(watch.look(&config).is_err());
    }
}
