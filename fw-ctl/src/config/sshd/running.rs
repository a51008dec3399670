//! The ports that the running sshd listens on, as the kernel tells (`sock_diag(7)`).
//!
//! A socket is sshd's if it was made in the control group of its unit. That is known
//! without looking into other processes, which the daemon may not do, and nobody else can
//! put a socket there: sessions have groups of their own. What an operator forwards
//! (`ssh -R`) belongs to the user of the session, and what belongs to root only counts.
//! Without control groups of version 2 and systemd nothing is seen, and the files decide.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sockets::{self, Row};

/// Where control groups of version 2 are: alone, and beside those of version 1.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// The units of sshd, and the sockets that systemd listens on for it.
const UNITS: [&str; 4] = ["ssh.service", "sshd.service", "ssh.socket", "sshd.socket"];
const ROOT: u32 = 0;

/// The ports; none if it does not run, or cannot be seen.
pub(super) fn ports() -> BTreeSet<u16> {
    let slices = HIERARCHIES.map(|path| Path::new(path).join("system.slice"));
    let units = slices
        .iter()
        .flat_map(|slice| UNITS.map(|unit| slice.join(unit)));
    let groups = groups(units);
    if groups.is_empty() {
        return BTreeSet::new();
    }
    // What cannot be told is like an sshd that does not run: the files decide.
    sockets::servers().map_or_else(|_| BTreeSet::new(), |all| of_groups(&all, &groups, ROOT))
}

/// Those whose port others than the node can reach.
fn of_groups(servers: &[Row], groups: &BTreeSet<u64>, owner: u32) -> BTreeSet<u16> {
    let is_in_one = |group: Option<u64>| group.is_some_and(|group| groups.contains(&group));
    let ports = servers.iter().filter_map(|one| {
        let reachable = !one.local.ip().is_loopback();
        (reachable && one.owner == owner && is_in_one(one.group)).then_some(one.local.port())
    });
    ports.collect()
}

/// The kernel's numbers of control groups: those of their directories.
fn groups(directories: impl IntoIterator<Item = PathBuf>) -> BTreeSet<u64> {
    let found = directories
        .into_iter()
        .filter_map(|path| path.metadata().ok());
    found.map(|directory| directory.ino()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn sockets_are_known_by_group_owner_and_address() {
        let listener = |port, address: &str, owner, group| {
            let local = SocketAddr::new(address.parse().unwrap(), port);
            Row {
                family: 0,
                state: 0,
                local,
                remote: local,
                v6_only: false,
                owner,
                inode: 0,
                group: Some(group),
            }
        };
        let all = [
            listener(2222, "::", 0, 7),
            listener(2223, "10.0.0.1", 0, 8),
            // What others have opened, and what nobody can reach.
            listener(8080, "::", 1000, 7),
            listener(80, "::", 0, 9),
            listener(6010, "::1", 0, 7),
            listener(6011, "127.0.0.1", 0, 7),
        ];
        assert_eq!(of_groups(&all, &[7, 8].into(), 0), [2222, 2223].into());
        assert_eq!(of_groups(&all, &BTreeSet::new(), 0), BTreeSet::new());
        // A kernel that does not tell groups tells nothing.
        let untold = all.map(|one| Row { group: None, ..one });
        assert_eq!(of_groups(&untold, &[7, 8].into(), 0), BTreeSet::new());
    }

    /// Our own sockets are made in our own control group.
    #[test]
    fn the_kernel_tells_in_which_group_a_socket_was_made() {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let hierarchy = HIERARCHIES
            .iter()
            .find(|path| mounts.contains(&format!(" {path} cgroup2 ")));
        let (Some(path), Some(hierarchy)) = (path, hierarchy) else {
            assert_ne!(std::env::var("FW_KERNEL_TESTS").as_deref(), Ok("require"));
            eprintln!("skipped: there are no control groups of version 2");
            return;
        };
        let own = groups([Path::new(hierarchy).join(path)]);
        assert_eq!(own.len(), 1, "{path}");
        let sockets = ["0.0.0.0:0", "[::]:0", "127.0.0.1:0", "[::1]:0"]
            .map(|address| TcpListener::bind(address).unwrap());
        let ports = sockets
            .each_ref()
            .map(|one| one.local_addr().unwrap().port());
        let all = sockets::servers().unwrap();
        let owner = nix::unistd::geteuid().as_raw();
        let seen = of_groups(&all, &own, owner);
        assert_eq!(
            ports.map(|port| seen.contains(&port)),
            [true, true, false, false]
        );
        let elsewhere = of_groups(&all, &[u64::MAX].into(), owner);
        assert_eq!(elsewhere, BTreeSet::new());
    }
}
