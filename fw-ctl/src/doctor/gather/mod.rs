//! Where the facts come from: files of /proc and /sys, netlink, the drivers, the daemon, and as
//! root a rehearsal. Nothing of the machine is changed.

mod interfaces;
mod links;
mod loaded;
mod machine;
mod rehearsal;

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::facts::{Answer, Daemon, Datapath, Facts};
use crate::config::{Interfaces, Paths};
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::datapath::host::TcKind;
use crate::netlink::Network;

/// Which instance is examined.
#[derive(Clone, Debug, Default)]
pub struct Where {
    /// Its interfaces.
    pub interfaces: Interfaces,
    /// Its files and directories.
    pub paths: Paths,
    /// What is wrong with its configuration; then the interfaces above are the default ones.
    pub configuration: Vec<String>,
}

/// Collects everything.
#[must_use]
pub fn gather(place: &Where) -> Facts {
    let running = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let kernel = machine::kernel();
    let rights = machine::rights(&place.paths.pin_dir);
    let rehearsal = match kernel.is_supported() {
        true => rehearsal::rehearse(&rights),
        false => super::facts::Rehearsal::Skipped("this kernel is too old".into()),
    };
    let daemon = daemon(place);
    let status = match &daemon.answer {
        Answer::Status(status) => Some(&**status),
        _ => None,
    };
    Facts {
        interfaces: interfaces::gather(&place.interfaces, status),
        xdp: place.interfaces.xdp,
        cpus: running,
        datapath: Datapath {
            tc: TcKind::of_kernel(),
            rehearsal,
            cpus: aya::util::nr_cpus().unwrap_or(running),
        },
        kernel,
        rights,
        daemon,
    }
}

/// The interfaces and addresses of this network namespace.
///
/// # Errors
/// A sentence: what cannot be listed, and why.
pub fn network() -> Result<Network, String> {
    Ok(links::list()?.0)
}

fn daemon(place: &Where) -> Daemon {
    let socket = place.paths.control_socket();
    // The kind of failure decides, and `ask` tells it in words only.
    let answer = match UnixStream::connect(&socket).map_err(|error| error.kind()) {
        // A daemon that was killed leaves its socket.
        Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Answer::Absent {
            pins: pins(&place.paths.pin_dir),
        },
        Err(ErrorKind::PermissionDenied) => Answer::Forbidden,
        Ok(_) | Err(_) => match ask(&socket, &Request::Status) {
            Ok(status) => Answer::Status(Box::new(status)),
            Err(failure) => Answer::Failed(failure.line()),
        },
    };
    Daemon {
        socket,
        answer,
        configuration: place.configuration.clone(),
    }
}

/// Whether links are pinned, whatever the version; `None`: this user may not look.
fn pins(pin_dir: &Path) -> Option<bool> {
    let versions = match std::fs::read_dir(pin_dir) {
        Ok(versions) => versions,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let has_links = |version: std::fs::DirEntry| {
        std::fs::read_dir(version.path().join("links"))
            .is_ok_and(|mut links| links.next().is_some())
    };
    Some(versions.flatten().any(has_links))
}
