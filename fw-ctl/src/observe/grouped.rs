//! Which CIDR groups an address of the world is in, as one of Cilium's labels.

use std::net::IpAddr;
use std::sync::Arc;

use super::identity::{Identify, Identity, WORLD};
use crate::policy::schema::CidrGroup;

/// What Cilium labels identities of prefixes with that are in a group, before its name.
const LABEL: &str = "cidrgroup:io.cilium.policy.cidrgroupname/";

/// Identities, and for the world the CIDR groups.
pub struct Grouped {
    identities: Arc<dyn Identify + Send + Sync>,
    groups: Vec<Arc<CidrGroup>>,
}

impl Grouped {
    /// By these groups.
    #[must_use]
    pub fn new(identities: Arc<dyn Identify + Send + Sync>, groups: Vec<Arc<CidrGroup>>) -> Self {
        Self { identities, groups }
    }
}

impl Identify for Grouped {
    fn identity(&self, address: IpAddr) -> Arc<Identity> {
        let identity = self.identities.identity(address);
        let holds = |group: &CidrGroup| group.prefixes.find(address, group.now).is_some();
        in_groups(identity, &self.groups, holds)
    }

    fn pod(&self, address: IpAddr) -> Option<&str> {
        self.identities.pod(address)
    }
}

/// The identity with a label of each group that `holds` who has it, if it is the world's. The
/// number stays: a group is no identity of its own here.
#[must_use]
pub fn in_groups(
    identity: Arc<Identity>,
    groups: &[Arc<CidrGroup>],
    holds: impl Fn(&CidrGroup) -> bool,
) -> Arc<Identity> {
    if identity.number != WORLD {
        return identity;
    }
    let groups = groups.iter().filter(|group| holds(group));
    let mut labels: Vec<_> = groups
        .map(|group| format!("{LABEL}{}", group.name))
        .collect();
    if labels.is_empty() {
        return identity;
    }
    labels.extend(identity.labels.iter().cloned());
    labels.sort_unstable();
    Arc::new(Identity {
        number: identity.number,
        labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Identities;
    use crate::lists::Prefixes;
    use crate::observe::Numbered;
    use crate::policy::label::{Label, LabelSet};

    fn group(name: &str, prefix: &str) -> Arc<CidrGroup> {
        let prefixes = Prefixes::of([(prefix.parse().unwrap(), 1)]);
        Arc::new(CidrGroup {
            name: name.into(),
            labels: std::collections::BTreeMap::new(),
            file: "groups.yaml".into(),
            line: Some(1),
            prefixes: Arc::new(prefixes),
            now: 0,
        })
    }

    #[test]
    fn who_is_of_the_world_is_in_every_group_that_holds_the_address() {
        let known: LabelSet = [Label::parse("k8s:app=web")].into_iter().collect();
        let known = ("192.0.2.7/32".parse().unwrap(), Arc::new(known));
        let identities = Arc::new(Numbered::new(Identities::new([known])));
        let groups = vec![group("wide", "192.0.2.0/24"), group("one", "192.0.2.1/32")];
        let grouped = Grouped::new(identities, groups);
        let of = |address: &str| grouped.identity(address.parse().unwrap());
        assert_eq!(
            of("192.0.2.1").labels,
            [
                "cidrgroup:io.cilium.policy.cidrgroupname/one",
                "cidrgroup:io.cilium.policy.cidrgroupname/wide",
                "reserved:world",
            ]
        );
        assert_eq!(of("192.0.2.1").name(), "world");
        assert_eq!(of("192.0.2.2").labels.len(), 2);
        assert_eq!(of("198.51.100.1").labels, ["reserved:world"]);
        assert_eq!(of("192.0.2.7").labels, ["k8s:app=web"]);
    }
}
