//! The server's settings: a file, then the environment, then the command line.

use std::ffi::OsString;

use anyhow::anyhow;
use mue_server::Config;
use toml::{Table, Value};

use crate::error::user_error;

/// What a key of the file is called in the environment begins with this.
const PREFIX: &str = "MUE_";

/// Reads `config/server.toml` or a part of it.
///
/// # Errors
///
/// If it is not TOML, or has a key or a value that means nothing.
pub(super) fn from_file(text: &str) -> anyhow::Result<Config> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        anyhow!("line {line}: {}", error.message())
    })
}

/// Sets the keys that the environment has: `listen` is `MUE_LISTEN`, and so on.
///
/// Variables that are no key are left alone ([`unknown_variables`] finds them): an orchestrator may set
/// its own.
///
/// # Errors
///
/// If a value is not of its key's type.
pub(super) fn with_environment(
    config: &Config,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Config> {
    let mut table = Table::try_from(config)?;
    let keys: Vec<String> = table.keys().cloned().collect();
    let mut config = config.clone();
    for key in keys {
        let name = format!("{PREFIX}{}", key.to_uppercase());
        let Some(text) = variable(&name) else { continue };
        let remedy = "config/server.toml explains the key of this name";
        let like = &table[&key];
        let value = parsed(&text, like).ok_or_else(|| {
            user_error(anyhow!("{name}: {text:?} is no {}", like.type_str()), remedy)
        })?;
        table.insert(key, value);
        // One by one, so that it is known which of them means nothing.
        config = table.clone().try_into().map_err(|error: toml::de::Error| {
            user_error(anyhow!("{name}: {}", error.message()), remedy)
        })?;
    }
    Ok(config)
}

/// Whether what the environment says can be read.
///
/// # Errors
///
/// If a variable that may be a key is not UTF-8: taken for not there, it would be missed by nobody.
pub(super) fn check_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> anyhow::Result<()> {
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && value.to_str().is_none() {
            let remedy = "config/server.toml explains the key of this name";
            return Err(user_error(anyhow!("{name}: {value:?} is not UTF-8"), remedy));
        }
    }
    Ok(())
}

/// Which of these variables look like keys and are none, as if misspelt.
pub(super) fn unknown_variables(
    config: &Config,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Vec<String>> {
    /// What other commands read.
    const OTHERS: [&str; 2] = ["MUE_CONFIG", "MUE_HUB_ENDPOINT"];
    let mut known: Vec<String> = Table::try_from(config)?
        .keys()
        .map(|key| format!("{PREFIX}{}", key.to_uppercase()))
        .collect();
    known.extend(OTHERS.map(String::from));
    let mut unknown = Vec::new();
    for (name, value) in variables {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
        let is_ours = name.starts_with(PREFIX) && !is_an_orchestrators(&name, &value);
        if is_ours && !known.contains(&name) {
            unknown.push(name);
        }
    }
    unknown.sort();
    Ok(unknown)
}

/// Whether an orchestrator may tell so of a service that is called mue.
fn is_an_orchestrators(name: &str, value: &str) -> bool {
    let begins = |start: &str| name.starts_with(start);
    begins("MUE_SERVICE_") || begins("MUE_PORT_") || (name == "MUE_PORT" && value.contains("://"))
}

/// A value of the type of another; strings need no quotes.
fn parsed(text: &str, like: &Value) -> Option<Value> {
    if like.is_str() {
        return Some(Value::String(text.to_owned()));
    }
    let value: Value = text.parse().ok()?;
    value.same_type(like).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../../config/server.toml");

    #[test]
    fn the_file_has_every_key_explained_and_its_values_are_the_defaults() {
        assert_eq!(from_file(FILE).unwrap(), Config::default());
        let keys = Table::try_from(Config::default()).unwrap();
        let lines: Vec<&str> = FILE.lines().collect();
        for key in keys.keys() {
            let starts = |line: &&str| line.starts_with(&format!("{key} = "));
            let place = lines.iter().position(starts);
            let place = place.unwrap_or_else(|| panic!("{key} is not in the file"));
            assert!(lines[place - 1].starts_with("# "), "{key} is not explained");
        }
    }

    #[test]
    fn what_the_environment_says_has_to_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let broken = || OsString::from_vec(vec![b'/', 0xff]);
        let of = |name: &str, value: OsString| check_environment([(name.into(), value)]);
        assert!(of("MUE_MODEL", "/ä".into()).is_ok() && of("OTHER", broken()).is_ok());
        let error = of("MUE_MODEL", broken()).unwrap_err();
        assert!(error.to_string().starts_with("MUE_MODEL: "), "{error}");
    }

    #[test]
    fn misspelt_variables_are_found() {
        let variables = [
            ("PATH", "/bin"),
            ("MUE_LISTEN", "[::]:80"),
            ("MUE_LISTNE", "[::]:80"),
            ("MUE_CONFIG", "server.toml"),
            ("MUE_SERVICE_HOST", "10.0.0.1"),
            ("MUE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("MUE_PORT", "tcp://10.0.0.1:8080"),
        ];
        let unknown = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            unknown_variables(&Config::default(), variables).unwrap()
        };
        assert_eq!(unknown(&variables), ["MUE_LISTNE"]);
        assert_eq!(unknown(&[("MUE_PORT", "8080")]), ["MUE_PORT"]);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config = from_file("listen = \"[::1]:1\"\nrows_max = 8").unwrap();
        let variable = |name: &str| match name {
            "MUE_LISTEN" => Some(String::from("0.0.0.0:80")),
            "MUE_DRAIN_S_MAX" => Some(String::from("5")),
            _ => None,
        };
        let config = with_environment(&config, variable).unwrap();
        assert_eq!((config.listen.as_str(), config.rows_max), ("0.0.0.0:80", 8));
        assert_eq!(config.drain_s_max, 5);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error = from_file("rows_max = 8\nrows = 8").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("rows"), "{error}");
        let config = Config::default();
        for text in ["many", "-1", "\"8\"", "8 9", ""] {
            let variable = |name: &str| (name == "MUE_ROWS_MAX").then(|| text.to_owned());
            let error = with_environment(&config, variable).unwrap_err().to_string();
            assert!(error.starts_with("MUE_ROWS_MAX: "), "{error}");
        }
        let variable = |name: &str| (name == "MUE_LOG_FORMAT").then(|| String::from("JSON"));
        let error = with_environment(&config, variable).unwrap_err().to_string();
        assert!(error.starts_with("MUE_LOG_FORMAT: "), "{error}");
    }
}
