//! The configuration file: TOML, one section a command. A flag overrides what stands there.
//!
//! The sections hold the same types as the flags, so that what one knows, the other knows.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::{RegistrarOptions, RunOptions, ScopeOptions, ServeOptions};
use crate::failure::Failure;
use crate::service::ServiceOptions;

/// A whole configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// What is logged, as `--log`.
    pub(crate) log: Option<String>,
    /// What all commands share.
    pub(crate) scope: ScopeOptions,
    /// `rsp registrar`.
    pub(crate) registrar: RegistrarOptions,
    /// `rsp serve`.
    pub(crate) serve: ServeOptions,
    /// The service of `rsp serve`.
    pub(crate) service: ServiceOptions,
    /// `rsp run`.
    pub(crate) run: RunOptions,
}

impl Config {
    /// Reads `path`; without one, everything is left to flags and defaults.
    pub(crate) fn load(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read the configuration {}: {error}", path.display()))
                .hint("name an existing TOML file with --config, or leave the flag out")
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text[..start].matches('\n').count() + 1;
            let key = text.lines().nth(line - 1).and_then(key_of);
            let place = key.map_or_else(String::new, |key| format!(" at `{key}`"));
            let message = error.message().trim();
            Failure::usage(format!("{}:{line}: {message}{place}", path.display()))
                .hint("`rsp COMMAND --help` names every key; keys are the flags without dashes")
        })
    }
}

/// The key or the section that stands on `line`.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim();
    match line.split_once('=') {
        Some((key, _)) => Some(key.trim()),
        None if line.starts_with('[') => Some(line),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text, Path::new("rsp.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_file_and_line() {
        let message = refusal("[serve]\npool = \"ComputePool\"\nslotz = 2\n");
        assert!(message.starts_with("rsp.toml:3: unknown field `slotz`"), "{message}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_key() {
        let message = refusal("[serve]\nslots = \"two\"\n");
        assert!(message.starts_with("rsp.toml:2: "), "{message}");
        assert!(message.contains("at `slots`"), "{message}");
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        let message = refusal("log = \"info\"\n[serve\n");
        assert!(message.starts_with("rsp.toml:2: "), "{message}");
    }

    #[test]
    fn every_section_is_read() {
        let text = "log = \"info\"\n\
            [scope]\nregistrars = [\"node1\", \"node2:77\"]\nprofile = \"rfc\"\n\
            announces = \"off\"\nannounce-groups = [\"239.0.0.51:7\"]\n\
            [scope.sctp]\nrto-min = \"200ms\"\nheartbeat-interval = \"off\"\n\
            [registrar]\nlisten = \"127.0.0.1:3863\"\nmax-elements = 10\nidentifier = \"0x7\"\n\
            timers = [\"mentor-timeout=1s\"]\n\
            [serve]\nslots = 3\naddresses = [\"10.0.0.7\"]\nreregistration-interval = \"5s\"\n\
            [service]\nmax-sessions = 7\n\
            [run]\nsize = \"640x480\"\n";
        let config = Config::parse(text, Path::new("rsp.toml")).unwrap();
        assert_eq!(config.scope.registrars.len(), 2);
        assert_eq!(config.scope.announces, Some(crate::cli::Switch::Off));
        assert_eq!(config.scope.announce_groups.len(), 1);
        assert_eq!(config.scope.sctp.heartbeat_interval, Some(crate::values::SpanOrOff(None)));
        assert_eq!(config.registrar.max_elements, Some(10));
        assert_eq!(config.registrar.timers.len(), 1);
        assert_eq!(config.serve.slots, Some(3));
        assert_eq!(config.service.session_count_max(), 7);
        assert_eq!(config.run.size.map(|size| size.width), Some(640));
    }

    #[test]
    fn limits_and_tcp_of_a_registrar_are_read() {
        let text = "[registrar]\nlimits = [\"error-rate=off\", \"max-bad-pe-reports=9\"]\n\
            takeover-suggestions = \"both\"\n\
            [registrar.tcp]\ntcp = \"off\"\ntcp-connections = 7\n";
        let config = Config::parse(text, Path::new("rsp.toml")).unwrap().registrar;
        assert_eq!(config.limits.len(), 2);
        assert_eq!(config.takeover_suggestions, Some(crate::values::Suggestions::Both));
        assert_eq!(config.tcp.tcp_connections, Some(7));
        assert!(refusal("[registrar]\nlimits = [\"rate=1\"]\n").contains("is no limit"));
    }
}
