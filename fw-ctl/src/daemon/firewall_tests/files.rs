//! The files of an operator, and a daemon between them and a kernel.

use super::*;
use crate::daemon::status::Status;

/// Files that a test may change under the daemon.
#[derive(Default)]
pub(super) struct Files {
    pub(super) config: Config,
    pub(super) policy: String,
    pub(super) error: Option<&'static str>,
    pub(super) lists: Vec<Found>,
    /// Texts that were compiled.
    pub(super) compiled: Vec<String>,
}

#[derive(Clone, Default)]
pub(super) struct FakeSources(pub(super) Rc<RefCell<Files>>);

pub(super) fn finding(message: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        source: Arc::new(Source {
            name: "a.yaml".into(),
            text: String::new(),
        }),
        span: None,
        path: String::new(),
        message: message.into(),
        label: None,
        help: None,
    }
}

impl Sources for FakeSources {
    fn config(&self) -> Result<Config, Vec<Diagnostic>> {
        Ok(self.0.borrow().config.clone())
    }
    fn read(&self, config: &Config) -> (Inputs, Vec<Diagnostic>) {
        let files = self.0.borrow();
        let policy = Source {
            name: "a.yaml".into(),
            text: files.policy.clone(),
        };
        let unreadable: Vec<_> = files.error.map(finding).into_iter().collect();
        let inputs = Inputs {
            config: config.clone(),
            node: "n".into(),
            ssh_ports: BTreeSet::new(),
            policies: vec![Arc::new(policy)],
            inventory: vec![],
            lists: vec![],
            expired: 0,
        };
        (inputs, unreadable)
    }
    fn lists(&self, _config: &Config) -> Vec<Found> {
        self.0.borrow().lists.clone()
    }
    fn compile(&self, inputs: Arc<Inputs>, unreadable: Vec<Diagnostic>) -> Result<Compiled, Wrong> {
        let text = inputs.policies[0].text.clone();
        self.0.borrow_mut().compiled.push(text.clone());
        if !unreadable.is_empty() {
            return Err(Wrong::Files(unreadable));
        }
        if text == "wrong" || inputs.lists.iter().any(|list| list.name == "wrong") {
            return Err(Wrong::Files(vec![finding("wrong")]));
        }
        let direction = |allow| DirectionPlan {
            columns: 1,
            ports: std::array::from_fn(|_| vec![0; 65_536]),
            icmp: std::array::from_fn(|_| vec![0; 256]),
            protocols: vec![0; 256],
            cells: vec![match allow {
                true => VerdictWord::allow(0),
                false => VerdictWord::default_deny(0),
            }],
        };
        let ingress = direction(!text.contains("nothing in"));
        Ok(Compiled {
            plan: Plan {
                mode: inputs.config.policy.mode.into(),
                builtins: 0,
                peers: Runs::of(&[]),
                rows: 1,
                vlans: Vec::new(),
                directions: [ingress, direction(true)],
                rules: vec![PlanRule {
                    policy: inputs.policies[0].text.clone(),
                    rule: "ingress[0]".into(),
                    origin: "a.yaml:1".into(),
                    direction: None,
                    allow: true,
                    match_type: "all",
                    rate: None,
                    vlans: None,
                    log: String::new(),
                }],
            },
            policies: 1,
            warnings: vec![],
            rules: Arc::default(),
            groups: Vec::new(),
            cidr_match_mode: CidrMatchMode::World,
            identities: Arc::new(Numbered::new(Identities::default())),
            node_names: BTreeMap::new(),
            node_labels: Arc::default(),
            node_addresses: BTreeSet::new(),
            inputs,
        })
    }
}

pub(super) struct Fixture {
    pub(super) kernel: Fake,
    pub(super) files: FakeSources,
    pub(super) state: tempfile::TempDir,
}

impl Firewall<Fake, FakeSources> {
    /// How it goes, where the files can be read.
    pub(super) fn how(&self) -> Result<Status, Failure> {
        self.status(Some(&Seen::now(&self.sources)))
    }

    /// A rollback, where they can be.
    pub(super) fn back(&mut self, to: Option<u64>, how: &Change) -> Result<Reloaded, Failure> {
        let seen = Seen::now(&self.sources);
        self.rollback(to, how, Some(&seen))
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        let fixture = Self {
            kernel: Fake::default(),
            files: FakeSources::default(),
            state: tempfile::tempdir().unwrap(),
        };
        let mut files = fixture.files.0.borrow_mut();
        files.config.policy.inventory = vec![fixture.state.path().to_owned()];
        drop(files);
        fixture
    }

    /// A daemon that has not started yet; the kernel outlives it.
    pub(super) fn daemon(&self) -> Firewall<Fake, FakeSources> {
        let (names, _) = watch::channel(Arc::new(Names::new("default/n".into())));
        let mut config = self.files.0.borrow().config.clone();
        config.paths.state_dir = self.state.path().to_owned();
        Firewall::new(self.kernel.clone(), self.files.clone(), config, names)
    }

    pub(super) fn break_files(&self, error: Option<&'static str>) {
        self.files.0.borrow_mut().error = error;
    }

    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.kernel.0.borrow_mut().log)
    }

    /// `name mode` of each interface that is filtered.
    pub(super) fn modes(&self) -> Vec<String> {
        let pins = self.kernel.0.borrow();
        let modes = pins.links.iter();
        modes
            .map(|link| format!("{} {}", link.name, link.ingress.name()))
            .collect()
    }

    pub(super) fn links(&self) -> Vec<String> {
        let pins = self.kernel.0.borrow();
        pins.links.iter().map(|link| link.name.clone()).collect()
    }
}

pub(super) fn network(names: &[&str]) -> Network {
    let link = |(index, name): (usize, &&str)| Link {
        index: u32::try_from(index).unwrap() + 2,
        name: (*name).into(),
        up: true,
        ..Link::default()
    };
    Network {
        links: names.iter().enumerate().map(link).collect(),
        addresses: vec![Address {
            link: 2,
            address: "10.0.0.1".parse().unwrap(),
            global: true,
        }],
        ..Network::default()
    }
}

pub(super) fn forced() -> Change {
    Change {
        force: true,
        ..Change::default()
    }
}

/// As the service does it.
impl Firewall<Fake, FakeSources> {
    pub(super) fn start(&mut self, network: Network) -> Result<Reloaded, Failure> {
        self.begin(network);
        self.reload()
    }

    pub(super) fn reload(&mut self) -> Result<Reloaded, Failure> {
        let (look, cause) = if self.started() {
            let refusal = self.refusal();
            let look = Look::take(&self.sources, &self.confirmed, refusal.as_ref());
            (look, "reload")
        } else {
            (Look::first(&self.sources, &self.confirmed), START)
        };
        self.apply(look, true, &Change::default(), cause)
    }

    /// A reload whatever it cuts.
    pub(super) fn reload_by_force(&mut self) -> Result<Reloaded, Failure> {
        let look = Look::take(&self.sources, &self.confirmed, self.refusal().as_ref());
        self.apply(look, true, &forced(), "reload")
    }

    /// A reload that is to be confirmed within a minute.
    pub(super) fn reload_on_trial(&mut self) -> Result<Reloaded, Failure> {
        let look = Look::take(&self.sources, &self.confirmed, self.refusal().as_ref());
        let change = Change {
            confirm: Some(60),
            ..Change::default()
        };
        self.apply(look, true, &change, "reload")
    }
}
