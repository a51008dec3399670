//! A real interface that is lent to a lab.
//!
//! When the namespace that has it ends, the kernel gives it back to where it was, some
//! time later, perhaps under another name: it is known by its device.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Namespace, Result};

/// Interfaces of the namespace in which this process began.
const INTERFACES: &str = "/sys/class/net";
/// How long the kernel may take to end a namespace and the programs in it.
const RETURN: Duration = Duration::from_secs(10);

/// An interface with a device of its own: hardware, or what a virtual machine has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    device: PathBuf,
    name: String,
}

impl Nic {
    /// The interface that is called so now.
    ///
    /// # Errors
    /// If there is none, or it has no device.
    pub fn named(name: &str) -> Result<Self> {
        let device = format!("{INTERFACES}/{name}/device");
        Ok(Self {
            device: fs::canonicalize(&device).map_err(Error::io(format!(
                "find the device of {name} (it must be a real interface, and free)"
            )))?,
            name: name.to_owned(),
        })
    }

    /// Moves it into a namespace, as `eth0`, as soon as it is back from where it was
    /// lent to last.
    ///
    /// # Errors
    /// If it does not come back, or `ip` fails.
    pub(crate) fn lend(&self, to: &Namespace) -> Result<()> {
        let here = Namespace::here()?;
        let name = self.await_return(&here)?;
        let path = to.path();
        here.ip([
            format!("link set {name} down"),
            format!("link set {name} netns {}", path.display()),
        ])?;
        match name.as_str() {
            "eth0" => Ok(()),
            _ => to.ip([format!("link set {name} name eth0")]),
        }
    }

    /// Its name once it is here and no program of before is on it.
    fn await_return(&self, here: &Namespace) -> Result<String> {
        let end = Instant::now() + RETURN;
        loop {
            if let Some(name) = self.find() {
                let shown = here.run("ip", &["-o", "link", "show", "dev", &name])?;
                if !shown.contains("xdp") {
                    return Ok(name);
                }
            }
            if Instant::now() > end {
                return Err(Error::Unexpected(format!(
                    "the interface {} did not come back to this namespace free of XDP programs",
                    self.name
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The name under which it is here now.
    fn find(&self) -> Option<String> {
        fs::read_dir(INTERFACES)
            .ok()?
            .flatten()
            .find(|entry| {
                fs::canonicalize(entry.path().join("device")).is_ok_and(|own| own == self.device)
            })
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
    }
}
