//! A kernel of memory.

use super::*;

/// What the kernel keeps; shared by the daemons that come and go.
#[derive(Default)]
pub(super) struct Pins {
    pub(super) active: Option<InForce>,
    pub(super) tables: [u8; 16],
    pub(super) links: Vec<AttachedLink>,
    pub(super) addresses: LocalAddresses,
    /// What was done, in order.
    pub(super) log: Vec<String>,
    pub(super) full: bool,
    /// So many of the next plans differ by few addresses from those before them.
    pub(super) amendable: u32,
    /// Links that somebody has detached, by index.
    pub(super) lost: BTreeSet<u32>,
    /// Somebody has removed the pins of the tables.
    pub(super) unpinned: bool,
    pub(super) bans: BTreeMap<IpAddr, u64>,
    pub(super) foreign: Option<&'static str>,
    pub(super) no_native: bool,
    pub(super) pressure: Pressure,
}

impl Pins {
    /// The plan is in force from now on.
    fn hold(&mut self, plan: &Plan, number: u64, how: &str) -> InForce {
        let in_force = InForce {
            number,
            hash: fake_hash(plan),
            mode: plan.mode,
        };
        self.active = Some(in_force);
        self.tables = in_force.hash;
        self.log.push(format!("{how} {number}"));
        in_force
    }
}

#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Rc<RefCell<Pins>>);

pub(super) fn fake_hash(plan: &Plan) -> [u8; 16] {
    let mut hash = [0; 16];
    hash[0] = u8::from(plan.mode == Mode::Enforce) + 1;
    hash[1] = plan.rules[0].policy.len().try_into().unwrap();
    hash
}

impl Kernel for Fake {
    fn active(&self) -> Result<Option<InForce>, Failure> {
        Ok(self.0.borrow().active)
    }
    fn install(&mut self, plan: &Plan, number: u64) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the plan does not fit"));
        }
        Ok(pins.hold(plan, number, "install"))
    }
    fn amend(&mut self, old: &Plan, plan: &Plan, number: u64) -> Result<Option<InForce>, Failure> {
        let mut pins = self.0.borrow_mut();
        let Some(left) = pins.amendable.checked_sub(1) else {
            return Ok(None);
        };
        pins.amendable = left;
        assert_eq!(pins.active.map(|active| active.hash), Some(fake_hash(old)));
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the table is full"));
        }
        Ok(Some(pins.hold(plan, number, "amend")))
    }
    fn set_mode(&mut self, mode: Mode) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the tables cannot be written"));
        }
        let Some(active) = &mut pins.active else {
            return Err(Failure::new(exit::REFUSED, "no plan is in force"));
        };
        active.mode = mode;
        active.hash[0] = u8::from(mode == Mode::Enforce) + 1;
        let in_force = *active;
        pins.tables = in_force.hash;
        pins.log.push(format!("mode {mode:?}"));
        Ok(in_force)
    }
    fn read_back(&self) -> Result<[u8; 16], Failure> {
        Ok(self.0.borrow().tables)
    }
    fn hash(&self, plan: &Plan) -> [u8; 16] {
        fake_hash(plan)
    }
    fn set_local_addresses(
        &mut self,
        addresses: &LocalAddresses,
        _anew: bool,
    ) -> Result<(), Failure> {
        let mut pins = self.0.borrow_mut();
        pins.addresses = addresses.clone();
        pins.log.push("addresses".into());
        Ok(())
    }
    fn attach(&mut self, link: &Link, wish: &Wish) -> Result<AttachedLink, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.foreign == Some(link.name.as_str()) {
            return Err(Failure::new(
                exit::REFUSED,
                "interface eth0: XDP program 17 is attached already",
            )
            .help("remove it"));
        }
        let (ingress, why) = match wish {
            Wish::Auto | Wish::Native if pins.no_native => {
                (Ingress::Tc, "the driver has no XDP".to_owned())
            }
            Wish::Auto | Wish::Native => (Ingress::XdpNative, String::new()),
            Wish::Generic => (Ingress::XdpGeneric, String::new()),
            Wish::Tc(why) => (Ingress::Tc, why.clone()),
        };
        let attached = AttachedLink {
            index: link.index,
            name: link.name.clone(),
            ingress,
            why,
        };
        pins.links.retain(|old| old.index != link.index);
        pins.links.push(attached.clone());
        pins.lost.remove(&link.index);
        pins.log.push(format!("attach {}", link.name));
        Ok(attached)
    }
    fn attached(&self) -> Vec<AttachedLink> {
        self.0.borrow().links.clone()
    }
    fn lost(&self) -> Vec<(AttachedLink, String)> {
        let pins = self.0.borrow();
        let lost = pins.links.iter().filter(|l| pins.lost.contains(&l.index));
        lost.map(|link| (link.clone(), "its XDP program was detached".into()))
            .collect()
    }
    fn repin(&mut self) -> Result<bool, Failure> {
        let mut pins = self.0.borrow_mut();
        let unpinned = std::mem::take(&mut pins.unpinned);
        if unpinned {
            pins.log.push("repin".into());
        }
        Ok(unpinned)
    }
    fn detach(&mut self, index: u32) -> Result<(), Failure> {
        let mut pins = self.0.borrow_mut();
        pins.links.retain(|link| link.index != index);
        pins.log.push(format!("detach {index}"));
        Ok(())
    }
    fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the table is full"));
        }
        pins.bans.insert(address, until);
        Ok(())
    }
    fn unban(&mut self, address: IpAddr) -> Result<(), Failure> {
        self.0.borrow_mut().bans.remove(&address);
        Ok(())
    }
    fn bans(&self) -> BTreeMap<IpAddr, u64> {
        self.0.borrow().bans.clone()
    }
    fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, Failure> {
        let tally = Tally {
            packets: 3,
            bytes: 180,
        };
        Ok(vec![
            (Direction::Ingress, Counter::Allowed, tally),
            (Direction::Egress, Counter::Allowed, Tally::default()),
        ])
    }
    fn rule_counters(&self, rules: usize) -> Result<Vec<RuleTally>, Failure> {
        Ok(vec![RuleTally::default(); rules])
    }
    fn lost_events(&self) -> Result<u64, Failure> {
        Ok(0)
    }
    fn pressure(&self) -> Result<Pressure, Failure> {
        Ok(self.0.borrow().pressure)
    }
}
