//! The filters of `hubble observe` as flags (Cilium `hubble/cmd/observe/flows.go`,
//! `flows_filter.go`), from one table.
//!
//! Flags of one kind add up, flags of different kinds must all hold. `--ip` and others mean
//! either side: then there are two filters, one of which must match. What follows `--not`
//! must not.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::ErrorKind};

use super::values;
use crate::observe::filter::{Filter, Filters, Side};

/// Which side of a flow a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Either,
    Source,
    Destination,
}

/// What is compared on a side.
type OnSide = fn(&mut Side, &str) -> Result<(), String>;
/// What is compared otherwise.
type OnFlow = fn(&mut Filter, &str) -> Result<(), String>;

#[derive(Clone, Copy)]
enum Means {
    Side(&'static str, Of, OnSide),
    Flow(OnFlow),
    /// Without a value: this one.
    Is(OnFlow, &'static str),
    Not,
}

struct Flag {
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
    means: Means,
}

const fn flag(long: &'static str, value: &'static str, help: &'static str, means: Means) -> Flag {
    Flag {
        long,
        short: None,
        value,
        help,
        means,
    }
}

const fn short(short: char, flag: Flag) -> Flag {
    Flag {
        short: Some(short),
        ..flag
    }
}

/// Long names, in the order of the help.
static FLAGS: [Flag; 38] = [
    flag(
        "not",
        "",
        "Tell what the next filter does not match",
        Means::Not,
    ),
    short(
        't',
        flag(
            "type",
            "TYPE",
            "Only these messages: policy-verdict, or drop and perhaps a reason (drop:133)",
            Means::Flow(values::message),
        ),
    ),
    flag(
        "verdict",
        "VERDICT",
        "Only what was FORWARDED, DROPPED or AUDIT",
        Means::Flow(values::verdict),
    ),
    flag(
        "drop-reason-desc",
        "REASON",
        "Only drops with this reason: POLICY_DENIED, POLICY_DENY, … or a number",
        Means::Flow(values::reason),
    ),
    flag(
        "ip",
        "PREFIX",
        "Only from or to this address or prefix",
        Means::Side("ip", Of::Either, values::address),
    ),
    flag(
        "from-ip",
        "PREFIX",
        "Only from this address or prefix",
        Means::Side("ip", Of::Source, values::address),
    ),
    flag(
        "to-ip",
        "PREFIX",
        "Only to this address or prefix",
        Means::Side("ip", Of::Destination, values::address),
    ),
    flag(
        "port",
        "PORT",
        "Only from or to this port",
        Means::Side("port", Of::Either, values::port),
    ),
    flag(
        "from-port",
        "PORT",
        "Only from this port",
        Means::Side("port", Of::Source, values::port),
    ),
    flag(
        "to-port",
        "PORT",
        "Only to this port",
        Means::Side("port", Of::Destination, values::port),
    ),
    flag(
        "protocol",
        "PROTOCOL",
        "Only this protocol: tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp or a number",
        Means::Flow(values::protocol),
    ),
    flag(
        "tcp-flags",
        "FLAGS",
        "Only TCP with all of these flags: syn, or syn,ack",
        Means::Flow(values::tcp_flags),
    ),
    flag(
        "identity",
        "IDENTITY",
        "Only from or to this identity: a number, or host, world, remote-node, …",
        Means::Side("identity", Of::Either, values::identity),
    ),
    flag(
        "from-identity",
        "IDENTITY",
        "Only from this identity",
        Means::Side("identity", Of::Source, values::identity),
    ),
    flag(
        "to-identity",
        "IDENTITY",
        "Only to this identity",
        Means::Side("identity", Of::Destination, values::identity),
    ),
    short(
        'l',
        flag(
            "label",
            "SELECTOR",
            "Only from or to whom these labels select: k8s:app=web,!spare",
            Means::Side("label", Of::Either, values::label),
        ),
    ),
    flag(
        "from-label",
        "SELECTOR",
        "Only from whom these labels select",
        Means::Side("label", Of::Source, values::label),
    ),
    flag(
        "to-label",
        "SELECTOR",
        "Only to whom these labels select",
        Means::Side("label", Of::Destination, values::label),
    ),
    short(
        'n',
        flag(
            "namespace",
            "NAMESPACE",
            "Only from or to pods of this namespace",
            Means::Side("namespace", Of::Either, values::namespace),
        ),
    ),
    flag(
        "from-namespace",
        "NAMESPACE",
        "Only from pods of this namespace",
        Means::Side("namespace", Of::Source, values::namespace),
    ),
    flag(
        "to-namespace",
        "NAMESPACE",
        "Only to pods of this namespace",
        Means::Side("namespace", Of::Destination, values::namespace),
    ),
    flag(
        "pod",
        "POD",
        "Only from or to these pods: shop/web-, shop/, or web- of the namespace default",
        Means::Side("pod", Of::Either, values::pod),
    ),
    flag(
        "from-pod",
        "POD",
        "Only from these pods",
        Means::Side("pod", Of::Source, values::pod),
    ),
    flag(
        "to-pod",
        "POD",
        "Only to these pods",
        Means::Side("pod", Of::Destination, values::pod),
    ),
    flag(
        "cluster",
        "CLUSTER",
        "Only from or to nodes and pods of this cluster",
        Means::Side("cluster", Of::Either, values::cluster),
    ),
    flag(
        "from-cluster",
        "CLUSTER",
        "Only from nodes and pods of this cluster",
        Means::Side("cluster", Of::Source, values::cluster),
    ),
    flag(
        "to-cluster",
        "CLUSTER",
        "Only to nodes and pods of this cluster",
        Means::Side("cluster", Of::Destination, values::cluster),
    ),
    flag(
        "traffic-direction",
        "DIRECTION",
        "Only ingress or egress",
        Means::Flow(values::direction),
    ),
    short(
        '4',
        flag("ipv4", "", "Only IPv4", Means::Is(values::family, "4")),
    ),
    short(
        '6',
        flag("ipv6", "", "Only IPv6", Means::Is(values::family, "6")),
    ),
    flag(
        "reply",
        "true|false",
        "Only what is known to be a reply, or not to be one",
        Means::Flow(values::reply),
    ),
    flag(
        "node-name",
        "PATTERN",
        "Only of these nodes: node1, rack1-*, cluster/",
        Means::Flow(values::node),
    ),
    flag(
        "node-label",
        "SELECTOR",
        "Only of nodes that these labels select",
        Means::Flow(values::node_label),
    ),
    flag(
        "uuid",
        "UUID",
        "Only these flows, as `-o json` names them",
        Means::Flow(values::uuid),
    ),
    flag(
        "interface",
        "PATTERN",
        "Only at these interfaces",
        Means::Flow(values::interface),
    ),
    flag(
        "vlan",
        "VLAN",
        "Only with this VLAN id, or untagged",
        Means::Flow(values::vlan),
    ),
    flag(
        "policy",
        "PATTERN",
        "Only what these policies decided, by their names",
        Means::Flow(values::policy),
    ),
    flag(
        "ip-version",
        "4|6",
        "Only IPv4 or IPv6",
        Means::Flow(values::family),
    ),
];

/// The filters that the flags ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterArgs(pub Filters);

impl Args for FilterArgs {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, flag| {
            let arg = Arg::new(flag.long)
                .long(flag.long)
                .help(flag.help)
                .help_heading("Filters")
                .action(ArgAction::Append);
            let arg = match flag.short {
                Some(short) => arg.short(short),
                None => arg,
            };
            let arg = match flag.means {
                // Each occurrence has its place among the others, which a counter would forget.
                Means::Not | Means::Is(..) => arg.num_args(0).default_missing_value("true"),
                _ => arg
                    .value_name(flag.value)
                    .value_parser(|value: &str| Ok::<_, String>(value.to_owned())),
            };
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FilterArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for flag in &FLAGS {
            let values = matches.get_many::<String>(flag.long);
            let indices = matches.indices_of(flag.long);
            let pairs = indices
                .into_iter()
                .flatten()
                .zip(values.into_iter().flatten());
            given.extend(pairs.map(|(index, value)| (index, flag, value.as_str())));
        }
        given.sort_by_key(|(index, ..)| *index);
        let (mut allow, mut deny) = (Tracker::default(), Tracker::default());
        let mut not = false;
        for (_, flag, value) in given {
            if matches!(flag.means, Means::Not) {
                not = true;
                continue;
            }
            let tracker = if std::mem::take(&mut not) {
                &mut deny
            } else {
                &mut allow
            };
            tracker
                .add(flag, value)
                .map_err(|(kind, why)| clap::Error::raw(kind, why))?;
        }
        if not {
            let why = "`--not` stands before the filter that it is about, and there is none";
            return Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, why));
        }
        let (allow, deny) = (allow.filters(), deny.filters());
        Ok(Self(Filters { allow, deny }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Two filters, one of which must match: they differ where a flag means either side.
#[derive(Default)]
struct Tracker {
    left: Filter,
    right: Filter,
    /// Which side each kind of condition was asked of.
    sides: Vec<(&'static str, Of, &'static str)>,
}

impl Tracker {
    fn add(&mut self, flag: &'static Flag, value: &str) -> Result<(), (ErrorKind, String)> {
        let invalid = |why| {
            let text = format!("invalid value '{value}' for '--{}': {why}", flag.long);
            (ErrorKind::ValueValidation, text)
        };
        match flag.means {
            Means::Side(kind, of, add) => {
                let mut others = self.sides.iter();
                let other = others.find(|(other, at, _)| {
                    *other == kind && *at != of && (of == Of::Either || *at == Of::Either)
                });
                if let Some((_, _, other)) = other {
                    let text = format!(
                        "`--{}` cannot be used with `--{other}`: the one is about either side, \
                         the other about one",
                        flag.long
                    );
                    return Err((ErrorKind::ArgumentConflict, text));
                }
                self.sides.push((kind, of, flag.long));
                let (left, right) = match of {
                    Of::Either => (&mut self.left.source, &mut self.right.destination),
                    Of::Source => (&mut self.left.source, &mut self.right.source),
                    Of::Destination => (&mut self.left.destination, &mut self.right.destination),
                };
                add(left, value).and_then(|()| add(right, value))
            }
            Means::Flow(add) => self.add_to_both(add, value),
            Means::Is(add, value) => self.add_to_both(add, value),
            Means::Not => Ok(()),
        }
        .map_err(invalid)
    }

    fn add_to_both(&mut self, add: OnFlow, value: &str) -> Result<(), String> {
        add(&mut self.left, value).and_then(|()| add(&mut self.right, value))
    }

    fn filters(self) -> Vec<Filter> {
        if self.left == Filter::default() && self.right == Filter::default() {
            return Vec::new();
        }
        if self.left == self.right {
            return vec![self.left];
        }
        vec![self.left, self.right]
    }
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
