//! The one place that every connection of a fetch passes: where a host becomes addresses.

use ipnet::IpNet;
use ureq::Error;
use ureq::config::Config as AgentConfig;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::address::is_public;
use super::host::HostRule;
use crate::config::Config;

/// Lets through hosts that are named, at addresses that are public or whose network is named.
#[derive(Debug)]
pub(super) struct Guard<R> {
    hosts: Vec<HostRule>,
    networks: Vec<IpNet>,
    names: R,
}

/// Why a URL, or what it redirects to, is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The settings do not name it.
    #[error("the URL, or what it redirects to, is of a host that this server does not fetch from")]
    Host,
    /// It is of a network that is not public.
    #[error("the URL, or what it redirects to, has an address that is not public")]
    Address,
}

impl<R: Resolver> Guard<R> {
    /// By the settings, which are valid, before a resolver.
    pub(super) fn new(config: &Config, names: R) -> Self {
        let hosts = config.image_url_hosts.iter().filter_map(|host| host.parse().ok()).collect();
        Self { hosts, networks: config.image_url_networks.clone(), names }
    }

    fn names(&self, uri: &Uri) -> bool {
        let scheme = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return false,
        };
        let port = uri.port_u16().unwrap_or(scheme);
        uri.host().is_some_and(|host| self.hosts.iter().any(|rule| rule.allows(host, port)))
    }
}

impl<R: Resolver> Resolver for Guard<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let refused = |refusal: Refusal| Error::Other(Box::new(refusal));
        if !self.names(uri) {
            return Err(refused(Refusal::Host));
        }
        let addresses = self.names.resolve(uri, config, timeout)?;
        let allowed = |address: std::net::IpAddr| {
            is_public(address) || self.networks.iter().any(|network| network.contains(&address))
        };
        match addresses.iter().all(|address| allowed(address.ip())) {
            true => Ok(addresses),
            false => Err(refused(Refusal::Address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A name server with one answer.
    #[derive(Debug)]
    struct Always(&'static [&'static str]);

    impl Resolver for Always {
        fn resolve(
            &self,
            _: &Uri,
            _: &AgentConfig,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let mut found = self.empty();
            let addresses = self.0.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80));
            addresses.for_each(|address| found.push(address));
            Ok(found)
        }
    }

    fn resolve(answer: &'static [&'static str], url: &str) -> Result<usize, Option<Refusal>> {
        let config = Config {
            image_url_hosts: vec!["example.org".into()],
            image_url_networks: vec!["10.1.0.0/16".parse().unwrap()],
            ..Config::default()
        };
        let guard = Guard::new(&config, Always(answer));
        let timeout = NextTimeout {
            after: ureq::unversioned::transport::time::Duration::NotHappening,
            reason: ureq::Timeout::Global,
            ..NextTimeout::default()
        };
        let found = guard.resolve(&url.parse().unwrap(), &AgentConfig::default(), timeout);
        found.map(|addresses| addresses.len()).map_err(|error| match error {
            Error::Other(error) => error.downcast_ref().copied(),
            _ => None,
        })
    }

    #[test]
    fn a_host_has_to_be_named() {
        assert_eq!(resolve(&["1.1.1.1"], "https://example.org/cat.png"), Ok(1));
        for url in [
            "http://example.com/",
            "http://1.1.1.1/",
            "http://example.org:22/",
            "ftp://example.org/",
        ] {
            assert_eq!(resolve(&["1.1.1.1"], url), Err(Some(Refusal::Host)), "{url}");
        }
    }

    #[test]
    fn a_named_host_may_not_lead_inside() {
        let url = "http://example.org/";
        for inside in [&["127.0.0.1"][..], &["169.254.169.254"], &["::ffff:10.0.0.1"], &["fe80::1"]]
        {
            assert_eq!(resolve(inside, url), Err(Some(Refusal::Address)), "{inside:?}");
        }
        assert_eq!(resolve(&["1.1.1.1", "10.0.0.1"], url), Err(Some(Refusal::Address)));
        assert_eq!(resolve(&["1.1.1.1", "10.1.2.3"], url), Ok(2), "a network that is named");
    }
}
