//! Which hosts may be fetched from.

use std::net::Ipv6Addr;
use std::str::FromStr;

/// A host that may be fetched from: `example.org`, its subdomains as `*.example.org`, any as `*`.
/// Without a port, only those of HTTP and HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostRule {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Any,
    /// With the dot before them.
    Under(String),
    Is(String),
}

/// A text is no rule for hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is such as example.org, *.example.org, example.org:8080, [::1] or *")]
pub struct HostRuleError;

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, HostRuleError> {
        let text = text.to_ascii_lowercase();
        let (name, port) = match text.rsplit_once(':') {
            // The colons within an IPv6 address are not before a port.
            Some((name, port)) if !port.ends_with(']') => {
                (name, Some(port.parse().map_err(|_| HostRuleError)?))
            }
            _ => (text.as_str(), None),
        };
        let name = match name.strip_prefix('*') {
            Some("") => Name::Any,
            Some(under) => {
                let domain = under.strip_prefix('.').and_then(plain).ok_or(HostRuleError)?;
                Name::Under(format!(".{domain}"))
            }
            None if is_ipv6(name) => Name::Is(name.into()),
            None => Name::Is(plain(name).ok_or(HostRuleError)?.into()),
        };
        Ok(Self { name, port })
    }
}

/// A name or an IPv4 address, without a dot at its end, which makes no other name of it.
fn plain(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!name.is_empty() && name.bytes().all(letter)).then_some(name)
}

/// Whether it is an IPv6 address as URLs have it, in brackets.
fn is_ipv6(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

impl HostRule {
    /// Whether a host, as a URL has it, may be fetched from at this port.
    pub(super) fn allows(&self, host: &str, port: u16) -> bool {
        // As in the rule, a dot at its end makes no other name of it.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let named = match &self.name {
            Name::Any => true,
            Name::Under(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
            Name::Is(name) => host == *name,
        };
        named && self.port.map_or([80, 443].contains(&port), |known| known == port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, host: &str, port: u16) -> bool {
        rule.parse::<HostRule>().unwrap().allows(host, port)
    }

    #[test]
    fn a_host_is_named_whole_or_by_its_domain() {
        assert!(
            allows("example.org", "example.org", 443) && allows("Example.org", "EXAMPLE.ORG.", 80)
        );
        assert!(allows("example.org.", "example.org", 443));
        assert!(allows("*.example.org.:81", "a.example.org.", 81));
        assert!(!allows("example.org", "www.example.org", 443));
        assert!(!allows("example.org", "example.org.evil.com", 443));
        assert!(allows("*.example.org", "a.b.example.org", 443));
        assert!(!allows("*.example.org", "example.org", 443));
        assert!(!allows("*.example.org", "evilexample.org", 443));
        assert!(allows("*", "anything", 80) && allows("[::1]", "[::1]", 80));
    }

    #[test]
    fn another_port_is_named() {
        assert!(!allows("*", "example.org", 22) && !allows("example.org", "example.org", 8080));
        assert!(allows("example.org:8080", "example.org", 8080));
        assert!(!allows("example.org:8080", "example.org", 443));
        assert!(allows("[::1]:81", "[::1]", 81));
    }

    #[test]
    fn anything_else_is_no_host() {
        for text in [
            "",
            "*example.org",
            "*.",
            ".",
            "https://example.org",
            "a/b",
            "a:b",
            "a:70000",
            "a:1:2",
            "::1",
            "fe80::1",
            "[::1",
            "[a]",
            "*.[::1]",
            "é.org",
        ] {
            assert_eq!(text.parse::<HostRule>(), Err(HostRuleError), "{text}");
        }
    }
}
