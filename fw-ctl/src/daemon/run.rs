//! Puts the daemon together.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::pinned::Pinned;
use super::sources::Files;
use super::{ConfirmedStore, Firewall, Lock, Names, ebpf_log, events, service, tap};
use crate::capture::Captures;
use crate::config::{Config, Overrides, Paths};
use crate::control::protocol::Failure;
use crate::control::server;
use crate::control::socket::Served;
use crate::datapath::Datapath;
use crate::metrics::{self, Source};
use crate::netlink::Watcher;
use crate::observe::{Events, Observed};
use crate::why::why;
use crate::{exit, hubble};

/// Flows that are remembered: some two MB.
const HISTORY: usize = 8_192;
/// Requests that wait for the one before them.
const QUEUE: usize = 16;

/// The configuration that was in force last, for a node whose configuration is
/// broken. `paths` are those that the broken one names, in all layers that can be
/// read; if these are not all (`complete`), what is kept knows better where sockets
/// and pins belong, unless flags say it.
#[must_use]
pub fn last_config(overrides: &Overrides, paths: Paths, complete: bool) -> Option<Config> {
    let kept = ConfirmedStore::new(&paths.state_dir).load().confirmed?;
    let mut config = kept.inputs.config.clone();
    if complete {
        config.paths = paths;
        return Some(config);
    }
    config.paths.state_dir = paths.state_dir;
    if let Some(run_dir) = &overrides.run_dir {
        config.paths.run_dir.clone_from(run_dir);
    }
    if let Some(pin_dir) = &overrides.pin_dir {
        config.paths.pin_dir.clone_from(pin_dir);
    }
    Some(config)
}

/// Runs until a signal ends it.
///
/// # Errors
/// When another daemon is there, or the kernel cannot do what is needed. Wrong
/// policies are no error: the daemon goes on, degraded. `log` (see [`ebpf_log`]): what the
/// programs say is printed.
pub fn run(config: Config, overrides: Overrides, log: bool) -> Result<(), Failure> {
    let paths = &config.paths;
    let _lock = Lock::take(&paths.run_dir)?;
    let _state = Lock::take_state(&paths.state_dir, &[&paths.run_dir, &paths.pin_dir])?;
    let mut datapath = Datapath::open(&config.paths.pin_dir)?;
    let reader = datapath.events()?;
    let tap = datapath.tap()?;
    ebpf_log::start(log, &mut datapath)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                exit::UNREACHABLE,
                format!("cannot start threads: {}", why(&error)),
            )
        })?;
    let served = runtime.block_on(async {
        let watcher =
            Watcher::open().map_err(|error| Failure::new(exit::UNREACHABLE, error.to_string()))?;
        let node = format!("{}/{}", config.policy.cluster_name, config.node_name());
        let (names, known) = watch::channel(Arc::new(Names::new(node.clone())));
        let observed = Arc::new(Observed::new(HISTORY, &node));
        let captures = Arc::new(Captures::new(tap::opener(tap, known.clone())));
        let (calls, requests) = mpsc::channel(QUEUE);
        let (paths, remote) = (config.paths.clone(), config.hubble.remote());
        let files = Files {
            overrides,
            lists: Arc::default(),
        };
        let firewall = Firewall::new(Pinned::new(datapath), files, config, names);
        let events = Events {
            observed: Arc::clone(&observed),
            agent: firewall.agent(),
            captures: Arc::clone(&captures),
        };
        let _server = server::serve(&paths.control_socket(), calls.clone(), events.clone())?;
        let _hubble = hubble(&paths.hubble_socket(), &events);
        let _remote = remote.map(|(at, files)| hubble::serve_remote(at, files, events));
        let source = Source {
            calls,
            observed: Arc::clone(&observed),
            settings: firewall.metrics(),
        };
        let _metrics = metrics::serve(source, firewall.listening());
        tokio::spawn(events::pump(
            reader,
            known,
            observed,
            captures,
            firewall.recent(),
        ));
        Box::pin(service::serve(firewall, watcher, requests)).await
    });
    // Files that are being compiled keep nobody from ending.
    runtime.shutdown_background();
    served
}

/// Serves Hubble's API, if that is possible: it is no reason not to filter.
fn hubble(path: &Path, events: &Events) -> Option<Served> {
    let served = hubble::serve(path, events);
    served
        .inspect_err(|failure| tracing::error!("{failure}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::plan::Mode;
    use crate::daemon::{Confirmed, Event, Inputs};

    #[test]
    fn the_last_configuration_is_found_by_the_paths_of_the_broken_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.paths.run_dir = "/kept".into();
        let inputs = Arc::new(Inputs {
            config,
            node: "n1".into(),
            ssh_ports: [22].into(),
            policies: Vec::new(),
            inventory: Vec::new(),
            lists: Vec::new(),
            expired: 0,
        });
        let store = ConfirmedStore::new(dir.path());
        let confirmed = Confirmed {
            number: 1,
            mode: Mode::Audit,
            inputs,
            event: Event::default(),
        };
        store.save(&confirmed).unwrap();
        let paths = Paths {
            state_dir: dir.path().to_owned(),
            run_dir: "/named".into(),
            pin_dir: "/pins".into(),
        };
        let flags = Overrides::default();
        let last = last_config(&flags, paths.clone(), true).unwrap();
        assert_eq!(last.paths, paths);
        let last = last_config(&flags, paths, false).unwrap();
        assert_eq!(last.paths.state_dir, dir.path());
        assert_eq!(last.paths.run_dir, std::path::Path::new("/kept"));
        let elsewhere = Paths {
            state_dir: dir.path().join("none"),
            ..Paths::default()
        };
        assert!(last_config(&flags, elsewhere, true).is_none());
    }
}
