//! The SSH session in which the operator sits, so that nobody bans himself or cuts
//! himself off.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::harm::SshSession;

/// Set by sshd: address and port of the client, then those of the server.
const VARIABLE: &str = "SSH_CONNECTION";
/// Parents that are asked: sudo, a shell, tmux, …
const GENERATIONS: usize = 32;

/// The address of the SSH client behind this process, if there is one.
#[must_use]
pub fn peer() -> Option<IpAddr> {
    session().map(|session| session.client.ip())
}

/// The SSH session behind this process, if there is one.
///
/// sudo does not hand the variable on, so the parents are asked for it, too; root may
/// read what they were started with. Of a terminal multiplexer that is the session in
/// which it was started, which may be over.
#[must_use]
pub fn session() -> Option<SshSession> {
    let own = std::env::var(VARIABLE).ok();
    own.as_deref().and_then(ends).or_else(|| {
        let mut process = std::os::unix::process::parent_id();
        (0..GENERATIONS).find_map(|_| {
            let directory = Path::new("/proc").join(process.to_string());
            process = parent(&std::fs::read_to_string(directory.join("stat")).ok()?).unwrap_or(0);
            in_environment(&std::fs::read(directory.join("environ")).unwrap_or_default())
        })
    })
}

/// The session that the value of the variable names.
fn ends(value: &str) -> Option<SshSession> {
    let mut words = value.split_whitespace();
    let mut end = || {
        // A link-local address has its interface behind a percent sign.
        let address = words.next()?.split('%').next()?.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(
            address.to_canonical(),
            words.next()?.parse().ok()?,
        ))
    };
    Some(SshSession {
        client: end()?,
        server: end()?,
    })
}

fn in_environment(environment: &[u8]) -> Option<SshSession> {
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let variable = std::str::from_utf8(variable).ok()?;
        ends(variable.strip_prefix(VARIABLE)?.strip_prefix('=')?)
    })
}

/// The parent in the text of `/proc/PID/stat` (proc(5)): the name before it may hold
/// anything, also brackets.
fn parent(stat: &str) -> Option<u32> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_server_are_named_in_that_order() {
        let session = |client: &str, server: &str| {
            Some(SshSession {
                client: client.parse().unwrap(),
                server: server.parse().unwrap(),
            })
        };
        for (value, expected) in [
            (
                "203.0.113.7 50000 10.0.0.1 22",
                session("203.0.113.7:50000", "10.0.0.1:22"),
            ),
            (
                "::ffff:203.0.113.7 5 ::ffff:10.0.0.1 22",
                session("203.0.113.7:5", "10.0.0.1:22"),
            ),
            (
                "fe80::7%eth0 5 fe80::1%eth0 2222",
                session("[fe80::7]:5", "[fe80::1]:2222"),
            ),
            ("", None),
            ("UNKNOWN 1 UNKNOWN 2", None),
            ("203.0.113.7 50000", None),
            ("203.0.113.7 70000 10.0.0.1 22", None),
        ] {
            assert_eq!(ends(value), expected, "{value}");
        }
        let environment = b"A=1\0XSSH_CONNECTION=1.1.1.1 1 1.1.1.2 2\0\
            SSH_CONNECTION=2001:db8::7 1 ::1 22\0";
        let found = in_environment(environment);
        assert_eq!(found, session("[2001:db8::7]:1", "[::1]:22"));
        assert_eq!(in_environment(b"SSH_CONNECTIONS=1.1.1.1 1 ::1 2\0"), None);
    }

    #[test]
    fn parents_are_found_behind_any_name() {
        assert_eq!(parent("77 (sudo) S 42 77 7 0 -1"), Some(42));
        assert_eq!(parent("77 (a) R 1 (b) S 42 77"), Some(42));
        assert_eq!(parent("77"), None);
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(parent(&stat), Some(std::os::unix::process::parent_id()));
    }
}
