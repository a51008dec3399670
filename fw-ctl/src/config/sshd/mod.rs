//! The ports that sshd listens on, for failsafe entries with `port = "ssh"`.
//!
//! Three places are asked, and all their ports hold together: a port too many that nobody
//! listens on is no hole, one too few locks the operator out.
//!
//! - `configuration`: `sshd_config(5)`. It is there before sshd starts.
//! - `activation`: the socket unit of systemd, where that listens in place of sshd.
//! - `running`: what the sshd that runs now does listen on, whatever started it how
//!   (`sshd -p 2222`).

mod activation;
mod configuration;
mod running;

use std::collections::BTreeSet;
use std::path::Path;

/// What sshd listens on if nothing says anything else.
const DEFAULT_PORT: u16 = 22;

/// The ports of this machine's sshd; 22 where nothing is said or readable.
#[must_use]
pub fn listening_ports() -> BTreeSet<u16> {
    let mut ports = declared_ports(Path::new("/"));
    ports.extend(running::ports());
    ports
}

/// What the files below `root` say, as of a machine that is not running. The default of `sshd_config` holds only where
/// systemd does not listen in place of sshd.
#[must_use]
pub fn declared_ports(root: &Path) -> BTreeSet<u16> {
    let activated = activation::ports(root);
    let configured = configuration::ports(root);
    if configured.is_none() && activated.is_empty() {
        return [DEFAULT_PORT].into();
    }
    let mut ports = configured.unwrap_or_default();
    ports.extend(activated);
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root directory with these files.
    pub(super) fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_default_is_22_where_nothing_is_said() {
        assert_eq!(declared_ports(root(&[]).path()), [22].into());
        let silent = root(&[("etc/ssh/sshd_config", "PermitRootLogin no\n")]);
        assert_eq!(declared_ports(silent.path()), [22].into());
    }

    #[test]
    fn a_socket_of_systemd_takes_the_place_of_the_default_only() {
        let unit = (
            "usr/lib/systemd/system/ssh.socket",
            "[Socket]\nListenStream=2222\n",
        );
        let wanted = ("etc/systemd/system/sockets.target.wants/ssh.socket", "");
        assert_eq!(
            declared_ports(root(&[unit]).path()),
            [22].into(),
            "not enabled"
        );
        assert_eq!(declared_ports(root(&[unit, wanted]).path()), [2222].into());
        let written = ("etc/ssh/sshd_config", "Port 2022\n");
        let both = root(&[unit, wanted, written]);
        assert_eq!(declared_ports(both.path()), [2022, 2222].into());
    }
}
