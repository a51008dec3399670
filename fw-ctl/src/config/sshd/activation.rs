//! The ports on which systemd listens in place of sshd: `ListenStream=` of its socket unit
//! (`systemd.socket(5)`), where that is enabled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::texts;

/// The unit of Debian and that of Fedora.
const UNITS: [&str; 2] = ["ssh.socket", "sshd.socket"];
/// Where units are, the first wins (`systemd.unit(5)`).
const DIRECTORIES: [&str; 7] = [
    "etc/systemd/system",
    "run/systemd/system",
    // Ubuntu writes what sshd_config says there.
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];
/// What another unit is enabled by.
const ENABLES: [&str; 3] = ["wants", "requires", "upholds"];

/// The ports of the socket units below `root` that are enabled.
pub(super) fn ports(root: &Path) -> BTreeSet<u16> {
    let enabled = UNITS.iter().filter(|unit| is_enabled(root, unit));
    enabled.flat_map(|unit| of_unit(root, unit)).collect()
}

/// Whether another unit pulls it in.
fn is_enabled(root: &Path, unit: &str) -> bool {
    let directories = DIRECTORIES
        .iter()
        .flat_map(|path| entries(&root.join(path)));
    let mut enabling = directories.filter(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| ENABLES.contains(&extension))
    });
    // A symbolic link, perhaps to what is not there: a unit that systemd knows by name.
    enabling.any(|path| path.join(unit).symlink_metadata().is_ok())
}

/// What the unit and its drop-ins say in the end.
fn of_unit(root: &Path, unit: &str) -> BTreeSet<u16> {
    let directories = || DIRECTORIES.iter().map(|path| root.join(path));
    let mut texts = Vec::new();
    let unit_files = directories().map(|path| path.join(unit));
    texts.extend(
        unit_files
            .into_iter()
            .find(|path| path.symlink_metadata().is_ok()),
    );
    let mut drop_ins = BTreeMap::new();
    for path in directories().flat_map(|path| entries(&path.join(format!("{unit}.d")))) {
        if path
            .extension()
            .is_some_and(|extension| extension == "conf")
        {
            drop_ins
                .entry(path.file_name().map(ToOwned::to_owned))
                .or_insert(path);
        }
    }
    texts.extend(drop_ins.into_values());
    let mut ports = BTreeSet::new();
    for path in texts {
        // A unit that is masked is a link to /dev/null.
        read(
            &texts::read_to_string(&path).unwrap_or_default(),
            &mut ports,
        );
    }
    ports
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Adds the ports of a text. One without a value forgets those before it.
fn read(text: &str, ports: &mut BTreeSet<u16>) {
    let mut in_socket = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_socket = line == "[Socket]";
        }
        let Some(("ListenStream", value)) = line.split_once('=').map(|(k, v)| (k.trim_end(), v))
        else {
            continue;
        };
        if !in_socket {
            continue;
        }
        match value.trim() {
            "" => ports.clear(),
            value => ports.extend(port(value)),
        }
    }
}

/// `2222`, `10.0.0.1:2222`, `[fd00::1]:2222`, that with `%eth0` behind it; nothing of a
/// path, an abstract name or a socket of another family.
fn port(value: &str) -> Option<u16> {
    if value.starts_with(['/', '@', '%']) || value.starts_with("vsock") {
        return None;
    }
    let port = value.rsplit(':').next()?;
    port.split('%')
        .next()?
        .parse()
        .ok()
        .filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::root;
    use super::*;

    const WANTED: (&str, &str) = ("etc/systemd/system/sockets.target.wants/ssh.socket", "");
    const UNIT: (&str, &str) = (
        "usr/lib/systemd/system/ssh.socket",
        "[Unit]\nListenStream=1\n[Socket]\n# ListenStream=2\nListenStream=22\nAccept=no\n",
    );

    fn ports_of(files: &[(&str, &str)]) -> Vec<u16> {
        ports(root(files).path()).into_iter().collect()
    }

    #[test]
    fn only_an_enabled_unit_counts() {
        assert_eq!(ports_of(&[UNIT]), [0; 0]);
        assert_eq!(ports_of(&[UNIT, WANTED]), [22]);
        let by_service = ("etc/systemd/system/ssh.service.requires/ssh.socket", "");
        assert_eq!(ports_of(&[UNIT, by_service]), [22]);
        let fedora = (
            "lib/systemd/system/sshd.socket",
            "[Socket]\nListenStream=2022",
        );
        let wanted = ("etc/systemd/system/sockets.target.wants/sshd.socket", "");
        assert_eq!(ports_of(&[fedora, wanted, UNIT]), [2022]);
    }

    #[test]
    fn drop_ins_add_and_an_empty_value_forgets() {
        let more = (
            "etc/systemd/system/ssh.socket.d/20-more.conf",
            "[Socket]\nListenStream = 2222\n",
        );
        assert_eq!(ports_of(&[UNIT, WANTED, more]), [22, 2222]);
        let instead = (
            "run/systemd/generator/ssh.socket.d/addresses.conf",
            "[Socket]\nListenStream=\nListenStream=0.0.0.0:2200\nListenStream=[::]:2200\n",
        );
        assert_eq!(ports_of(&[UNIT, WANTED, instead]), [2200]);
        // By name: 20-more.conf comes before addresses.conf, which forgets it.
        assert_eq!(ports_of(&[UNIT, WANTED, instead, more]), [2200]);
        let over = (
            "etc/systemd/system/ssh.socket.d/addresses.conf",
            "[Socket]\nListenStream=2201\n",
        );
        assert_eq!(ports_of(&[UNIT, WANTED, instead, over]), [22, 2201]);
    }

    #[test]
    fn the_operator_s_unit_wins_over_the_package_s() {
        let own = (
            "etc/systemd/system/ssh.socket",
            "[Socket]\nListenStream=2222\n",
        );
        assert_eq!(ports_of(&[UNIT, WANTED, own]), [2222]);
        let root = root(&[UNIT, WANTED]);
        let masked = root.path().join("etc/systemd/system/ssh.socket");
        std::os::unix::fs::symlink("/dev/null", masked).unwrap();
        assert_eq!(ports(root.path()), BTreeSet::new());
    }

    #[test]
    fn addresses_may_stand_before_the_port() {
        for (value, expected) in [
            ("2222", Some(2222)),
            ("10.0.0.1:2222", Some(2222)),
            ("[fd00::1]:2222", Some(2222)),
            ("[fe80::1]:2222%eth0", Some(2222)),
            ("/run/sshd.sock", None),
            ("@sshd", None),
            ("%t/sshd.sock", None),
            ("vsock::22", None),
            ("0", None),
            ("70000", None),
        ] {
            assert_eq!(port(value), expected, "{value}");
        }
    }
}
