//! Keeping the filter on the links that are to have it.

use super::{AttachedLink, Ingress, Kernel, Wish};
use crate::config::{Interfaces, Require, XdpSetting};
use crate::control::protocol::Failure;
use crate::exit;
use crate::glob::glob_match;
use crate::netlink::{Choice, Link, Network, choose, missing};

/// How ingress of `link` is to be attached.
pub(super) fn wish(link: &Link, setting: XdpSetting) -> Wish {
    match setting {
        XdpSetting::Off => Wish::Tc("interfaces.xdp = \"off\"".into()),
        XdpSetting::Generic => Wish::Generic,
        XdpSetting::Native => Wish::Native,
        // A native program on one end of a veth pair switches segmentation
        // offload off for the sender on the other end.
        XdpSetting::Auto if link.kind == "veth" => Wish::Tc(
            "veth: native XDP would take TSO off its peer (interfaces.xdp = \"native\" forces it)"
                .into(),
        ),
        XdpSetting::Auto => Wish::Auto,
    }
}

/// Brings the attached links in line with what is chosen. Returns what failed.
pub(super) fn settle<K: Kernel>(
    kernel: &mut K,
    network: &Network,
    wanted: &Interfaces,
    again: bool,
) -> Vec<String> {
    let mut problems = Vec::new();
    let choices = choose(network, wanted);
    let chosen = |attached: &AttachedLink| {
        choices
            .iter()
            .any(|(link, choice)| link.index == attached.index && *choice == Choice::Filter)
    };
    let before = kernel.attached();
    for link in before.iter().filter(|attached| !chosen(attached)) {
        if let Err(failure) = kernel.detach(link.index) {
            problems.push(failure.line());
        }
    }
    let mut any = false;
    for (link, choice) in &choices {
        if *choice != Choice::Filter {
            continue;
        }
        any = true;
        let same = |old: &&AttachedLink| old.index == link.index && old.name == link.name;
        if !again && before.iter().any(|old| same(&old)) {
            continue;
        }
        if let Err(failure) = kernel.attach(link, &wish(link, wanted.xdp)) {
            problems.push(failure.line());
        }
    }
    let missing = missing(network, wanted);
    for name in &missing {
        problems.push(format!(
            "interface {name}: `interfaces.include` names it, but there is no such interface here \
             (try: ip link; it is filtered as soon as it appears)"
        ));
    }
    if !any && missing.is_empty() {
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
    let opened: Vec<_> = choose(network, wanted)
        .into_iter()
        .filter(|(link, choice)| *choice != Choice::Filter && is_attached(link) && !excluded(link))
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
