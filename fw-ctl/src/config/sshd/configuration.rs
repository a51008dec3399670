//! The ports that `sshd_config(5)` names.
//!
//! `Port` may stand several times; each adds one. A `ListenAddress` with a port adds that
//! one. `Include` is followed. Neither may stand in a `Match` block: sshd refuses such a
//! file, and what it names there is not read here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::DEFAULT_PORT;
use crate::glob::glob_match;
use crate::texts;

/// Where relative paths of `Include` are, in every file.
const DIRECTORY: &str = "etc/ssh";
/// The first that is there is read. The second is where distributions that leave /etc to
/// the operator have theirs.
const MAIN: [&str; 2] = ["etc/ssh/sshd_config", "usr/etc/ssh/sshd_config"];
/// sshd itself stops at 16 levels of `Include`.
const INCLUDE_DEPTH: u32 = 16;

/// The ports that the configuration below `root` names; `None`: it names none.
pub(super) fn ports(root: &Path) -> Option<BTreeSet<u16>> {
    let mut found = Found {
        root,
        ports: BTreeSet::new(),
        listen: BTreeSet::new(),
        bare_listen: false,
    };
    let main = MAIN.iter().map(|path| root.join(path));
    found.file(
        &main.into_iter().find(|path| path.exists())?,
        INCLUDE_DEPTH,
        false,
    );
    let mut ports = found.listen;
    if found.ports.is_empty() {
        // A ListenAddress without a port listens on every `Port`.
        if ports.is_empty() {
            return None;
        }
        ports.extend(found.bare_listen.then_some(DEFAULT_PORT));
    } else {
        // If each names its own, `Port` is not used, but adding it keeps an operator
        // in, not out.
        ports.extend(found.ports);
    }
    Some(ports)
}

struct Found<'a> {
    root: &'a Path,
    ports: BTreeSet<u16>,
    listen: BTreeSet<u16>,
    bare_listen: bool,
}

impl Found<'_> {
    /// A `Match` ends with its file; what is included within one is within it, too.
    fn file(&mut self, path: &Path, depth: u32, mut in_match: bool) {
        let Ok(text) = texts::read_to_string(path) else {
            return;
        };
        for line in text.lines() {
            let words = words(line);
            let Some((keyword, arguments)) = words.split_first() else {
                continue;
            };
            let is = |name: &str| keyword.eq_ignore_ascii_case(name);
            let first = arguments.first().map(String::as_str);
            if is("match") {
                in_match = true;
            } else if is("include") && depth > 0 {
                for pattern in arguments {
                    for file in self.expand(pattern) {
                        self.file(&file, depth - 1, in_match);
                    }
                }
            } else if in_match {
            } else if is("port") {
                self.ports.extend(first.and_then(number));
            } else if is("listenaddress") {
                match first.and_then(port_of_address) {
                    Some(port) => {
                        self.listen.insert(port);
                    }
                    None => self.bare_listen = true,
                }
            }
        }
    }

    /// Files that an `Include` pattern names, in order (`glob(7)`).
    fn expand(&self, pattern: &str) -> Vec<PathBuf> {
        let (start, pattern) = match pattern.strip_prefix('/') {
            Some(pattern) => (self.root.to_owned(), pattern),
            None => (self.root.join(DIRECTORY), pattern),
        };
        let mut paths = vec![start];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            paths = paths.iter().flat_map(|path| matching(path, part)).collect();
        }
        paths
    }
}

/// Entries of a directory that a part of a pattern means. A name that is none need not
/// be there: reading it will tell.
fn matching(directory: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?', '[']) {
        return vec![directory.join(part)];
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut names: Vec<_> = names
        .filter(|name| glob_match(part, &name.to_string_lossy()))
        // Hidden files are meant only where the pattern says so.
        .filter(|name| part.starts_with('.') || !name.to_string_lossy().starts_with('.'))
        .collect();
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

/// Keyword and arguments: separated by white space or one `=`, perhaps in quotes, up to
/// a `#`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted => break,
            c if !quoted && (c.is_whitespace() || c == '=' && words.len() < 2) => {
                words.extend(word.take());
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn number(word: &str) -> Option<u16> {
    word.parse().ok().filter(|port| *port > 0)
}

/// `host:port` and `[v6]:port`; a bare IPv6 address has no port.
fn port_of_address(word: &str) -> Option<u16> {
    let (host, port) = word.rsplit_once(':')?;
    if host.contains(':') && !host.ends_with(']') {
        return None;
    }
    number(port)
}

#[cfg(test)]
mod tests {
    use super::super::tests::root;
    use super::*;

    fn ports_of(files: &[(&str, &str)]) -> Option<Vec<u16>> {
        let root = root(files);
        ports(root.path()).map(|ports| ports.into_iter().collect())
    }

    fn main(text: &str) -> Option<Vec<u16>> {
        ports_of(&[("etc/ssh/sshd_config", text)])
    }

    #[test]
    fn what_names_no_port_is_told_apart() {
        assert_eq!(main("# Port 2222\nPermitRootLogin no\n"), None);
        assert_eq!(main("Port 0\nPort ssh\nPort\n"), None);
        assert_eq!(
            main("ListenAddress fd00::1\nListenAddress 10.0.0.1\n"),
            None
        );
        assert_eq!(ports_of(&[]), None);
        assert_eq!(main("Port 22\n"), Some(vec![22]));
    }

    #[test]
    fn ports_add_up_and_includes_are_followed() {
        let drop_in = ("etc/ssh/sshd_config.d/10-port.conf", "Port 2222 # two\n");
        let main = |text| [("etc/ssh/sshd_config", text), drop_in];
        let text = "Include sshd_config.d/*.conf\nPort 2022\nport=2023\nPORT \"2024\"\n";
        assert_eq!(ports_of(&main(text)), Some(vec![2022, 2023, 2024, 2222]));
        let text = "Port 2022\n";
        assert_eq!(
            ports_of(&main(text)),
            Some(vec![2022]),
            "not included, not read"
        );
        let text = "Include /etc/ssh/*.d/10-p?rt.conf /etc/ssh/none/*\n";
        assert_eq!(ports_of(&main(text)), Some(vec![2222]));
    }

    #[test]
    fn what_is_included_by_an_included_file_is_sought_where_the_main_file_is() {
        let files = [
            ("etc/ssh/sshd_config", "Include sshd_config.d/*.conf\n"),
            ("etc/ssh/sshd_config.d/a.conf", "Include b.conf\n"),
            ("etc/ssh/sshd_config.d/.hidden.conf", "Port 1\n"),
            ("etc/ssh/b.conf", "Port 2222\nInclude b.conf\n"),
            ("etc/ssh/sshd_config.d/b/b.conf", "Port 2\n"),
        ];
        assert_eq!(ports_of(&files), Some(vec![2222]));
    }

    #[test]
    fn what_stands_in_a_match_block_is_none() {
        let files = [
            (
                "etc/ssh/sshd_config",
                "Include a.conf\nPort 2022\nMatch User x\nPort 3\nInclude b.conf\n",
            ),
            ("etc/ssh/a.conf", "Port 2021\nMatch all\nPort 1\n"),
            ("etc/ssh/b.conf", "ListenAddress 10.0.0.1:4\n"),
        ];
        assert_eq!(ports_of(&files), Some(vec![2021, 2022]));
    }

    #[test]
    fn listen_addresses_may_name_ports() {
        let listen = |text: &str| main(text).unwrap();
        assert_eq!(
            listen("ListenAddress 10.0.0.1:2200\nListenAddress [fd00::1]:2201 rdomain r\n"),
            [2200, 2201]
        );
        assert_eq!(
            listen("ListenAddress 10.0.0.1\nListenAddress 10.0.0.2:2200\n"),
            [22, 2200]
        );
        assert_eq!(listen("ListenAddress 10.0.0.2:2200\nPort 23\n"), [23, 2200]);
        assert_eq!(listen("ListenAddress = host.example:2200\n"), [2200]);
    }

    #[test]
    fn the_vendor_s_file_is_read_where_the_operator_has_none() {
        let vendor = ("usr/etc/ssh/sshd_config", "Port 2022\n");
        assert_eq!(ports_of(&[vendor]), Some(vec![2022]));
        let own = ("etc/ssh/sshd_config", "Port 2023\n");
        assert_eq!(ports_of(&[vendor, own]), Some(vec![2023]));
    }
}
