//! Links on links: where in a stack of them a packet is judged.

use super::ingress::{Wish, wish};
use super::{Cause, Choice, Demand};
use crate::glob::glob_match;
use crate::netlink::{Framing, Link, Network};

/// Links on links deeper than this are taken for a loop.
const MAX_STACK: u32 = 8;

/// What tunnel drivers make by themselves (`net.core.fb_tunnels_only_for_init_net`).
const FALLBACK_TUNNELS: [&str; 9] = [
    "erspan0", "gre0", "gretap0", "ip6_vti0", "ip6gre0", "ip6tnl0", "ip_vti0", "sit0", "tunl0",
];

/// The links with what is asked of them.
pub(super) struct Stack<'a> {
    network: &'a Network,
    demand: Demand<'a>,
}

/// What becomes of the members of a master.
enum Members {
    /// The master is judged, or they are no business of ours.
    Left(String),
    /// They are judged in its place.
    Judged,
}

impl<'a> Stack<'a> {
    pub(super) fn new(network: &'a Network, demand: Demand<'a>) -> Self {
        Self { network, demand }
    }

    /// What is done with `link`.
    pub(super) fn choice(&self, link: &Link) -> Choice {
        self.choice_at(link, MAX_STACK)
    }

    fn choice_at(&self, link: &Link, depth: u32) -> Choice {
        if link.loopback {
            return leave("loopback");
        }
        if let Some(pattern) = self.excluded_by(link) {
            return leave(format!("excluded by `interfaces.exclude`: {pattern}"));
        }
        let named = self.is_named(link);
        let member = self.master(link).filter(|master| takes_members(master));
        let asked = named || self.has_auto() || member.is_some_and(|master| self.is_asked(master));
        if !asked {
            return leave("not in `interfaces.include`");
        }
        if link.framing == Framing::Other {
            return Choice::Leave {
                why: "not filtered: neither an Ethernet header nor IP at once".into(),
                gap: named || link.up,
                cause: Cause::Meant,
            };
        }
        if let Some(index) = link.master {
            match self.network.link(index) {
                Some(master) if master.kind == "vrf" => {}
                Some(master) => match self.members(master, depth) {
                    Members::Judged => return self.member(link, depth),
                    Members::Left(why) if self.is_covered(master, depth) => return judged(why),
                    Members::Left(_) if named => {}
                    Members::Left(why) => return leave(why),
                },
                None if named => {}
                None => return leave(format!("belongs to link {index}")),
            }
        } else if !named && let Some(why) = self.not_by_itself(link) {
            return idle(why, wish(link, self.demand));
        }
        if let Some(carrier) = self.carrier(link, depth) {
            return judged(format!("filtered on {}, which carries it", carrier.name));
        }
        if takes_members(link)
            && let Members::Judged = self.members(link, depth)
        {
            let names: Vec<_> = self.members_of(link).map(|l| l.name.as_str()).collect();
            return judged(match link.kind.as_str() {
                "bridge" => format!("filtered on its ports: {}", names.join(", ")),
                _ => format!("filtered on its members: {}", names.join(", ")),
            });
        }
        Choice::Filter(wish(link, self.demand))
    }

    /// A member that is judged in the place of its master.
    fn member(&self, link: &Link, depth: u32) -> Choice {
        match self.carrier(link, depth) {
            Some(carrier) => judged(format!("filtered on {}, which carries it", carrier.name)),
            None => Choice::Filter(wish(link, self.demand)),
        }
    }

    /// Why a link that nobody named is not filtered, beside what it belongs to.
    fn not_by_itself(&self, link: &Link) -> Option<String> {
        match link.kind.as_str() {
            "dummy" => Some("a dummy has no peers".into()),
            "ifb" => Some("sees copies of what another link has received".into()),
            // What a VRF receives was received by its member before, and judged there.
            "vrf" => Some("its members are filtered".into()),
            "veth" | "netkit" if !self.carries_address(link, MAX_STACK) => {
                Some(format!("{} without a global address", link.kind))
            }
            // The kernel makes them in every namespace as soon as anybody has a tunnel.
            kind if !link.up && FALLBACK_TUNNELS.contains(&link.name.as_str()) => {
                Some(format!("the kernel's own {kind}, and down"))
            }
            _ => None,
        }
    }

    /// Whether it, or what sits on it, has an address of global scope.
    fn carries_address(&self, link: &Link, depth: u32) -> bool {
        let links = self.network.links.iter();
        let mut above = links.filter(|other| other.parent == Some(link.index) && sits_on(other));
        self.network.has_global_address(link.index)
            || (depth > 0 && above.any(|other| self.carries_address(other, depth - 1)))
    }

    /// What becomes of the members of `master`.
    fn members(&self, master: &Link, depth: u32) -> Members {
        let left = || Members::Left(format!("belongs to {}", master.name));
        if depth == 0 || !takes_members(master) || !self.is_asked(master) {
            return left();
        }
        // A bond in a bridge is the bridge's port: all is judged there.
        if let Some(above) = self.master(master).filter(|above| above.kind != "vrf")
            && !matches!(self.members(above, depth - 1), Members::Judged)
        {
            return left();
        }
        let mut members = self.members_of(master).peekable();
        let in_their_place = match master.kind.as_str() {
            "bridge" => members.any(|port| self.carrier(port, depth - 1).is_some()),
            _ if members.peek().is_none() => false,
            _ => {
                let (mut all, mut some) = (true, false);
                for member in members {
                    all &= self.excluded_by(member).is_none();
                    some |= !matches!(wish(member, self.demand), Wish::Tc(_));
                }
                all && some
            }
        };
        if in_their_place {
            Members::Judged
        } else {
            left()
        }
    }

    /// The link below that judges what `link` receives.
    fn carrier(&self, link: &Link, depth: u32) -> Option<&'a Link> {
        let parent = self.network.link(link.parent.filter(|_| sits_on(link))?)?;
        self.is_covered(parent, depth).then_some(parent)
    }

    /// Whether what passes `link` is judged there, above it or below it.
    fn is_covered(&self, link: &Link, depth: u32) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        if self.choice_at(link, depth).is_filter() || self.carrier(link, depth).is_some() {
            return true;
        }
        takes_members(link) && matches!(self.members(link, depth), Members::Judged)
    }

    fn master(&self, link: &Link) -> Option<&'a Link> {
        self.network.link(link.master?)
    }

    fn members_of(&self, master: &Link) -> impl Iterator<Item = &'a Link> {
        let index = master.index;
        let links = self.network.links.iter();
        links.filter(move |link| link.master == Some(index))
    }

    fn excluded_by(&self, link: &Link) -> Option<&'a String> {
        let mut patterns = self.demand.wanted.exclude.iter();
        patterns.find(|pattern| glob_match(pattern, &link.name))
    }

    fn has_auto(&self) -> bool {
        self.demand.wanted.include.iter().any(|p| p == "auto")
    }

    fn is_named(&self, link: &Link) -> bool {
        let mut patterns = self.demand.wanted.include.iter();
        patterns.any(|p| p != "auto" && glob_match(p, &link.name))
    }

    /// Named, or one of those that are found by themselves; and not excluded.
    fn is_asked(&self, link: &Link) -> bool {
        self.excluded_by(link).is_none() && (self.has_auto() || self.is_named(link))
    }
}

/// Whether what it receives comes through its parent as it is.
fn sits_on(link: &Link) -> bool {
    matches!(
        link.kind.as_str(),
        "vlan" | "macvlan" | "ipvlan" | "macvtap" | "ipvtap"
    )
}

/// Masters whose members may be judged in their place.
fn takes_members(link: &Link) -> bool {
    matches!(link.kind.as_str(), "bond" | "team" | "bridge")
}

fn leave(why: impl Into<String>) -> Choice {
    Choice::Leave {
        why: why.into(),
        gap: false,
        cause: Cause::Meant,
    }
}

/// Left alone as long as nothing of the node passes.
fn idle(why: String, wish: Wish) -> Choice {
    Choice::Leave {
        why,
        gap: false,
        cause: Cause::Idle(wish),
    }
}

/// Left alone because what passes is judged on another link.
fn judged(why: String) -> Choice {
    Choice::Leave {
        why,
        gap: false,
        cause: Cause::Elsewhere,
    }
}
