//! What `rsp serve` serves: work packages, or one of RSPLIB's services.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rserpool::services::{calc_app, fractal, scripting};
use rserpool::{ScriptConfig, ServiceConfig, Trust};
use serde::Deserialize;

use crate::cli::Switch;
use crate::failure::Failure;
use crate::policy::PolicyChoice;
use crate::scope::POOL_DEFAULT;
use crate::values::Span;

/// What is served.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServiceChoice {
    /// Work packages of `rsp run`.
    #[default]
    Compute,
    /// Numbered replies, for pingpongclient and `rsp call pingpong`.
    Pingpong,
    /// Pretended calculations, for calcappclient and `rsp call calcapp`.
    Calcapp,
    /// Pictures, for fractalpooluser and `rsp call fractal`.
    Fractal,
    /// What is sent comes back.
    Echo,
    /// What is sent is forgotten.
    Discard,
    /// The time of day, once.
    Daytime,
    /// Scripts that users upload, for scriptingclient and `rsp call scripting`; see --scripts.
    Scripting,
}

/// Whose scripts are run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScriptTrust {
    /// Those of everybody who can reach the element, with all rights of its user.
    Anyone,
    /// Those that are signed with a key of --keyring.
    Signed,
}

/// The service of `rsp serve`, and its limits; section `[service]` of the configuration file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServiceOptions {
    /// What to serve: work packages (compute), or a service of RSPLIB. [default: compute]
    #[arg(value_enum, value_name = "SERVICE")]
    pub(crate) kind: Option<ServiceChoice>,
    /// The most sessions, for calcapp jobs, at a time. [default: 4 for pingpong, fractal and
    /// scripting, 10 for calcapp, 500 for the others]
    #[arg(long, value_name = "COUNT", help_heading = "Services of RSPLIB")]
    pub(crate) max_sessions: Option<u32>,
    /// Whether users get business cards, which say who else is in the pool, so that they go on
    /// there without a registrar. RSPLIB's users cannot read any. [default: on with profile rfc,
    /// off with profile rsplib]
    #[arg(long, value_enum, value_name = "on|off", help_heading = "Services of RSPLIB")]
    pub(crate) business_cards: Option<Switch>,
    /// pingpong, fractal: end each session after so many messages, to test failovers.
    #[arg(long, value_name = "COUNT", help_heading = "Services of RSPLIB")]
    pub(crate) failure_after: Option<u64>,
    /// calcapp: calculations a second, for all jobs together. [default: 1000000]
    #[arg(long, value_name = "COUNT", help_heading = "Services of RSPLIB")]
    pub(crate) capacity: Option<u64>,
    /// calcapp, fractal: the longest time between two cookies. [default: 5s, fractal: 1s]
    #[arg(long, value_name = "SPAN", help_heading = "Services of RSPLIB")]
    pub(crate) cookie_interval: Option<Span>,
    /// calcapp: the most calculations between two cookies. [default: 5000000]
    #[arg(long, value_name = "COUNT", help_heading = "Services of RSPLIB")]
    pub(crate) cookie_calculations: Option<u64>,
    /// fractal: the most messages between two cookies. [default: 10]
    #[arg(long, value_name = "COUNT", help_heading = "Services of RSPLIB")]
    pub(crate) cookie_messages: Option<u32>,
    /// fractal: the largest picture. [default: 3145728 pixels]
    #[arg(long, value_name = "PIXELS", help_heading = "Services of RSPLIB")]
    pub(crate) max_pixels: Option<u64>,
    /// fractal: give (x·y) modulo 256 for each pixel, which takes no time.
    #[arg(long, help_heading = "Services of RSPLIB")]
    pub(crate) test_pattern: bool,
    /// calcapp, scripting: how often users are asked for signs of life. [default: 2500ms,
    /// scripting: 15s]
    #[arg(long, value_name = "SPAN", help_heading = "Services of RSPLIB")]
    pub(crate) keep_alive_interval: Option<Span>,
    /// calcapp, scripting: how long they may take. [default: 2500ms, scripting: 10s]
    #[arg(long, value_name = "SPAN", help_heading = "Services of RSPLIB")]
    pub(crate) keep_alive_timeout: Option<Span>,
    /// scripting: whose scripts to run; without it, none.
    #[arg(long, value_enum, value_name = "anyone|signed", help_heading = "Services of RSPLIB")]
    pub(crate) scripts: Option<ScriptTrust>,
    /// scripting: the GnuPG keyring for `--scripts signed`.
    #[arg(long, value_name = "FILE", help_heading = "Services of RSPLIB")]
    pub(crate) keyring: Option<PathBuf>,
    /// scripting: the longest package, and the longest environment. [default: 67108864 bytes]
    #[arg(long, value_name = "BYTES", help_heading = "Services of RSPLIB")]
    pub(crate) max_upload: Option<u32>,
    /// scripting: the longest output. [default: 12582912 bytes]
    #[arg(long, value_name = "BYTES", help_heading = "Services of RSPLIB")]
    pub(crate) max_output: Option<u32>,
    /// scripting: how long a script may run. [default: 1h]
    #[arg(long, value_name = "SPAN", help_heading = "Services of RSPLIB")]
    pub(crate) max_run_time: Option<Span>,
    /// scripting: leave the folders of scripts where they are, to look for errors.
    #[arg(long, help_heading = "Services of RSPLIB")]
    pub(crate) keep_folders: bool,
}

impl ServiceChoice {
    /// The pool to join unless another is named.
    pub(crate) fn pool(self) -> &'static str {
        use rserpool::services::Service;
        match self {
            Self::Compute => POOL_DEFAULT,
            Self::Pingpong => Service::PingPong.pool(),
            Self::Calcapp => Service::CalcApp.pool(),
            Self::Fractal => Service::Fractal.pool(),
            Self::Echo => Service::Echo.pool(),
            Self::Discard => Service::Discard.pool(),
            Self::Daytime => Service::Daytime.pool(),
            Self::Scripting => Service::Scripting.pool(),
        }
    }

    /// The policy unless another is named: for services what RSPLIB takes, so that elements of
    /// both can be in one pool.
    pub(crate) fn policy(self, session_count_max: usize) -> PolicyChoice {
        match self {
            Self::Compute => PolicyChoice::LeastUsed,
            Self::Scripting => {
                let degradation_percent = 100.0 / session_count_max.max(1) as f64;
                PolicyChoice::LeastUsedDegradation { degradation_percent }
            }
            _ => PolicyChoice::RoundRobin,
        }
    }
}

impl ServiceOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            kind: self.kind.or(file.kind),
            max_sessions: self.max_sessions.or(file.max_sessions),
            business_cards: self.business_cards.or(file.business_cards),
            failure_after: self.failure_after.or(file.failure_after),
            capacity: self.capacity.or(file.capacity),
            cookie_interval: self.cookie_interval.or(file.cookie_interval),
            cookie_calculations: self.cookie_calculations.or(file.cookie_calculations),
            cookie_messages: self.cookie_messages.or(file.cookie_messages),
            max_pixels: self.max_pixels.or(file.max_pixels),
            test_pattern: self.test_pattern || file.test_pattern,
            keep_alive_interval: self.keep_alive_interval.or(file.keep_alive_interval),
            keep_alive_timeout: self.keep_alive_timeout.or(file.keep_alive_timeout),
            scripts: self.scripts.or(file.scripts),
            keyring: self.keyring.or(file.keyring),
            max_upload: self.max_upload.or(file.max_upload),
            max_output: self.max_output.or(file.max_output),
            max_run_time: self.max_run_time.or(file.max_run_time),
            keep_folders: self.keep_folders || file.keep_folders,
        }
    }

    /// What is served.
    pub(crate) fn choice(&self) -> ServiceChoice {
        self.kind.unwrap_or_default()
    }

    /// The most sessions of what is served.
    pub(crate) fn session_count_max(&self) -> usize {
        let default = match self.choice() {
            ServiceChoice::Calcapp => 10,
            ServiceChoice::Echo | ServiceChoice::Discard | ServiceChoice::Daytime => 500,
            _ => 4,
        };
        self.max_sessions.map_or(default, |count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The service; `None` for work packages.
    pub(crate) fn config(&self) -> Result<Option<ServiceConfig>, Failure> {
        self.check_flags()?;
        let session_count_max = self.session_count_max();
        Ok(Some(match self.choice() {
            ServiceChoice::Compute => return Ok(None),
            ServiceChoice::Pingpong => {
                ServiceConfig::PingPong { session_count_max, failure_after: self.failure_after }
            }
            ServiceChoice::Calcapp => ServiceConfig::CalcApp(self.calc_app()),
            ServiceChoice::Fractal => ServiceConfig::Fractal(self.fractal()),
            ServiceChoice::Echo => ServiceConfig::Echo { session_count_max },
            ServiceChoice::Discard => ServiceConfig::Discard { session_count_max },
            ServiceChoice::Daytime => ServiceConfig::Daytime { session_count_max },
            ServiceChoice::Scripting => {
                ServiceConfig::Scripting { limits: self.scripting(), scripts: self.scripts()? }
            }
        }))
    }

    fn calc_app(&self) -> calc_app::Limits {
        let mut limits = calc_app::Limits::default();
        limits.job_count_max = u32::try_from(self.session_count_max()).unwrap_or(u32::MAX);
        set(&mut limits.capacity, self.capacity);
        set(&mut limits.cookie_interval, self.cookie_interval.map(|span| span.0));
        set(&mut limits.cookie_calculations, self.cookie_calculations);
        set(&mut limits.keep_alive.interval, self.keep_alive_interval.map(|span| span.0));
        set(&mut limits.keep_alive.timeout, self.keep_alive_timeout.map(|span| span.0));
        limits
    }

    fn fractal(&self) -> fractal::Limits {
        let mut limits = fractal::Limits::default();
        limits.session_count_max = self.session_count_max();
        limits.failure_after = self.failure_after;
        limits.is_test = self.test_pattern;
        set(&mut limits.pixel_count_max, self.max_pixels);
        set(&mut limits.cookie_interval, self.cookie_interval.map(|span| span.0));
        set(&mut limits.cookie_messages, self.cookie_messages);
        limits
    }

    fn scripting(&self) -> scripting::Limits {
        let mut limits = scripting::Limits::default();
        limits.session_count_max = self.session_count_max();
        set(&mut limits.upload_len_max, self.max_upload.map(|len| len as usize));
        set(&mut limits.keep_alive.interval, self.keep_alive_interval.map(|span| span.0));
        set(&mut limits.keep_alive.timeout, self.keep_alive_timeout.map(|span| span.0));
        limits
    }

    /// Whose scripts are run, which somebody must have said.
    fn scripts(&self) -> Result<ScriptConfig, Failure> {
        let trust = match (self.scripts, &self.keyring) {
            (Some(ScriptTrust::Anyone), None) => Trust::Anyone,
            (Some(ScriptTrust::Signed), Some(keyring)) => {
                // What gpgv takes for a path has a slash.
                let keyring = std::path::absolute(keyring).map_err(|error| {
                    Failure::usage(format!("no keyring {}: {error}", keyring.display()))
                })?;
                if !keyring.is_file() {
                    let name = keyring.display();
                    return Err(Failure::usage(format!("there is no keyring {name}"))
                        .hint("make one: gpg --export > FILE"));
                }
                Trust::Keyring(keyring)
            }
            (Some(ScriptTrust::Signed), None) => {
                return Err(Failure::usage("--scripts signed, but by whom?")
                    .hint("name the keys that are trusted with --keyring FILE"));
            }
            (Some(ScriptTrust::Anyone), Some(_)) => {
                return Err(Failure::usage("--scripts anyone does not look into a --keyring")
                    .hint("leave one of them out"));
            }
            (None, _) => {
                return Err(Failure::usage("scripting runs what others upload")
                    .hint("say whose: --scripts signed --keyring FILE, or --scripts anyone"));
            }
        };
        let mut config = ScriptConfig::new(trust);
        set(&mut config.output_len_max, self.max_output.map(u64::from));
        set(&mut config.run_time_max, self.max_run_time.map(|span| span.0));
        config.keeps_folders = self.keep_folders;
        Ok(config)
    }

    /// Refuses flags of other services, which would have no effect, and useless values.
    fn check_flags(&self) -> Result<(), Failure> {
        use ServiceChoice::{Calcapp, Compute, Fractal, Pingpong, Scripting};
        let choice = self.choice();
        if choice != Compute && self.max_sessions == Some(0) {
            return Err(Failure::usage("--max-sessions 0: nobody would be served"));
        }
        if self.capacity == Some(0) {
            return Err(Failure::usage("--capacity 0: nothing would ever be done"));
        }
        let of_scripting = &[Scripting][..];
        let flags = [
            ("--max-sessions", self.max_sessions.is_some() && choice == Compute, &[][..]),
            ("--business-cards", self.business_cards.is_some() && choice == Compute, &[]),
            ("--failure-after", self.failure_after.is_some(), &[Pingpong, Fractal]),
            ("--capacity", self.capacity.is_some(), &[Calcapp]),
            ("--cookie-interval", self.cookie_interval.is_some(), &[Calcapp, Fractal]),
            ("--cookie-calculations", self.cookie_calculations.is_some(), &[Calcapp]),
            ("--cookie-messages", self.cookie_messages.is_some(), &[Fractal]),
            ("--max-pixels", self.max_pixels.is_some(), &[Fractal]),
            ("--test-pattern", self.test_pattern, &[Fractal]),
            ("--keep-alive-interval", self.keep_alive_interval.is_some(), &[Calcapp, Scripting]),
            ("--keep-alive-timeout", self.keep_alive_timeout.is_some(), &[Calcapp, Scripting]),
            ("--scripts", self.scripts.is_some(), of_scripting),
            ("--keyring", self.keyring.is_some(), of_scripting),
            ("--max-upload", self.max_upload.is_some(), of_scripting),
            ("--max-output", self.max_output.is_some(), of_scripting),
            ("--max-run-time", self.max_run_time.is_some(), of_scripting),
            ("--keep-folders", self.keep_folders, of_scripting),
        ];
        match flags.into_iter().find(|&(_, is_said, of)| is_said && !of.contains(&choice)) {
            Some((flag, ..)) => {
                let name = choice.to_possible_value();
                let name = name.as_ref().map_or("this", |name| name.get_name());
                Err(Failure::usage(format!("{flag} means nothing for the service {name}"))
                    .hint("name the service first, as in `rsp serve pingpong --max-sessions 8`"))
            }
            None => Ok(()),
        }
    }
}

fn set<T>(value: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *value = said;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_not_run_unless_somebody_says_whose() {
        let kind = Some(ServiceChoice::Scripting);
        let options = ServiceOptions { kind, ..Default::default() };
        assert!(options.config().unwrap_err().to_string().contains("--scripts"));
        let signed = Some(ScriptTrust::Signed);
        let options = ServiceOptions { scripts: signed, ..options };
        assert!(options.config().unwrap_err().to_string().contains("--keyring"));
        let options = ServiceOptions { scripts: Some(ScriptTrust::Anyone), ..options };
        assert!(matches!(options.config(), Ok(Some(ServiceConfig::Scripting { .. }))));
    }

    #[test]
    fn a_flag_of_another_service_is_refused() {
        let options = ServiceOptions { capacity: Some(7), ..ServiceOptions::default() };
        let refusal = options.config().unwrap_err().to_string();
        assert!(refusal.contains("--capacity means nothing for the service compute"), "{refusal}");
        let options = ServiceOptions { kind: Some(ServiceChoice::Calcapp), ..options };
        let Ok(Some(ServiceConfig::CalcApp(limits))) = options.config() else { panic!() };
        assert_eq!((limits.capacity, limits.job_count_max), (7, 10));
    }
}
