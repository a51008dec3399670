//! `[metrics]`: what monitoring systems are told, and where.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Listen;

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `/metrics` and `/healthz` are served; `off`: nowhere.
    pub listen: Listen,
    /// Also under the names that Cilium has for them.
    pub cilium_names: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: Listen(Some(SocketAddr::from(([127, 0, 0, 1], 9962)))),
            cilium_names: false,
        }
    }
}

impl Metrics {
    /// Whether nothing of it is said.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, load_text};

    fn listen(value: &str) -> Result<Listen, String> {
        let loaded = load_text(&format!("[metrics]\nlisten = {value}\n"));
        match loaded {
            Ok(loaded) => Ok(loaded.config.metrics.listen),
            Err(wrong) => Err(wrong.iter().map(|wrong| wrong.render(false)).collect()),
        }
    }

    #[test]
    fn an_address_with_a_port_or_off() {
        for address in ["127.0.0.1:9962", "[::1]:9100", "0.0.0.0:1"] {
            let expected = Listen(Some(address.parse().unwrap()));
            assert_eq!(listen(&format!("{address:?}")), Ok(expected));
            assert_eq!(String::from(expected), address);
        }
        assert_eq!(listen("\"off\""), Ok(Listen(None)));
        for wrong in [
            "\"\"",
            "\"9962\"",
            "\"localhost:9962\"",
            "\"127.0.0.1:0\"",
            "\"Off\"",
        ] {
            let told = listen(wrong).unwrap_err();
            assert!(told.contains("as 127.0.0.1:9962"), "{told}");
            assert!(told.contains("fw-ctl.toml:2"), "{told}");
        }
        let told = listen("9962").unwrap_err();
        assert!(told.contains("fw-ctl.toml:2"), "{told}");
    }

    /// A former version refuses what it does not know, and is to read what this one has kept.
    #[test]
    fn a_configuration_that_does_not_say_it_is_kept_as_before() {
        let mut config = Config::default();
        let kept = serde_json::to_value(&config).unwrap();
        assert_eq!(kept.get("metrics"), None);
        assert_eq!(serde_json::from_value::<Config>(kept).unwrap(), config);
        config.metrics.cilium_names = true;
        config.metrics.listen = Listen(None);
        let kept = serde_json::to_value(&config).unwrap();
        assert_eq!(kept["metrics"]["listen"], "off");
        assert_eq!(serde_json::from_value::<Config>(kept).unwrap(), config);
    }
}
