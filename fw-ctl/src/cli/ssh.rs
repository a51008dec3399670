//! Where the operator is connected from by SSH, so that nobody bans himself.

use std::net::IpAddr;
use std::path::Path;

/// Set by sshd: address and port of the client, then those of the server.
const VARIABLE: &str = "SSH_CONNECTION";
/// Parents that are asked: sudo, a shell, tmux, …
const GENERATIONS: usize = 32;

/// The address of the SSH client behind this process, if there is one.
///
/// sudo does not hand the variable on, so the parents are asked for it, too; root may
/// read what they were started with.
#[must_use]
pub fn peer() -> Option<IpAddr> {
    let own = std::env::var(VARIABLE).ok();
    own.as_deref().and_then(client).or_else(|| {
        let mut process = std::os::unix::process::parent_id();
        (0..GENERATIONS).find_map(|_| {
            let directory = Path::new("/proc").join(process.to_string());
            process = parent(&std::fs::read_to_string(directory.join("stat")).ok()?).unwrap_or(0);
            in_environment(&std::fs::read(directory.join("environ")).unwrap_or_default())
        })
    })
}

/// The client that the value of the variable names.
fn client(value: &str) -> Option<IpAddr> {
    // A link-local address has its interface behind a percent sign.
    let address = value.split_whitespace().next()?.split('%').next()?;
    Some(address.parse::<IpAddr>().ok()?.to_canonical())
}

fn in_environment(environment: &[u8]) -> Option<IpAddr> {
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let variable = std::str::from_utf8(variable).ok()?;
        client(variable.strip_prefix(VARIABLE)?.strip_prefix('=')?)
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
    fn the_client_is_the_first_address() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(client("203.0.113.7 50000 10.0.0.1 22"), ip("203.0.113.7"));
        assert_eq!(client("::ffff:203.0.113.7 5 ::1 22"), ip("203.0.113.7"));
        assert_eq!(client("fe80::7%eth0 5 fe80::1 22"), ip("fe80::7"));
        for nothing in ["", "UNKNOWN 1 UNKNOWN 2"] {
            assert_eq!(client(nothing), None);
        }
        let environment = b"A=1\0XSSH_CONNECTION=1.1.1.1\0SSH_CONNECTION=2001:db8::7 1 ::1 22\0";
        assert_eq!(in_environment(environment), ip("2001:db8::7"));
        assert_eq!(in_environment(b"SSH_CONNECTIONS=1.1.1.1\0"), None);
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
