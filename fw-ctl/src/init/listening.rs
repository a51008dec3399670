//! What this machine listens on, for others than itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::printable::printable;
use crate::sockets::{self, Row};

/// A port that somebody listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// IP protocol number: TCP or UDP.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// Names of the programs that have the socket open, where they can be seen.
    pub processes: BTreeSet<String>,
    /// The addresses that it is bound to; `0.0.0.0` and `::` are every one of their family.
    pub addresses: BTreeSet<IpAddr>,
    /// It takes IPv4.
    pub v4: bool,
    /// It takes IPv6.
    pub v6: bool,
}

/// Everything that others can open connections to, by protocol and port, and what could not
/// be learnt. Of the network namespace of the calling thread.
#[must_use]
pub fn listening() -> (Vec<Listening>, Vec<String>) {
    let (rows, mut notes) = sockets::listening();
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, row)| !row.local.ip().is_loopback())
        .collect();
    let wanted = rows.iter().map(|(_, row)| row.inode).collect();
    let names = names(&wanted);
    if !rows.is_empty() && names.is_empty() {
        notes.push("which programs listen is told to root only".to_owned());
    }
    (grouped(&rows, &names), notes)
}

fn grouped(rows: &[(u8, Row)], names: &BTreeMap<u32, BTreeSet<String>>) -> Vec<Listening> {
    let mut found: BTreeMap<(u8, u16), Listening> = BTreeMap::new();
    for (protocol, row) in rows {
        let (address, port) = (row.local.ip(), row.local.port());
        let one = found.entry((*protocol, port)).or_insert(Listening {
            protocol: *protocol,
            port,
            ..Listening::default()
        });
        one.addresses.insert(address);
        one.v6 |= address.is_ipv6();
        // `::` takes IPv4, too, unless the program did not want it.
        one.v4 |= address.is_ipv4() || address.is_unspecified() && !row.v6_only;
        one.processes
            .extend(names.get(&row.inode).into_iter().flatten().cloned());
    }
    found.into_values().collect()
}

/// The names of the programs that have these sockets open, by the numbers of the sockets
/// (proc(5): `/proc/PID/fd`, `/proc/PID/comm`). Programs of others only root can see.
fn names(wanted: &BTreeSet<u32>) -> BTreeMap<u32, BTreeSet<String>> {
    let mut found: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        for open in std::fs::read_dir(path.join("fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Some(inode) = std::fs::read_link(open.path()).ok().and_then(|link| {
                let link = link.to_str()?;
                let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
                number.parse().ok()
            }) else {
                continue;
            };
            if !wanted.contains(&inode) {
                continue;
            }
            if let Ok(name) = std::fs::read_to_string(path.join("comm")) {
                let name = printable(name.trim_end_matches('\n'));
                found.entry(inode).or_default().insert(name);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::sockets::{TCP, UDP};

    fn row(local: &str, v6_only: bool, inode: u32) -> Row {
        let local: std::net::SocketAddr = local.parse().unwrap();
        Row {
            family: 0,
            state: 0,
            local,
            remote: local,
            v6_only,
            owner: 0,
            inode,
            group: None,
        }
    }

    #[test]
    fn sockets_of_one_port_are_one() {
        let rows = [
            (TCP, row("0.0.0.0:22", false, 1)),
            (TCP, row("[::]:22", true, 2)),
            (TCP, row("[::]:80", false, 3)),
            (TCP, row("[fd00::1]:81", false, 3)),
            (UDP, row("10.0.0.10:22", false, 4)),
        ];
        let names = |text: &str| text.split(' ').map(str::to_owned).collect();
        let names = BTreeMap::from([(1, names("sshd")), (3, names("caddy nginx"))]);
        let found = grouped(&rows, &names);
        let said: Vec<_> = found
            .iter()
            .map(|one| {
                let names = one.processes.iter().cloned().collect::<Vec<_>>().join(" ");
                (one.protocol, one.port, one.v4, one.v6, names)
            })
            .collect();
        let expected = [
            (TCP, 22, true, true, "sshd"),
            (TCP, 80, true, true, "caddy nginx"),
            (TCP, 81, false, true, "caddy nginx"),
            (UDP, 22, true, false, ""),
        ];
        assert_eq!(
            said,
            expected.map(|(a, b, c, d, e)| (a, b, c, d, e.to_owned()))
        );
        assert_eq!(found[0].addresses.len(), 2);
    }

    #[test]
    fn own_sockets_are_found_with_their_program_unless_they_are_on_loopback() {
        let open = TcpListener::bind("0.0.0.0:0").unwrap();
        let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let (found, _) = listening();
        let find = |protocol, port| {
            let mut found = found.iter();
            found.find(|one| (one.protocol, one.port) == (protocol, port))
        };
        let one = find(TCP, open.local_addr().unwrap().port()).expect("it listens");
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        // A process that another test has forked just now may hold it, too.
        assert!(
            one.processes.contains(own.trim_end()),
            "{:?}",
            one.processes
        );
        assert!(one.v4 && !one.v6);
        assert!(find(UDP, datagrams.local_addr().unwrap().port()).is_some());
        assert_eq!(find(TCP, closed.local_addr().unwrap().port()), None);
    }
}
