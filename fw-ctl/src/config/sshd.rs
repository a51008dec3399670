//! The ports that sshd listens on, from its configuration (`sshd_config(5)`).
//!
//! `Port` may stand several times; each adds one. A `ListenAddress` with a port
//! adds that one. `Include` is followed. Nothing is read from the running
//! daemon: the failsafe must hold before sshd starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::glob::glob_match;
use crate::texts;

const MAIN: &str = "/etc/ssh/sshd_config";
const DEFAULT_PORT: u16 = 22;
/// sshd itself stops at 16 levels of `Include`.
const INCLUDE_DEPTH: u32 = 16;

/// The ports of this machine's sshd; 22 where nothing is said or readable.
#[must_use]
pub fn listening_ports() -> BTreeSet<u16> {
    ports_of(Path::new(MAIN))
}

fn ports_of(main: &Path) -> BTreeSet<u16> {
    let mut found = Found::default();
    found.file(main, INCLUDE_DEPTH);
    let mut ports = found.listen;
    // A ListenAddress without a port listens on every `Port`; if each names its
    // own, `Port` is not used, but adding it keeps an operator in, not out.
    if found.ports.is_empty() {
        if ports.is_empty() || found.bare_listen {
            ports.insert(DEFAULT_PORT);
        }
    } else {
        ports.extend(found.ports);
    }
    ports
}

#[derive(Default)]
struct Found {
    ports: BTreeSet<u16>,
    listen: BTreeSet<u16>,
    bare_listen: bool,
}

impl Found {
    fn file(&mut self, path: &Path, depth: u32) {
        let Ok(text) = texts::read_to_string(path) else {
            return;
        };
        let dir = path.parent().unwrap_or(Path::new("/"));
        // Port and ListenAddress may not stand in a Match block.
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line
                .split(|c: char| c.is_whitespace() || c == '=')
                .filter(|word| !word.is_empty())
                .map(|word| word.trim_matches('"'));
            let Some(keyword) = words.next() else {
                continue;
            };
            if keyword.eq_ignore_ascii_case("port") {
                self.ports
                    .extend(words.next().and_then(|w| w.parse::<u16>().ok()));
            } else if keyword.eq_ignore_ascii_case("listenaddress") {
                match words.next().and_then(port_of_address) {
                    Some(port) => {
                        self.listen.insert(port);
                    }
                    None => self.bare_listen = true,
                }
            } else if keyword.eq_ignore_ascii_case("include") && depth > 0 {
                for pattern in words {
                    for file in expand(dir, pattern) {
                        self.file(&file, depth - 1);
                    }
                }
            }
        }
    }
}

/// `host:port` and `[v6]:port`; a bare IPv6 address has no port.
fn port_of_address(word: &str) -> Option<u16> {
    let (host, port) = word.rsplit_once(':')?;
    if host.contains(':') && !host.ends_with(']') {
        return None;
    }
    port.parse().ok()
}

/// Files that an `Include` pattern names; wildcards in the last part only.
fn expand(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = dir.join(pattern);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Vec::new();
    };
    if !name.contains(['*', '?', '[']) {
        return vec![path];
    }
    let mut files: Vec<_> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| glob_match(name, &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(main: &str, drop_in: &str) -> Vec<u16> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sshd_config.d")).unwrap();
        std::fs::write(dir.path().join("sshd_config"), main).unwrap();
        std::fs::write(dir.path().join("sshd_config.d/10-port.conf"), drop_in).unwrap();
        ports_of(&dir.path().join("sshd_config"))
            .into_iter()
            .collect()
    }

    #[test]
    fn the_default_is_22() {
        assert_eq!(ports("# Port 2222\nPermitRootLogin no\n", ""), [22]);
        assert_eq!(ports_of(Path::new("/nonexistent")), BTreeSet::from([22]));
    }

    #[test]
    fn ports_add_up_and_includes_are_followed() {
        assert_eq!(
            ports(
                "Include sshd_config.d/*.conf\nPort 2022\nport=2023\n",
                "Port 2222 # two\n"
            ),
            [2022, 2023, 2222]
        );
        assert_eq!(
            ports("Port 2022\n", "Port 2222\n"),
            [2022],
            "not included, not read"
        );
    }

    #[test]
    fn listen_addresses_may_name_ports() {
        assert_eq!(
            ports(
                "ListenAddress 10.0.0.1:2200\nListenAddress [fd00::1]:2201\n",
                ""
            ),
            [2200, 2201]
        );
        assert_eq!(ports("ListenAddress fd00::1\n", ""), [22]);
        assert_eq!(
            ports("ListenAddress 10.0.0.1\nListenAddress 10.0.0.2:2200\n", ""),
            [22, 2200]
        );
        assert_eq!(
            ports("ListenAddress 10.0.0.2:2200\nPort 23\n", ""),
            [23, 2200]
        );
    }
}
