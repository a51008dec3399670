//! The lab of a round, with everything that goes on in it, and what a fault needs to be
//! injected: each action notes in the timeline which plans packets may meet meanwhile.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sandbox::{
    Daemon, DaemonFiles, Error, FwCtl, Lab, Result, Servers, Settings, WorkDir, inventory, tcp,
};

use super::connections::{self, Connections};
use super::dice::Dice;
use super::files;
use super::flows::{self, Flow};
use super::journal::Entry;
use super::oracle::Oracle;
use super::policies;
use super::resent::Resent;
use super::storage::Storage;
use super::stream::{Stream, hurried};
use super::timeline::{Clock, Nanos, Order, PlanId, Timeline};

/// A round. Fields are dropped in order: what sends first, the lab last.
pub struct World {
    /// The packets.
    pub stream: Stream,
    /// The connections that were there before.
    pub connections: Connections,
    pub(super) daemon: Option<Daemon>,
    _servers: Vec<Servers>,
    /// The program that is started next.
    pub fw_ctl: FwCtl,
    /// One with another schema, to upgrade to.
    pub next: Option<FwCtl>,
    /// Chance of the present fault.
    pub dice: Dice,
    /// The clock of everything.
    pub clock: Clock,
    /// Which plans packets may meet.
    pub timeline: Timeline,
    /// What plans say.
    pub oracle: Oracle,
    /// All flows.
    pub flows: Vec<Flow>,
    /// What may be in force now, the older first.
    pub(super) in_force: Vec<PlanId>,
    /// The files as they are to be after the fault.
    pub(super) varying: String,
    /// Configuration, likewise.
    pub(super) config: String,
    /// State and run directory.
    pub storage: Storage,
    /// Entries of the journal that the fault has damaged or removed, by file.
    pub damaged: BTreeSet<String>,
    /// Entries that were seen since the fault began.
    pub(super) seen: BTreeSet<Entry>,
    /// Generations that commands have made since, and of which plan.
    pub(super) made: Vec<(u64, PlanId)>,
    /// What was not as it must be.
    pub complaints: Vec<String>,
    /// When the cause of the trouble was over.
    pub(super) over: Option<Nanos>,
    /// What TCP had sent again by the last look.
    resent: Resent,
    /// How ingress is attached: `interfaces.xdp`.
    pub xdp: &'static str,
    /// Everything else.
    pub lab: Lab,
    _stage: WorkDir,
}

/// What is common to all rounds.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program under test.
    pub fw_ctl: PathBuf,
    /// The same with another schema.
    pub next: Option<PathBuf>,
}

impl World {
    /// Builds the lab, starts the daemon with a first plan, and lets packets flow.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn new(programs: &Programs, xdp: &'static str, mut dice: Dice) -> Result<Self> {
        let stage = WorkDir::new()?;
        // Before the lab: its node takes the mounts of this moment along.
        let storage = Storage::mount(stage.path())?;
        let lab = Lab::new()?;
        let settings = Settings {
            node: inventory::NODE,
            mode: "enforce",
            include: "eth0",
            xdp,
        };
        let mut files = DaemonFiles::new(&lab, &settings)?;
        files.state.clone_from(&storage.state);
        files.run.clone_from(&storage.run);
        let config = files::read(&files.config)?;
        let fw_ctl = FwCtl::new(&lab, &programs.fw_ctl, files.clone())?;
        let next = match &programs.next {
            Some(next) => Some(FwCtl::new(&lab, next, files)?),
            None => None,
        };
        let flows = flows::all();
        let servers = lab.on_segment().into_iter().map(|host| {
            // What answers connections goes first, too.
            hurried(|| Servers::start(host, &[tcp(connections::PORT)]))
        });
        let servers = servers.collect::<Result<_>>()?;
        let clock = Clock::start();
        let mut oracle = Oracle::new(&lab, &flows)?;
        let varying = policies::varying(&mut dice, &lab);
        files::mend(&lab, &fw_ctl, &varying, &config)?;
        let plan = oracle.plan(&fw_ctl)?.ok_or_else(|| {
            Error::Unexpected("the reference refuses the policies of the run".into())
        })?;
        let daemon = fw_ctl.start()?;
        let connections = Connections::open(&lab)?;
        Ok(Self {
            stream: Stream::start(&lab, &flows, clock)?,
            connections,
            daemon: Some(daemon),
            _servers: servers,
            fw_ctl,
            next,
            dice,
            clock,
            timeline: Timeline::new(Order::of(plan)),
            oracle,
            flows,
            in_force: vec![plan],
            varying,
            config,
            storage,
            damaged: BTreeSet::new(),
            seen: BTreeSet::new(),
            made: Vec::new(),
            complaints: Vec::new(),
            over: None,
            resent: Resent::default(),
            xdp,
            lab,
            _stage: stage,
        })
    }

    /// The file of policies that differs from plan to plan.
    #[must_use]
    pub fn varying_file(&self) -> PathBuf {
        self.fw_ctl.files().policies.join("varying.yaml")
    }

    /// The inventory.
    #[must_use]
    pub fn inventory_file(&self) -> PathBuf {
        self.fw_ctl.files().inventory.join("cluster.yaml")
    }

    /// The running daemon.
    ///
    /// # Errors
    /// When there is none.
    pub fn daemon(&mut self) -> Result<&mut Daemon> {
        let none = || Error::Unexpected("the daemon does not run".into());
        self.daemon.as_mut().ok_or_else(none)
    }

    /// Notes what is not as it must be.
    pub fn complain(&mut self, what: impl Into<String>) {
        self.complaints.push(what.into());
    }

    /// Notes it unless `is`.
    pub fn require(&mut self, is: bool, what: impl FnOnce() -> String) {
        if !is {
            self.complain(what());
        }
    }

    /// From now on packets meet what may be in force, or `also`.
    pub fn in_doubt(&mut self, also: Option<PlanId>) {
        self.in_doubt_since(Nanos::MAX, also);
    }

    /// The same since `moment`, if that is over: something has held us up meanwhile.
    pub fn in_doubt_since(&mut self, moment: Nanos, also: Option<PlanId>) {
        self.in_force.extend(also);
        self.in_force = Order::any(std::mem::take(&mut self.in_force)).plans;
        self.note(moment, Order::any(self.in_force.clone()));
    }

    /// What is in force may not be known, but nobody changes it from now on.
    pub fn nobody_changes(&mut self) {
        let order = Order {
            single: self.in_force.len() > 1,
            ..Order::any(self.in_force.clone())
        };
        self.note(Nanos::MAX, order);
    }

    /// `plan` is in force.
    pub fn settle(&mut self, plan: PlanId) {
        self.settle_any(vec![plan]);
    }

    /// One of these is in force, as before.
    pub fn settle_any(&mut self, plans: Vec<PlanId>) {
        self.in_force = plans;
        self.nobody_changes();
    }

    /// What may be in force.
    #[must_use]
    pub fn possible(&self) -> Vec<PlanId> {
        self.in_force.clone()
    }

    /// `work` is done while the way of the packets is cut; when this returns, it is whole
    /// again. That a packet passes which must not is wrong all the same. The node sends
    /// none: it could send them from an address that is not its own now.
    ///
    /// # Errors
    /// When the work cannot be done, or no packet comes through afterwards.
    pub fn while_severed(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.stream.mute_node();
        self.sever(true);
        work(self)?;
        self.stream.unmute_node()?;
        self.stream.await_path(&self.flows)?;
        self.sever(false);
        self.connections.excuse();
        Ok(())
    }

    fn sever(&mut self, severed: bool) {
        let last = self.timeline.last().clone();
        self.timeline
            .change(self.clock.now(), Order { severed, ..last });
    }

    /// Somebody has taken the filter away, or it is there again.
    pub fn open(&mut self, open: bool) {
        let last = self.timeline.last().clone();
        self.timeline
            .change(self.clock.now(), Order { open, ..last });
    }

    /// These plans are possible from now on, or since a moment before.
    fn note(&mut self, since: Nanos, order: Order) {
        let Order { severed, open, .. } = *self.timeline.last();
        let order = Order {
            severed,
            open,
            ..order
        };
        self.timeline.change(self.clock.now().min(since), order);
    }

    /// What TCP has sent again, of all hosts, since the last time.
    pub fn resent(&mut self) -> Resent {
        let hosts = self.lab.on_segment();
        let all = Resent::of(hosts.iter().map(|host| &host.namespace));
        all.since(std::mem::replace(&mut self.resent, all))
    }
}
