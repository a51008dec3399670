//! Flags that several commands share.

use std::path::PathBuf;

use clap::Args;

use super::output::{self, Format};
use crate::config::{self, Loaded, Overrides, Paths};
use crate::diagnostic::Diagnostic;

/// `-o table|json`
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// How to print
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub format: Format,
}

/// How to find the daemon.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Configuration file of the daemon
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the daemon's control socket
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}

impl ClientArgs {
    /// The control socket. A broken configuration is no reason not to reach a
    /// daemon that runs: see [`Self::paths`].
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        if let Some(run_dir) = &self.run_dir {
            return run_dir.join(config::CONTROL_SOCKET);
        }
        self.paths().control_socket()
    }

    /// The paths of the configuration, however wrong the rest of it is; the defaults
    /// where it cannot be read at all, which is said.
    #[must_use]
    pub fn paths(&self) -> Paths {
        let overrides = Overrides {
            config: self.config.clone(),
            run_dir: self.run_dir.clone(),
            ..Overrides::default()
        };
        match load(&overrides) {
            Ok(loaded) => loaded.config.paths,
            Err(_) => {
                let (paths, unreadable) = last_paths(&overrides);
                if let Some(file) = unreadable.first() {
                    output::warn(&format!(
                        "{} cannot be read as a configuration, so its `paths` are not known: \
                         trying {} and {}; name others by --run-dir, for detach and mode also by --pin-dir",
                        file.display(),
                        paths.run_dir.display(),
                        paths.pin_dir.display(),
                    ));
                }
                paths
            }
        }
    }
}

/// Every path of an instance.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// Configuration file [default: /etc/fw-ctl/fw-ctl.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Policies: files and directories, in place of `policy.dirs`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// Inventory: files and directories, lists of prefixes (.cidr, .netset, .ipset) among them,
    /// in place of `policy.inventory`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub inventory: Vec<PathBuf>,
    /// Directory of what outlives a reboot, in place of `paths.state_dir`
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Directory of control socket and lock, in place of `paths.run_dir`
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Directory of the pins, on a bpffs, in place of `paths.pin_dir`
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
    /// Name of this node, in place of `node.name`
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
}

impl PathArgs {
    /// As the highest layer of the configuration.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            policies: self.policies.clone(),
            inventory: self.inventory.clone(),
            state_dir: self.state_dir.clone(),
            run_dir: self.run_dir.clone(),
            pin_dir: self.pin_dir.clone(),
            node: self.node.clone(),
        }
    }
}

/// Reads the configuration with the environment of this process.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(overrides: &Overrides) -> Result<Loaded, Vec<Diagnostic>> {
    config::load(overrides, environment())
}

/// The paths of a configuration that [`load`] refuses; see [`config::paths`].
pub fn last_paths(overrides: &Overrides) -> (Paths, Vec<PathBuf>) {
    config::paths(overrides, environment())
}

pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// For tests of one command's flags: those of `A`, read from a command line without the name
/// of the command.
#[cfg(test)]
pub fn parsed<A: Args>(
    arguments: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<A, clap::Error> {
    let command = A::augment_args(clap::Command::new("fw-ctl").no_binary_name(true));
    A::from_arg_matches(&command.try_get_matches_from(arguments)?)
}
