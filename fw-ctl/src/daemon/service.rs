//! Brings the [`Firewall`] its requests: control socket, netlink, signals,
//! watchdog. One at a time; only looking at the files goes on beside, so that the
//! brake and `status` never wait for it.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::{sleep, sleep_until};

use super::firewall::START;
use super::glance::Glance;
use super::manager::Manager;
use super::reloads::{Asker, Reloads, Scope, Taken, Wish};
use super::status::{
    Banned, Bans, Confirmation, Detached, JournalStatus, ModeStatus, Reloaded, Rules, Status,
    Unbanned,
};
use super::watch::ListWatch;
use super::{Firewall, Kernel, ListLook, Look, Seen, Sources};
use crate::audit;
use crate::control::protocol::{Failure, Request};
use crate::control::server::Call;
use crate::exit;
use crate::lists::moment;
use crate::metrics::Numbers;
use crate::netlink::{NetlinkError, Network, Watcher};
use crate::peers::Peers;
use crate::trace::Trace;
use crate::why::why;

/// Between two checks where no watchdog asks for more.
const CHECK: Duration = Duration::from_secs(30);
/// Checks in the time that the watchdog gives: a long change between two of them must not look
/// as if the daemon hung.
const CHECKS: u32 = 4;

/// Questions wait so long for the first plan: who asks a daemon that has just
/// started wants to know how it goes then. Changes never wait.
const STARTING: Duration = Duration::from_secs(5);

/// The network waits so long for the first plan of all, where nothing was ever accepted. A
/// failed firewall must not keep the machine off it.
const READY: Duration = Duration::from_secs(30);

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
    let mut service = Service {
        firewall,
        manager: Manager::default(),
        reloads: Reloads::default(),
        glance: Glance::default(),
        lists: ListWatch::new(),
        held: Vec::new(),
        late: false,
        checked: Instant::now(),
        every: sd_notify::watchdog_enabled().map_or(CHECK, |limit| limit / CHECKS),
    };
    if service.firewall.judges() {
        // Before the operator's files are read: they may be on a file system that
        // waits for the network, which waits for this.
        service.ready();
    }
    service.reloads.ask(Asker::signal(START));
    service.check();
    let mut listening = true;
    let mut patience = pin!(sleep(STARTING));
    let mut ready = pin!(sleep(READY));
    loop {
        let Service {
            firewall,
            manager,
            reloads,
            glance,
            lists,
            late,
            checked,
            every,
            ..
        } = &mut service;
        reloads.next(looking(firewall));
        let sources = firewall.sources().clone();
        glance.next(move || Seen::now(&sources));
        let next = *checked + *every;
        let may_watch = firewall.inputs().is_some() && firewall.trial_ends().is_none();
        tokio::select! {
            look = reloads.look() => service.looked(look),
            (calls, seen) = glance.done() => service.seen(calls, seen.as_ref()),
            Some(call) = calls.recv() => service.called(call),
            () = lists.due(firewall.inputs()), if may_watch => reloads.lists_changed(),
            () = &mut patience, if !*late => service.is_late(),
            () = &mut ready, if !manager.is_ready() => service.ready(),
            more = watcher.changed(), if listening => {
                listening = more;
                service.network(more, watcher.network().await);
            }
            _ = hangup.recv() => {
                manager.reloading();
                reloads.ask(Asker::signal("SIGHUP"));
            }
            () = until(firewall.trial_ends()) => service.trial_ends(),
            () = until(Some(next)) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
        // Not as one of many above: after a long change it comes first.
        service.check_after(service.every);
    }
    block_in_place(|| service.firewall.count_at_end());
    block_in_place(|| service.firewall.keep_ledger(true));
    let stopped = service.firewall.farewell();
    Manager::stopping(stopped);
    tracing::info!("{stopped}");
    Ok(())
}

/// What the loop above works on.
struct Service<K, S> {
    firewall: Firewall<K, S>,
    manager: Manager,
    reloads: Reloads,
    glance: Glance,
    lists: ListWatch,
    /// Questions that wait for the first plan.
    held: Vec<Call>,
    /// They wait no longer.
    late: bool,
    /// When the kernel was last compared with what was installed.
    checked: Instant,
    /// How often it is.
    every: Duration,
}

impl<K: Kernel, S: Sources> Service<K, S> {
    /// A look at the files has ended.
    fn looked(&mut self, look: Result<Taken, Failure>) {
        // The change may take long: the watchdog is to count from its beginning.
        self.check_after(self.every / 4);
        let (asked, wish, attach) = self.reloads.take();
        let (firewall, lists) = (&mut self.firewall, &mut self.lists);
        let Some(value) = block_in_place(|| apply(firewall, look, wish, attach, lists)) else {
            return self.tell();
        };
        // What was noted for them may be taken back by now.
        for change in self.reloads.waiting() {
            self.firewall.foresee(change);
        }
        let value = value.map(Answer::Reloaded);
        log(&value);
        log_state(&self.firewall);
        if self.reloads.idle() || !self.manager.is_ready() {
            self.ready();
        } else {
            // Somebody waits for the next one.
            self.tell();
        }
        let value = value.and_then(Answer::json);
        for asker in asked {
            asker.tell(value.clone());
        }
        self.serve_held();
    }

    fn called(&mut self, call: Call) {
        match call.request {
            Request::Reload(change) => {
                self.manager.reloading();
                self.firewall.foresee(&change);
                self.reloads.ask(Asker::client(call.answer, change));
            }
            // It tells how it goes now, and nobody sits before it.
            Request::Metrics => self.serve(call),
            _ if !call.request.changes() && !self.firewall.started() && !self.late => {
                self.held.push(call);
            }
            _ => {
                if call.request == Request::Detach {
                    self.reloads.leave_open();
                }
                self.serve(call);
            }
        }
    }

    /// The first look takes longer than anybody should wait.
    fn is_late(&mut self) {
        self.late = true;
        if !self.firewall.started() {
            block_in_place(|| self.firewall.resume());
            self.tell();
        }
        self.serve_held();
    }

    /// Links or addresses have changed; `more`: there may be other changes after it.
    fn network(&mut self, more: bool, network: Result<Network, NetlinkError>) {
        if !more {
            tracing::error!("netlink is closed: changes of links and addresses are missed");
        }
        match network {
            Ok(network) => {
                if block_in_place(|| self.firewall.network_changed(network)) {
                    log_state(&self.firewall);
                }
            }
            Err(error) => tracing::warn!("{error}"),
        }
        self.tell();
    }

    fn trial_ends(&mut self) {
        if block_in_place(|| self.firewall.end_trial()) {
            log_state(&self.firewall);
        }
        self.tell();
    }

    /// Checks, unless that was done less than so long ago.
    fn check_after(&mut self, age: Duration) {
        if self.checked.elapsed() >= age {
            self.check();
        }
    }

    fn check(&mut self) {
        let sound = block_in_place(|| {
            self.firewall.keep_ledger(false);
            self.firewall.check()
        });
        self.checked = Instant::now();
        self.tell();
        if sound {
            Manager::alive();
        }
    }

    fn serve_held(&mut self) {
        for call in std::mem::take(&mut self.held) {
            self.serve(call);
        }
    }

    fn serve(&mut self, call: Call) {
        match call.request {
            Request::Status if !self.firewall.has_looked() => self.answer(call, None),
            Request::Status | Request::Rollback { .. } => self.glance.ask(call),
            _ => self.answer(call, None),
        }
    }

    /// The files were read for those who asked how it goes, or do not answer.
    fn seen(&mut self, calls: Vec<Call>, seen: Option<&Seen>) {
        for call in calls {
            self.answer(call, seen);
        }
    }

    fn answer(&mut self, call: Call, seen: Option<&Seen>) {
        block_in_place(|| serve_call(&mut self.firewall, call, seen));
    }

    fn ready(&mut self) {
        self.manager.ready(&self.firewall.headline());
    }

    /// Tells the service manager how it goes.
    fn tell(&self) {
        Manager::status(&self.firewall.headline());
    }
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
        _ => {
            let began = Instant::now();
            let look = match first {
                true => Look::first(&sources, &store),
                false => Look::take(&sources, &store, refusal.as_ref()),
            };
            let took = began.elapsed();
            Taken::All(Box::new(Look { took, ..look }))
        }
    })
}

/// Puts in force what a look found; `None` for lists alone, which nobody waits for.
fn apply<K: Kernel, S: Sources>(
    firewall: &mut Firewall<K, S>,
    look: Result<Taken, Failure>,
    wish: Option<Wish>,
    attach: bool,
    lists: &mut ListWatch,
) -> Option<Result<Reloaded, Failure>> {
    let value = match look {
        Ok(Taken::All(look)) => {
            if look.again {
                lists.again();
            }
            let wish = wish.unwrap_or_else(Wish::none);
            let value = firewall.apply(*look, attach, &wish.change, wish.cause);
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

/// Waits for a moment; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Answers one call; `seen` is what the files say now, where it has to know.
fn serve_call<K: Kernel, S: Sources>(
    firewall: &mut Firewall<K, S>,
    call: Call,
    seen: Option<&Seen>,
) {
    firewall.end_trial();
    let value = answer(firewall, &call, seen);
    if call.request.changes() {
        log(&value);
        // A program may ban by the minute, and how links are filtered stays.
        if !matches!(call.request, Request::Ban(_) | Request::Unban { .. }) {
            log_state(firewall);
        }
        Manager::status(&firewall.headline());
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
    Confirmed(Confirmation),
    Journal(JournalStatus),
    Mode(ModeStatus),
    Rules(Rules),
    Detached(Detached),
    Trace(Trace),
    Peers(Box<Peers>),
    Banned(Banned),
    Unbanned(Unbanned),
    Bans(Bans),
    Audit(Box<audit::Answer>),
    Metrics(Box<Numbers>),
}

impl Answer {
    fn json(self) -> Result<serde_json::Value, Failure> {
        match self {
            Self::Status(value) => serde_json::to_value(value),
            Self::Reloaded(value) => serde_json::to_value(value),
            Self::Confirmed(value) => serde_json::to_value(value),
            Self::Journal(value) => serde_json::to_value(value),
            Self::Mode(value) => serde_json::to_value(value),
            Self::Rules(value) => serde_json::to_value(value),
            Self::Detached(value) => serde_json::to_value(value),
            Self::Trace(value) => serde_json::to_value(value),
            Self::Peers(value) => serde_json::to_value(value),
            Self::Banned(value) => serde_json::to_value(value),
            Self::Unbanned(value) => serde_json::to_value(value),
            Self::Bans(value) => serde_json::to_value(value),
            Self::Audit(value) => serde_json::to_value(value),
            Self::Metrics(value) => serde_json::to_value(value),
        }
        .map_err(|error| Failure::new(exit::UNREACHABLE, format!("cannot write JSON: {error}")))
    }
}

fn answer<K: Kernel, S: Sources>(
    firewall: &mut Firewall<K, S>,
    call: &Call,
    seen: Option<&Seen>,
) -> Result<Answer, Failure> {
    Ok(match &call.request {
        Request::Status => Answer::Status(Box::new(firewall.status(seen)?)),
        Request::Mode { set: None, .. } => Answer::Mode(firewall.mode()?),
        Request::Mode {
            set: Some(mode),
            change,
        } => Answer::Mode(firewall.set_mode(*mode, change)?),
        Request::Confirm => Answer::Confirmed(firewall.confirm(call.connected)?),
        Request::Rollback { to, change } => Answer::Reloaded(firewall.rollback(*to, change, seen)?),
        Request::Journal => Answer::Journal(firewall.journal()),
        Request::Rules => {
            firewall.count_rules();
            Answer::Rules(firewall.rules()?)
        }
        Request::Detach => Answer::Detached(firewall.detach()?),
        Request::Trace(flow) => Answer::Trace(firewall.trace(*flow)?),
        Request::Peers(query) => Answer::Peers(Box::new(firewall.peers(query)?)),
        Request::Ban(request) => Answer::Banned(firewall.ban(request)?),
        Request::Unban { addresses } => Answer::Unbanned(firewall.unban(addresses.as_deref())?),
        Request::Bans => Answer::Bans(firewall.bans()),
        Request::Audit => Answer::Audit(Box::new(firewall.audit()?)),
        Request::Metrics => {
            firewall.count_rules();
            Answer::Metrics(Box::new(firewall.numbers()?))
        }
        Request::Monitor
        | Request::Observe(_)
        | Request::Capture(_)
        | Request::AgentEvents(_)
        | Request::Reload(_) => {
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
