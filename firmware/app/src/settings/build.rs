//! Settings from the environment of the compiler.

use super::Settings;
use super::text::SettingError;

impl Settings {
    /// The defaults, changed by `RSERPOOL_SETTINGS` (any settings, separated by blanks) and by
    /// one variable for each of the usual settings, as they were when this was compiled.
    ///
    /// # Errors
    ///
    /// At the first setting that cannot be read.
    pub fn try_at_build() -> Result<Self, SettingError<'static>> {
        let mut settings = Self::DEFAULT;
        if let Some(text) = option_env!("RSERPOOL_SETTINGS") {
            settings.apply(text)?;
        }
        for (key, value) in VARIABLES {
            if let Some(value) = value {
                settings.set(key, value)?;
            }
        }
        Ok(settings)
    }

    /// The same; where that fails, the plain defaults. A board that is mistaken about its
    /// settings still answers pings and its console.
    #[must_use]
    pub fn at_build() -> Self {
        Self::try_at_build().unwrap_or(Self::DEFAULT)
    }
}

const VARIABLES: [(&str, Option<&str>); 7] = [
    ("ip", option_env!("RSERPOOL_IP")),
    ("gw", option_env!("RSERPOOL_GW")),
    ("pool", option_env!("RSERPOOL_POOL")),
    ("registrar", option_env!("RSERPOOL_REGISTRAR")),
    ("transport", option_env!("RSERPOOL_TRANSPORT")),
    ("policy", option_env!("RSERPOOL_POLICY")),
    ("key", option_env!("RSERPOOL_KEY")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_this_build_is_sound() {
        assert!(Settings::try_at_build().is_ok());
    }
}
