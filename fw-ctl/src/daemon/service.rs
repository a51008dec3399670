//! Brings the [`Firewall`] its requests: control socket, netlink, signals,
//! watchdog. One at a time; only looking at the files goes on beside, so that the
//! brake and `status` never wait for it.

use std::pin::pin;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::reloads::{Asker, Reloads, Scope, Taken};
use super::status::{Banned, Bans, Detached, ModeStatus, Reloaded, Rules, Status, Unbanned};
use super::watch::ListWatch;
use super::{Firewall, Kernel, ListLook, Look, Sources};
use crate::control::protocol::{Failure, Request};
use crate::control::server::Call;
use crate::exit;
use crate::lists::moment;
use crate::netlink::Watcher;
use crate::trace::{Context, Trace, trace};
use crate::why::why;

/// Between two checks where no watchdog asks for more.
const CHECK: Duration = Duration::from_secs(30);

/// Questions wait so long for the first plan: who asks a daemon that has just
/// started wants to know how it goes then. Changes never wait.
const STARTING: Duration = Duration::from_secs(5);

/// Starts the firewall and serves until a signal ends it.
///
/// # Errors
/// When the links cannot be listed at the start, or signals cannot be had. A
/// refused plan is no error: the daemon goes on, degraded.
pub async fn serve<K: Kernel, S: Sources + Clone + Send + 'static>(
    mut firewall: Firewall<K, S>,
    mut watcher: Watcher,
    mut calls: mpsc::Receiver<Call>,
) -> Result<(), Failure> {
    let mut hangup = listen(SignalKind::hangup())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let network = watcher
        .network()
        .await
        .map_err(|error| Failure::new(exit::UNREACHABLE, error.to_string()))?;
    block_in_place(|| firewall.begin(network));
    let mut reloads = Reloads::default();
    let mut lists = ListWatch::new();
    reloads.ask(Asker::Signal);
    let mut ticks = interval(sd_notify::watchdog_enabled().map_or(CHECK, |limit| limit / 2));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listening = true;
    let (mut held, mut late) = (Vec::new(), false);
    let mut patience = pin!(sleep(STARTING));
    loop {
        reloads.next(looking(&firewall));
        tokio::select! {
            look = reloads.look() => {
                let (asked, attach) = reloads.take();
                let value = block_in_place(|| apply(&mut firewall, look, attach, &mut lists));
                let Some(value) = value else { continue };
                let value = value.map(Answer::Reloaded);
                log(&value);
                log_state(&firewall);
                // Not yet, if somebody waits for the next one.
                let ready = [NotifyState::Ready];
                tell(&firewall, if reloads.idle() { &ready } else { &[] });
                let value = value.and_then(Answer::json);
                for asker in asked {
                    asker.tell(value.clone());
                }
                for call in held.drain(..) {
                    block_in_place(|| serve_call(&mut firewall, call));
                }
            }
            Some(call) = calls.recv() => match call.request {
                Request::Reload => reloads.ask(Asker::Client(call.answer)),
                _ if !call.request.changes() && !firewall.started() && !late => held.push(call),
                _ => {
                    if call.request == Request::Detach {
                        reloads.leave_open();
                    }
                    block_in_place(|| serve_call(&mut firewall, call));
                }
            },
            () = lists.due(firewall.inputs()), if firewall.inputs().is_some() => {
                reloads.lists_changed();
            }
            () = &mut patience, if !late => {
                late = true;
                for call in held.drain(..) {
                    block_in_place(|| serve_call(&mut firewall, call));
                }
            }
            more = watcher.changed(), if listening => {
                listening = more;
                if !more {
                    tracing::error!("netlink is closed: changes of links and addresses are missed");
                }
                match watcher.network().await {
                    Ok(network) => {
                        if block_in_place(|| firewall.network_changed(network)) {
                            log_state(&firewall);
                        }
                    }
                    Err(error) => tracing::warn!("{error}"),
                }
                tell(&firewall, &[]);
            }
            _ = hangup.recv() => {
                reloading();
                reloads.ask(Asker::Signal);
            }
            _ = ticks.tick() => {
                if block_in_place(|| firewall.check()) {
                    tell(&firewall, &[NotifyState::Watchdog]);
                } else {
                    tell(&firewall, &[]);
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping; the node stays filtered (`fw-ctl detach` opens it)");
    Ok(())
}

/// The next look, to be taken beside.
fn looking<K: Kernel, S: Sources + Clone + Send + 'static>(
    firewall: &Firewall<K, S>,
) -> Box<dyn FnOnce(Scope) -> Taken + Send> {
    let (sources, store) = (firewall.sources().clone(), firewall.store().clone());
    let (refusal, refused) = (firewall.refusal(), firewall.refused_lists());
    let (base, first) = (firewall.inputs().cloned(), !firewall.started());
    Box::new(move |scope| match (scope, base) {
        (Scope::Lists, Some(base)) => {
            let look = ListLook::take(&sources, &store, base, refused.as_ref(), moment::now());
            Taken::Lists(Box::new(look))
        }
        // Lists alone are looked at only while there is a plan with them.
        _ if first => Taken::All(Box::new(Look::first(&sources, &store))),
        _ => Taken::All(Box::new(Look::take(&sources, &store, refusal.as_ref()))),
    })
}

/// Puts in force what a look found; `None` for lists alone, which nobody waits for.
fn apply<K: Kernel, S: Sources>(
    firewall: &mut Firewall<K, S>,
    look: Result<Taken, Failure>,
    attach: bool,
    lists: &mut ListWatch,
) -> Option<Result<Reloaded, Failure>> {
    let value = match look {
        Ok(Taken::All(look)) => {
            if look.again {
                lists.again();
            }
            let value = firewall.apply(*look, attach);
            give_back_memory();
            Some(value)
        }
        Ok(Taken::Lists(look)) => {
            if look.again {
                lists.again();
            }
            if firewall.apply_lists(*look) {
                give_back_memory();
                for problem in firewall.problems() {
                    tracing::error!("{problem}");
                }
                tell(firewall, &[]);
            }
            None
        }
        Err(failure) => Some(Err(failure)),
    };
    lists.watch(firewall.config());
    value
}

/// Compiling a million prefixes takes twice the memory that their plan takes, which
/// glibc would keep for the next time.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and gives only pages back that nothing is in.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::new(
            exit::UNREACHABLE,
            format!("cannot listen for signals: {}", why(&error)),
        )
    })
}

/// Answers one call.
fn serve_call<K: Kernel, S: Sources>(firewall: &mut Firewall<K, S>, call: Call) {
    let value = answer(firewall, &call.request);
    if call.request.changes() {
        log(&value);
        // A program may ban by the minute, and how links are filtered stays.
        if !matches!(call.request, Request::Ban(_) | Request::Unban { .. }) {
            log_state(firewall);
        }
        tell(firewall, &[]);
    }
    // A client that did not wait for its answer needs none.
    let _ = call.answer.send(value.and_then(Answer::json));
    if call.request == Request::Status {
        // What it found missing is mended now, not at the next check.
        firewall.guard();
    }
}

/// What a request is answered with.
enum Answer {
    Status(Box<Status>),
    Reloaded(Reloaded),
    Mode(ModeStatus),
    Rules(Rules),
    Detached(Detached),
    Trace(Trace),
    Banned(Banned),
    Unbanned(Unbanned),
    Bans(Bans),
}

impl Answer {
    fn json(self) -> Result<serde_json::Value, Failure> {
        match self {
            Self::Status(value) => serde_json::to_value(value),
            Self::Reloaded(value) => serde_json::to_value(value),
            Self::Mode(value) => serde_json::to_value(value),
            Self::Rules(value) => serde_json::to_value(value),
            Self::Detached(value) => serde_json::to_value(value),
            Self::Trace(value) => serde_json::to_value(value),
            Self::Banned(value) => serde_json::to_value(value),
            Self::Unbanned(value) => serde_json::to_value(value),
            Self::Bans(value) => serde_json::to_value(value),
        }
        .map_err(|error| Failure::new(exit::UNREACHABLE, format!("cannot write JSON: {error}")))
    }
}

fn answer<K: Kernel, S: Sources>(
    firewall: &mut Firewall<K, S>,
    request: &Request,
) -> Result<Answer, Failure> {
    Ok(match request {
        Request::Status => Answer::Status(Box::new(firewall.status()?)),
        Request::Mode { set: None } => Answer::Mode(firewall.mode()?),
        Request::Mode { set: Some(change) } => Answer::Mode(firewall.set_mode(*change)?),
        Request::Rules => Answer::Rules(firewall.rules()?),
        Request::Detach => Answer::Detached(firewall.detach()?),
        Request::Trace(flow) => {
            let (compiled, network) = firewall.plan().ok_or_else(|| {
                Failure::new(
                    exit::UNREACHABLE,
                    "no policy was accepted since the daemon started: there is nothing to trace",
                )
                .help("fw-ctl status names the errors")
            })?;
            let local = network.local_addresses();
            let context = Context {
                ban: &|peer| firewall.ban_of(peer),
                ..compiled.context(&local)
            };
            Answer::Trace(trace(context, *flow))
        }
        Request::Ban(request) => Answer::Banned(firewall.ban(request)?),
        Request::Unban { addresses } => Answer::Unbanned(firewall.unban(addresses.as_deref())?),
        Request::Bans => Answer::Bans(firewall.bans()),
        Request::Monitor | Request::Reload => {
            return Err(Failure::new(
                exit::USAGE,
                "this request is not answered here",
            ));
        }
    })
}

fn log(result: &Result<Answer, Failure>) {
    match result {
        Ok(Answer::Reloaded(reloaded)) => log_reloaded(reloaded),
        Ok(Answer::Mode(mode)) => tracing::info!("mode {} (by {})", mode.mode, mode.source),
        Ok(Answer::Detached(detached)) => {
            tracing::warn!("detached: {}", detached.interfaces.join(", "));
        }
        Ok(
            Answer::Banned(Banned { warnings, .. }) | Answer::Unbanned(Unbanned { warnings, .. }),
        ) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
        }
        Ok(_) => {}
        Err(failure) => tracing::error!("{failure}"),
    }
}

fn log_reloaded(reloaded: &Reloaded) {
    for warning in &reloaded.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!("{reloaded}");
}

/// Everything that is not as it should be, and how each link is filtered.
fn log_state<K: Kernel, S: Sources>(firewall: &Firewall<K, S>) {
    for link in firewall.attached() {
        let ingress = link.ingress.name();
        tracing::info!("{}: ingress {ingress}, egress tc; {}", link.name, link.why);
    }
    for problem in firewall.problems() {
        tracing::error!("{problem}");
    }
}

/// Tells systemd what comes first in `systemctl status`.
fn tell<K: Kernel, S: Sources>(firewall: &Firewall<K, S>, states: &[NotifyState<'_>]) {
    let line = firewall.headline();
    let mut all = vec![NotifyState::Status(&line)];
    all.extend_from_slice(states);
    notify(&all);
}

/// Both in one message: systemd takes a RELOADING without its time for a fault.
fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("cannot tell systemd of the reload: {}", why(&error)),
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell systemd: {}", why(&error));
    }
}
