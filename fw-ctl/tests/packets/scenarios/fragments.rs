//! Fragments follow their first one, and cannot change what it says.

use super::{Scenario, Step, audited, enforced, into, out};
use crate::frames::*;
use crate::plan::{DENY_IN, OUT, PUBLIC, SSH};
use fw_common::wire::Counter::{Allowed, Audited, Dropped, Reply};
use fw_common::wire::DropReason::{
    DefaultDeny, ExtensionHeaders, FragmentLimit, FragmentOverlap, FragmentWithoutFirst, Invalid,
    TinyFragment,
};

pub fn scenarios() -> Vec<Scenario> {
    let mut all = vec![];
    all.extend(followers());
    all.extend(tiny());
    all.extend(overlaps());
    all.extend(impossible());
    all
}

fn lost(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Dropped(FragmentWithoutFirst), 0)
}

fn tiny_one(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Dropped(TinyFragment), 0)
}

fn overlap(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Dropped(FragmentOverlap), 0)
}

fn invalid(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Dropped(Invalid), 0)
}

fn ssh(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Allowed, SSH)
}

fn followers() -> Vec<Scenario> {
    let good = udp((ADMIN, 4000), (NODE, 9000));
    let bad = udp((STRANGER, 4000), (NODE, 9000));
    let closed = udp((ADMIN, 4000), (NODE, 9001));
    let good6 = udp((ADMIN6, 4000), (NODE6, 9000));
    let bad6 = udp((STRANGER6, 4000), (NODE6, 9000));
    let echo = echo(STRANGER, NODE, 8, 7);
    vec![
        enforced(
            "fragments follow their first one, IPv4",
            vec![
                lost("later, without a first", piece(&good, 1, 16..24, false)),
                ssh("first", piece(&good, 2, 0..1480, true)),
                ssh("middle", piece(&good, 2, 1480..2960, true)).quiet(),
                ssh("last", piece(&good, 2, 2960..2961, false)).quiet(),
                lost("last of another", piece(&good, 3, 2960..2961, false)),
                into(
                    "first, denied",
                    piece(&bad, 2, 0..1480, true),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "later, denied",
                    piece(&bad, 2, 1480..1500, false),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                lost(
                    "of another protocol",
                    piece(&sctp((ADMIN, 1), (NODE, 2)), 2, 1480..1500, false),
                ),
                ssh(
                    "first, tagged",
                    tagged(&piece(&good, 4, 0..16, true), &[(0x8100, 9)]),
                )
                .quiet()
                .in_vlan(9),
                ssh(
                    "last, tagged",
                    tagged(&piece(&good, 4, 16..20, false), &[(0x8100, 9)]),
                )
                .quiet()
                .in_vlan(9),
            ],
        ),
        enforced(
            "fragments follow their first one, IPv6",
            vec![
                lost("later, without a first", piece(&good6, 1, 16..24, false)),
                ssh("first", piece(&good6, 70_000, 0..1448, true)),
                ssh("last", piece(&good6, 70_000, 1448..1500, false)).quiet(),
                lost("number of 16 bits", piece(&good6, 4_464, 1448..1500, false)),
                into(
                    "first, denied",
                    piece(&bad6, 3, 0..16, true),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "later, denied",
                    piece(&bad6, 3, 16..20, false),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
            ],
        ),
        enforced(
            "an atomic fragment is whole and disturbs nobody (RFC 6946)",
            vec![
                ssh("first", piece(&good6, 5, 0..16, true)),
                ssh("atomic", piece(&good6, 5, 0..16, false)).quiet(),
                into(
                    "atomic, denied",
                    piece(&bad6, 5, 0..16, false),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                ssh("last", piece(&good6, 5, 16..20, false)).quiet(),
                invalid("atomic, cut", piece(&good6, 5, 0..4, false)),
                into(
                    "a fragment in an atomic one",
                    piece(&piece(&good6, 5, 0..16, true), 6, 0..24, false),
                    Dropped(ExtensionHeaders),
                    0,
                ),
                into(
                    "a fragment in a first one",
                    piece(&piece(&good6, 5, 16..24, false), 6, 0..16, true),
                    Dropped(ExtensionHeaders),
                    0,
                ),
                lost("the rest of that", piece(&good6, 6, 16..24, false)),
            ],
        ),
        enforced(
            "a number is used again",
            vec![
                ssh("first", piece(&good, 2, 0..16, true)),
                into(
                    "another first, denied",
                    piece(&closed, 2, 0..16, true),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "later, of either",
                    piece(&good, 2, 16..24, false),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                ssh("first again", piece(&good, 2, 0..16, true)).quiet(),
                ssh("later", piece(&good, 2, 16..24, false)).quiet(),
            ],
        ),
        enforced(
            "the two sides number their packets apart",
            vec![
                out(
                    "first, out",
                    piece(&udp((NODE, 5000), (ADMIN, 53)), 9, 0..16, true),
                    Allowed,
                    OUT,
                ),
                lost("later, in, same number", piece(&good, 9, 16..24, false)),
                into(
                    "first of the answer",
                    piece(&udp((ADMIN, 53), (NODE, 5000)), 9, 0..16, true),
                    Reply,
                    0,
                ),
                into(
                    "the rest of the answer",
                    piece(&udp((ADMIN, 53), (NODE, 5000)), 9, 16..24, false),
                    Reply,
                    0,
                ),
            ],
        ),
        enforced(
            "a large ping",
            vec![
                into("first", piece(&echo, 1, 0..1480, true), Allowed, PUBLIC),
                into("last", piece(&echo, 1, 1480..2000, false), Allowed, PUBLIC).quiet(),
            ],
        ),
    ]
}

fn tiny() -> Vec<Scenario> {
    let open = tcp((ADMIN, 4000), (NODE, 22), SYN);
    let open6 = tcp((ADMIN6, 4000), (NODE6, 22), SYN);
    let datagram = udp((ADMIN, 4000), (NODE, 9000));
    let message = sctp((ADMIN, 4000), (NODE, 22));
    // A chain of two headers of 16 bytes, and TCP.
    let chain = extended(&open6, &[(60, 1), (60, 1)]);
    let header = &open[34..54];
    vec![
        enforced(
            "headers spread over fragments, IPv4 (RFC 1858, RFC 3128)",
            vec![
                tiny_one("ports only", piece(&open, 1, 0..8, true)),
                lost("nothing came first", piece(&open, 1, 24..32, false)),
                tiny_one(
                    "flags behind the offset of 8",
                    piece(&open, 1, 8..24, false),
                ),
                tiny_one("without the checksum", piece(&open, 2, 0..16, true)),
                tiny_one("from the checksum on", piece(&open, 2, 16..24, true)),
                tiny_one(
                    "the rest in the padding",
                    padded(piece(&open, 3, 0..8, true), &header[8..]),
                ),
                ssh("the whole header", piece(&open, 4, 0..24, true)),
                ssh("behind the header", piece(&open, 4, 24..32, false)),
                ssh("UDP, header only", piece(&datagram, 5, 0..8, true)),
                ssh("UDP, behind it", piece(&datagram, 5, 8..16, false)).quiet(),
                tiny_one("SCTP, ports only", piece(&message, 6, 0..8, true)),
                tiny_one("SCTP, offset 8", piece(&message, 6, 8..32, false)),
            ],
        ),
        enforced(
            "headers spread over fragments, IPv6 (RFC 7112)",
            vec![
                tiny_one("ports only", piece(&open6, 1, 0..8, true)),
                tiny_one("offset 8", piece(&open6, 1, 8..24, false)),
                tiny_one("half a chain", piece(&chain, 2, 0..16, true)),
                tiny_one("in an extension header", piece(&chain, 3, 0..24, true)),
                tiny_one("a chain without TCP", piece(&chain, 4, 0..32, true)),
                tiny_one("a chain and ports", piece(&chain, 5, 0..40, true)),
                tiny_one(
                    "the rest in the padding",
                    padded(piece(&chain, 6, 0..32, true), header),
                ),
                lost("nothing came first", piece(&chain, 6, 32..56, false)),
                into(
                    "the whole chain",
                    piece(&chain, 7, 0..56, true),
                    Allowed,
                    SSH,
                ),
                ssh("behind the chain", piece(&chain, 7, 56..64, false)),
            ],
        ),
    ]
}

fn overlaps() -> Vec<Scenario> {
    let good = udp((ADMIN, 4000), (NODE, 9000));
    let good6 = tcp((ADMIN6, 4000), (NODE6, 22), SYN);
    // TCP's header begins where a chain of 16 bytes ends.
    let chain = extended(&good6, &[(60, 1)]);
    vec![
        enforced(
            "nothing is written over a first fragment",
            vec![
                ssh("first", piece(&good, 1, 0..64, true)),
                overlap("into it", piece(&good, 1, 56..72, true)),
                overlap("what would have fitted", piece(&good, 1, 64..72, false)),
                ssh("first, again", piece(&good, 1, 0..64, true)).quiet(),
                ssh("rest", piece(&good, 1, 64..72, false)).quiet(),
                overlap("more than all", piece(&good, 1, 64..72, true)),
                ssh("first, IPv6", piece(&good6, 1, 0..24, true)),
                tiny_one("into the header", piece(&good6, 1, 16..32, true)),
                ssh("longer first", piece(&chain, 2, 0..40, true)),
                ssh("shorter first", piece(&good6, 2, 0..24, true)),
                overlap("into the longer", piece(&good6, 2, 24..40, false)),
            ],
        ),
        enforced(
            "a packet comes together in one way (RFC 5722)",
            vec![
                ssh("first", piece(&good6, 1, 0..24, true)),
                ssh("fourth", piece(&good6, 1, 48..56, true)),
                ssh("second", piece(&good6, 1, 24..32, true)),
                ssh("last", piece(&good6, 1, 56..60, false)),
                ssh("third", piece(&good6, 1, 32..48, true)),
                ssh("first of two", piece(&good, 2, 0..16, true)),
                ssh("second", piece(&good, 2, 16..32, true)).quiet(),
                ssh("second, other bytes", piece(&good, 2, 24..40, true)).quiet(),
                overlap("what completes both", piece(&good, 2, 40..48, false)),
                overlap("again", piece(&good, 2, 40..48, false)),
                ssh("first of three", piece(&good, 3, 0..16, true)).quiet(),
                ssh("its end", piece(&good, 3, 32..40, false)).quiet(),
                overlap("another end", piece(&good, 3, 32..44, false)),
                overlap("the first end", piece(&good, 3, 16..32, true)),
                ssh("first of four", piece(&good, 4, 0..16, true)).quiet(),
                ssh("its end", piece(&good, 4, 32..40, false)).quiet(),
                overlap("beyond the end", piece(&good, 4, 40..48, true)),
            ],
        ),
        enforced("a packet of too many fragments", {
            let middle = |i: usize| piece(&good, 1, 16 + 8 * i..24 + 8 * i, true);
            let mut steps = vec![ssh("first", piece(&good, 1, 0..16, true))];
            steps.extend((0..127).map(|i| ssh("one more", middle(i)).quiet()));
            let more = into("too many", middle(127), Dropped(FragmentLimit), 0);
            steps.extend([more, ssh("another", piece(&good, 2, 0..16, true)).quiet()]);
            steps
        }),
        audited(
            "audit lets overlaps pass",
            vec![
                ssh("first", piece(&good, 1, 0..64, true)),
                into(
                    "into it",
                    piece(&good, 1, 56..72, true),
                    Audited(FragmentOverlap),
                    0,
                ),
                into(
                    "tiny",
                    piece(&good6, 1, 0..8, true),
                    Audited(TinyFragment),
                    0,
                ),
            ],
        ),
    ]
}

fn impossible() -> Vec<Scenario> {
    let good = udp((ADMIN, 4000), (NODE, 9000));
    let good6 = udp((ADMIN6, 4000), (NODE6, 9000));
    let mut beyond = piece(&good, 1, 16..24, true);
    beyond[16..18].copy_from_slice(&18_u16.to_be_bytes());
    let mut beyond6 = piece(&good6, 1, 16..24, true);
    beyond6[18..20].copy_from_slice(&4_u16.to_be_bytes());
    // A jumbogram (RFC 2675 §3) is not fragmented.
    let mut jumbo = piece(&good6, 1, 16..24, true);
    jumbo[18..20].fill(0);
    vec![enforced(
        "fragments that cannot be",
        vec![
            ssh("first", piece(&good, 1, 0..16, true)),
            ssh("first, IPv6", piece(&good6, 1, 0..16, true)),
            invalid("no multiple of eight", piece(&good, 1, 16..28, true)),
            invalid("likewise, IPv6", piece(&good6, 1, 16..28, true)),
            invalid("likewise, the first", piece(&good, 2, 0..12, true)),
            invalid("empty", piece(&good, 1, 16..16, true)),
            invalid("empty, the last", piece(&good, 1, 16..16, false)),
            invalid("empty, IPv6", piece(&good6, 1, 16..16, true)),
            invalid("ping of death", piece(&good, 1, 65_512..65_516, false)),
            invalid("likewise, IPv6", piece(&good6, 1, 65_528..65_536, false)),
            invalid("shorter than its header", beyond),
            invalid("ends in its fragment header", beyond6),
            invalid("jumbogram", jumbo),
            ssh("largest last", piece(&good, 1, 65_512..65_515, false)).quiet(),
            ssh(
                "largest last, IPv6",
                piece(&good6, 1, 65_528..65_535, false),
            )
            .quiet(),
        ],
    )]
}
