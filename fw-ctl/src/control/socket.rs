//! The control socket as a file: where it is, and who may open it.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Once;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, listen, socket};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, chown};
use tokio::task::JoinHandle;

/// Its members may ask how it goes; only root may change anything.
pub const GROUP: &str = "fw-ctl";
/// `rw-rw----`
const MODE: Mode = Mode::from_bits_truncate(0o660);
/// Where the socket lies until it may be opened; shorter than its name, which has little
/// room (`sockaddr_un`).
const NEW: &str = ".new";
const GROUPS: &str = "/etc/group";

/// A socket that a task serves: both are gone when this is dropped.
pub struct Served {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Served {
    /// At `path`, by `task`.
    pub(crate) fn new(path: &Path, task: JoinHandle<()>) -> Self {
        Self {
            path: path.to_owned(),
            task,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
        // Somebody may have removed it before; then there is nothing left to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens at `path`, in the place of whatever lies there. Until the file has its owner
/// and mode nobody can connect, and from then on there is no moment without one.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_file_name(NEW);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(&new)?)?;
    give_to_group(&new);
    fchmodat(
        nix::fcntl::AT_FDCWD,
        &new,
        MODE,
        FchmodatFlags::FollowSymlink,
    )?;
    listen(&socket, Backlog::MAXCONN)?;
    std::fs::rename(&new, path)?;
    Ok(socket.into())
}

/// Where that is not possible the socket stays root's, which is told.
fn give_to_group(path: &Path) {
    let groups = std::fs::read_to_string(GROUPS).unwrap_or_default();
    let Some(id) = group(&groups, GROUP) else {
        // There is more than one socket, and each is made again where it is lost.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::info!(
                "there is no group {GROUP}: only root may ask; try: groupadd -r {GROUP}"
            );
        });
        return;
    };
    // Where the service manager has seen to it, its sandbox may forbid to do so once more.
    if std::fs::metadata(path).is_ok_and(|file| file.gid() == id) {
        return;
    }
    if let Err(error) = chown(path, None, Some(Gid::from_raw(id))) {
        tracing::warn!(
            "the control socket cannot be given to the group {GROUP}: {}; only root may ask; try: \
             SupplementaryGroups={GROUP} in the unit",
            error.desc()
        );
    }
}

/// The id of a group, from the file: asking the name service may ask the network, which
/// is not there yet when the machine starts.
fn group(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let id = (fields.next() == Some(name)).then(|| fields.nth(1))??;
        id.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let text = "root:x:0:\nfw-ctl-x:x:7:a\n# fw-ctl:x:8:\nfw-ctl:x:999:a,b\nfw-ctl:x:1000:\n";
        assert_eq!(group(text, "fw-ctl"), Some(999));
        assert_eq!(group(text, "fw-ctl-x"), Some(7));
        assert_eq!(group(text, "fw"), None);
        for broken in [
            "",
            "fw-ctl",
            "fw-ctl:x",
            "fw-ctl:x:-1:",
            "fw-ctl:x:4294967296:",
        ] {
            assert_eq!(group(broken, "fw-ctl"), None, "{broken}");
        }
    }

    #[test]
    fn the_socket_is_of_the_group_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        // What a dead daemon left behind, half made and whole.
        std::fs::write(&path, "").unwrap();
        std::fs::write(dir.path().join(NEW), "").unwrap();
        let _listener = listen_at(&path).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o660);
        let groups = std::fs::read_to_string(GROUPS).unwrap();
        let own = std::fs::metadata(dir.path()).unwrap();
        assert_eq!(file.uid(), own.uid());
        let may_give = nix::unistd::geteuid().is_root();
        let expected = group(&groups, GROUP).filter(|_| may_give);
        assert_eq!(file.gid(), expected.unwrap_or(own.gid()));
        assert!(!dir.path().join(NEW).exists());
        UnixStream::connect(&path).unwrap();
    }
}
