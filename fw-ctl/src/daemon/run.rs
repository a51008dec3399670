//! Puts the daemon together.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};

use super::pinned::Pinned;
use super::sources::Files;
use super::{Firewall, Lock, ModeStore, Names, events, service};
use crate::config::{Config, Overrides};
use crate::control::protocol::Failure;
use crate::control::server;
use crate::datapath::Datapath;
use crate::exit;
use crate::netlink::Watcher;
use crate::why::why;

/// Verdicts that a slow monitor may be behind before it misses some.
const BACKLOG: usize = 4_096;
/// Requests that wait for the one before them.
const QUEUE: usize = 16;

/// Runs until a signal ends it.
///
/// # Errors
/// When another daemon is there, or the kernel cannot do what is needed. Wrong
/// policies are no error: the daemon goes on, degraded.
pub fn run(config: Config, overrides: Overrides) -> Result<(), Failure> {
    let _lock = Lock::take(&config.paths.run_dir)?;
    let mode = ModeStore::open(&config.paths.state_dir)?;
    let mut datapath = Datapath::open(&config.paths.pin_dir)?;
    let reader = datapath.events()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                exit::UNREACHABLE,
                format!("cannot start threads: {}", why(&error)),
            )
        })?;
    runtime.block_on(async {
        let watcher =
            Watcher::open().map_err(|error| Failure::new(exit::UNREACHABLE, error.to_string()))?;
        let node = format!("{}/{}", config.policy.cluster_name, config.node_name());
        let (names, known) = watch::channel(Arc::new(Names::new(node)));
        let (records, _) = broadcast::channel(BACKLOG);
        let (calls, requests) = mpsc::channel(QUEUE);
        let _server = server::serve(&config.paths.control_socket(), calls, records.clone())?;
        tokio::spawn(events::pump(reader, known, records));
        let firewall = Firewall::new(
            Pinned::new(datapath),
            Files { overrides },
            config,
            mode,
            names,
        );
        service::serve(firewall, watcher, requests).await
    })
}
