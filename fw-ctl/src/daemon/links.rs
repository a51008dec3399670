//! Keeping the filter on the links that are to have it.

use std::collections::BTreeMap;

use super::{AttachedLink, Ingress, Kernel};
use crate::config::{Interfaces, Require, XdpSetting};
use crate::control::protocol::Failure;
use crate::exit;
use crate::glob::glob_match;
use crate::netlink::{Cause, Choice, Demand, Link, Network, Wish, missing, plan};

/// What was tried last on each link: how it was then, and the wish.
#[derive(Default)]
pub(super) struct Tried(BTreeMap<u32, (Link, Wish)>);

impl Tried {
    /// Whether trying again would end as it did.
    fn is_same(&self, link: &Link, wish: &Wish, ingress: Ingress) -> bool {
        let tried = self.0.get(&link.index);
        tried.is_some_and(|(then, wished)| {
            let (mut then, mut now) = (settled(then), settled(link));
            if ingress != Ingress::Tc {
                // The program is ours, and was not there when we tried.
                (then.xdp, now.xdp) = (None, None);
            }
            then == now && wished == wish
        })
    }
}

/// The link without what does not matter to the mode that it can have.
fn settled(link: &Link) -> Link {
    Link {
        up: false,
        ..link.clone()
    }
}

/// Brings the attached links in line with what is planned. Returns what failed.
///
/// What is new is attached before what is old is detached: where judging moves from
/// one link to another, a packet may be judged on both for a moment, but never on none.
pub(super) fn settle<K: Kernel>(
    kernel: &mut K,
    tried: &mut Tried,
    network: &Network,
    demand: Demand<'_>,
    again: bool,
) -> Vec<String> {
    let choices = plan(network, demand);
    let before = kernel.attached();
    let same = |old: &AttachedLink, link: &Link| old.index == link.index && old.name == link.name;
    let is_there = |link: &Link| before.iter().any(|old| same(old, link));
    let is_same = |tried: &Tried, link: &Link, wish: &Wish| {
        let old = before.iter().find(|old| same(old, link));
        old.is_some_and(|old| tried.is_same(link, wish, old.ingress))
    };
    let wanted: Vec<_> = choices
        .iter()
        .filter_map(|(link, choice)| match choice {
            Choice::Filter(wish) => Some((*link, wish)),
            Choice::Leave {
                cause: Cause::Idle(wish),
                ..
            } if is_there(link) => Some((*link, wish)),
            Choice::Leave { .. } => None,
        })
        .collect();
    let mut problems = Vec::new();
    for (link, wish) in &wanted {
        if again || !is_same(tried, link, wish) {
            problems.extend(attach(kernel, tried, link, wish));
        }
    }
    let complete = problems.is_empty();
    let is_wanted = |index: u32| wanted.iter().any(|(link, _)| link.index == index);
    let mut freed = false;
    for old in before.iter().filter(|old| !is_wanted(old.index)) {
        let choice = choices.iter().find(|(link, _)| link.index == old.index);
        // Not as long as those that are to take over have not all done so.
        let waits = matches!(
            choice,
            Some((_, Choice::Leave { cause: Cause::Elsewhere, .. })) if !complete
        );
        if !waits {
            freed = true;
            tracing::info!("{}: not filtered any more: {}", old.name, why_not(choice));
            tried.0.remove(&old.index);
            problems.extend(kernel.detach(old.index).err().map(|failure| failure.line()));
        }
    }
    if freed {
        // XDP of a bond keeps that of its members out: now they may have it.
        let attached = kernel.attached();
        let is_slow = |link: &Link| {
            let mut of = attached.iter().filter(|old| old.index == link.index);
            of.any(|old| old.ingress == Ingress::Tc)
        };
        for (link, wish) in &wanted {
            if **wish == Wish::Auto && is_slow(link) {
                problems.extend(attach(kernel, tried, link, wish));
            }
        }
    }
    problems.extend(unfiltered(network, demand.wanted, &choices));
    problems.extend(blind(demand, &choices));
    problems
}

fn why_not(choice: Option<&(&Link, Choice)>) -> String {
    match choice {
        Some((_, Choice::Leave { why, .. })) => why.clone(),
        _ => "it has gone".into(),
    }
}

/// Links on which the VLAN of a packet cannot be told, though verdicts depend on it.
fn blind(demand: Demand<'_>, choices: &[(&Link, Choice)]) -> Vec<String> {
    if !demand.needs_tags {
        return Vec::new();
    }
    filtered(choices)
        .filter(|(link, _)| link.kind == "vlan")
        .map(|(link, _)| {
            format!(
                "interface {}: rules for VLANs, and `interfaces.vlans`, take what it brings for \
                 untagged: its tag was taken off below, where nothing is filtered \
                 (try: filter the interface that it sits on, in its place)",
                link.name
            )
        })
        .collect()
}

/// Returns why not, if it failed.
fn attach<K: Kernel>(
    kernel: &mut K,
    tried: &mut Tried,
    link: &Link,
    wish: &Wish,
) -> Option<String> {
    let then = (settled(link), wish.clone());
    tried.0.insert(link.index, then);
    kernel
        .attach(link, wish)
        .err()
        .map(|failure| failure.line())
}

fn filtered<'a>(choices: &'a [(&Link, Choice)]) -> impl Iterator<Item = (&'a Link, &'a Wish)> {
    choices.iter().filter_map(|(link, choice)| match choice {
        Choice::Filter(wish) => Some((*link, wish)),
        Choice::Leave { .. } => None,
    })
}

/// What is asked for and not there.
fn unfiltered(network: &Network, wanted: &Interfaces, choices: &[(&Link, Choice)]) -> Vec<String> {
    let mut problems = Vec::new();
    let missing = missing(network, wanted);
    for name in &missing {
        problems.push(format!(
            "interface {name}: `interfaces.include` names it, but there is no such interface here \
             (try: ip link; it is filtered as soon as it appears)"
        ));
    }
    if filtered(choices).next().is_none() && missing.is_empty() {
        problems.push(
            "no interface is filtered: none fits `interfaces.include` and `interfaces.exclude` \
             (try: ip link, and name one in interfaces.include)"
                .into(),
        );
    }
    problems
}

/// Why the change to `wanted` would open interfaces by mistake: they are filtered
/// now and would not be any more, while `interfaces.include` names something that
/// fits nothing here. Who means it excludes them, or leaves the name out.
pub(super) fn opened(
    attached: &[AttachedLink],
    network: &Network,
    wanted: &Interfaces,
) -> Option<Failure> {
    let fits = |pattern: &str| network.links.iter().any(|l| glob_match(pattern, &l.name));
    let include = wanted.include.iter();
    let unfit: Vec<_> = include
        .filter(|pattern| *pattern != "auto" && !fits(pattern))
        .map(|pattern| format!("`{pattern}`"))
        .collect();
    let is_attached = |link: &Link| {
        let same = |old: &AttachedLink| (old.index, &old.name) == (link.index, &link.name);
        attached.iter().any(same)
    };
    let excluded = |link: &Link| wanted.exclude.iter().any(|p| glob_match(p, &link.name));
    let demand = Demand {
        wanted,
        needs_tags: false,
    };
    let opens =
        |choice: &Choice| matches!(choice, Choice::Leave { cause, .. } if *cause == Cause::Meant);
    let opened: Vec<_> = plan(network, demand)
        .into_iter()
        .filter(|(link, choice)| opens(choice) && is_attached(link) && !excluded(link))
        .map(|(link, _)| link.name.as_str())
        .collect();
    if unfit.is_empty() || opened.is_empty() {
        return None;
    }
    let (unfit, opened) = (unfit.join(", "), opened.join(", "));
    let message = format!(
        "the change is refused: no interface here fits {unfit} of `interfaces.include`, and \
         {opened} would not be filtered any more"
    );
    let help = format!("correct `interfaces.include`; or, if {opened} is to be open, exclude it");
    Some(Failure::new(exit::REFUSED, message).help(help))
}

/// Attach modes that the configuration does not accept.
pub(super) fn unacceptable(attached: &[AttachedLink], wanted: &Interfaces) -> Vec<String> {
    let mut problems = Vec::new();
    for link in attached {
        let forced = match wanted.xdp {
            XdpSetting::Native => Some(Ingress::XdpNative),
            XdpSetting::Generic => Some(Ingress::XdpGeneric),
            XdpSetting::Off => Some(Ingress::Tc),
            XdpSetting::Auto => None,
        };
        if forced.is_some_and(|forced| forced != link.ingress) {
            problems.push(format!(
                "{}: `interfaces.xdp` asks for another mode than {}: {} \
                 (try: interfaces.xdp = \"auto\")",
                link.name,
                link.ingress.name(),
                link.why
            ));
        } else if wanted.require == Require::Native && link.ingress != Ingress::XdpNative {
            problems.push(format!(
                "{}: `interfaces.require` = \"native\", but it is {}: {}",
                link.name,
                link.ingress.name(),
                link.why
            ));
        }
    }
    problems
}

/// Attach modes that are slower than they might be, and were not asked for.
pub(super) fn slow(attached: &[AttachedLink], wanted: &Interfaces) -> Vec<String> {
    if wanted.xdp != XdpSetting::Auto {
        return Vec::new();
    }
    attached
        .iter()
        .filter(|link| link.ingress != Ingress::XdpNative)
        .map(|link| {
            format!(
                "{}: {} in place of native XDP: {}",
                link.name,
                link.ingress.name(),
                link.why
            )
        })
        .collect()
}
