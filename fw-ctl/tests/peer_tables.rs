//! Peer tables against a naive longest-prefix match, at every length and size.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fw_common::lookup;
use fw_common::wire::Address;
use fw_ctl::inventory::longest_prefix;
use fw_ctl::lookup::{PeerTables, Runs, build, read};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::test_runner::TestRng;

/// Sorted, each prefix once.
type Peers = Vec<(IpNet, u16)>;

fn peers(entries: impl IntoIterator<Item = (IpNet, u16)>) -> Peers {
    let unique: BTreeMap<IpNet, u16> = entries.into_iter().map(|(p, c)| (p.trunc(), c)).collect();
    unique.into_iter().collect()
}

fn class(tables: &PeerTables, address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => lookup::v4(tables, &Address::from(address)),
        IpAddr::V6(v6) => lookup::v6(tables, &Address::v6(v6.octets())),
    }
    .expect("every address has a class")
}

/// The longest prefix wins; what none holds is of class 0.
fn naive(peers: &Peers, address: IpAddr) -> u32 {
    u32::from(longest_prefix(peers, address).copied().unwrap_or(0))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(v4: bool, bits: u128) -> IpAddr {
    if v4 {
        Ipv4Addr::from_bits(bits as u32).into()
    } else {
        // A mapped address would be taken for IPv4 by the naive search.
        Ipv6Addr::from_bits(bits).into()
    }
}

/// Prefixes of a table whose edges are looked up.
const EXAMINED: usize = 2_000;

/// First and last address of prefixes, and their neighbours, and both ends.
fn edges(peers: &Peers) -> impl Iterator<Item = IpAddr> {
    let ends = [
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];
    let step = peers.len() / EXAMINED + 1;
    let of_prefixes = peers.iter().step_by(step).flat_map(|(prefix, _)| {
        let v4 = prefix.addr().is_ipv4();
        let (first, last) = (bits(prefix.network()), bits(prefix.broadcast()));
        [first.wrapping_sub(1), first, last, last.wrapping_add(1)].map(|bits| address(v4, bits))
    });
    let ends = ends.map(|text| text.parse::<IpAddr>().unwrap());
    of_prefixes.chain(ends)
}

fn is_mapped(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// The edges of prefixes and `others` are found, and the tables read back as they
/// were meant.
fn check(peers: &Peers, others: impl IntoIterator<Item = IpAddr>) -> PeerTables {
    let runs = Runs::of(peers);
    let tables = build(&runs).expect("it fits");
    assert_eq!(read(&tables).as_ref(), Ok(&runs));
    for address in edges(peers).chain(others).filter(|a| !is_mapped(a)) {
        assert_eq!(class(&tables, address), naive(peers, address), "{address}");
    }
    tables
}

/// A prefix, often inside or beside others: few values for the leading bytes.
fn prefix() -> impl Strategy<Value = IpNet> {
    let byte = prop_oneof![Just(0_u8), Just(10), Just(255), any::<u8>()];
    (
        proptest::collection::vec(byte, 16),
        any::<bool>(),
        0..=128_u8,
    )
        .prop_map(|(bytes, v4, length)| {
            let bits = u128::from_be_bytes(bytes.try_into().unwrap());
            let length = if v4 { length % 33 } else { length };
            IpNet::new(address(v4, bits), length).unwrap().trunc()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_address_is_found_in_its_longest_prefix(
        entries in proptest::collection::vec((prefix(), 0..6_u16), 0..120),
        others in proptest::collection::vec(prefix(), 0..40),
    ) {
        check(&peers(entries), others.into_iter().map(|prefix| prefix.addr()));
    }
}

/// Prefixes of every length, each inside the one before, to one address.
fn chain(of: &str) -> Peers {
    let of: IpAddr = of.parse().unwrap();
    let longest = if of.is_ipv4() { 32 } else { 128 };
    peers((0..=longest).map(|length| (IpNet::new(of, length).unwrap(), u16::from(length) + 1)))
}

#[test]
fn prefixes_of_every_length_inside_each_other() {
    for of in [
        "0.0.0.0",
        "255.255.255.255",
        "170.85.170.85",
        "::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:5555:aaaa:5555:aaaa:5555:aaaa",
    ] {
        check(&chain(of), []);
    }
}

fn random(rng: &mut TestRng, v4: bool, within: u128, length: u8) -> IpAddr {
    let bits = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    let fixed = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    let bits = within & fixed | bits & !fixed;
    address(v4, if v4 { bits >> 96 } else { bits })
}

/// `count` prefixes of either family, of lengths as in lists and of all others,
/// below `within`.
fn list(rng: &mut TestRng, count: usize, within: [(u128, u8); 2]) -> Peers {
    peers((0..count).map(|n| {
        let v4 = n % 2 == 0;
        let (bits, length) = within[n % 2];
        let at = random(rng, v4, bits, length);
        let usual: &[u8] = if v4 {
            &[32, 24, 28]
        } else {
            &[128, 64, 48, 56]
        };
        let longest = if v4 { 32 } else { 128 };
        let length = match rng.next_u32() % 8 {
            0 => length + (rng.next_u32() % u32::from(longest - length + 1)) as u8,
            n => usual[n as usize % usual.len()].max(length),
        };
        (
            IpNet::new(at, length).unwrap(),
            (rng.next_u32() % 500) as u16,
        )
    }))
}

#[test]
fn lists_of_every_size_spread_and_crowded() {
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let all = [(0, 0), (0x2 << 124, 3)];
    // A /16 and a /32, a /24 and a /64: more in one place than a leaf holds.
    let crowded = [(0x0a01 << 112, 16), (0x2001_0db8 << 96, 32)];
    let packed = [(0x000a_0102 << 104, 24), (0x2001_0db8_0000_0001 << 64, 64)];
    for count in [0, 1, 2, 3, 10, 100, 1_000, 10_000, 100_000] {
        for within in [all, crowded, packed] {
            let peers = list(&mut rng, count, within);
            let near: Vec<IpAddr> = (0..1_000)
                .map(|n| {
                    let (bits, length) = within[n % 2];
                    random(&mut rng, n % 2 == 0, bits, length)
                })
                .collect();
            check(&peers, near);
        }
    }
}
