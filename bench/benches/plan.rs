//! What compiling costs, and how large the plan is, against rules and prefixes.
//!
//! And what reading a list of prefixes costs, compiling it and laying it out as tables.
//! Sizes are printed once a row, before its time: rows and columns of the verdict
//! tables, prefixes and rules.

use std::hint::black_box;

use bench::lists::prefixes;
use bench::{allowing, cidr, plan, rules};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fw_ctl::inventory::Identities;
use fw_ctl::lists::{List, Prefixes};
use fw_ctl::lookup::build;
use fw_ctl::policy::rules::{Peers, RuleSet};
use sandbox::Family;

fn measure(c: &mut Criterion, group: &str, sizes: &[usize], make: impl Fn(usize) -> RuleSet) {
    let mut group = c.benchmark_group(group);
    group.sample_size(10);
    for &size in sizes {
        let rules = make(size);
        eprintln!("{size}: {}", plan(&rules, &Identities::default()));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| plan(black_box(&rules), &Identities::default()));
        });
    }
}

/// Rules, each with a prefix of its own and one port.
fn many_rules(c: &mut Criterion) {
    measure(c, "plan/rules", &[10, 100, 1_000, 10_000], |size| {
        rules(u16::try_from(size).expect("the sizes above fit"))
    });
}

/// One rule with a list of prefixes.
fn many_prefixes(c: &mut Criterion) {
    for family in Family::BOTH {
        let group = format!("plan/prefixes-{family}");
        measure(c, &group, &[1_000, 10_000, 100_000], |size| {
            let peers = prefixes(family, size).into_iter().map(cidr).collect();
            allowing([(Peers::Only(peers), 22)])
        });
    }
}

/// A list: its text read, and compiled; two thirds are IPv4.
fn lists(c: &mut Criterion) {
    for size in [15_000, 150_000, 1_500_000] {
        let nets = Family::BOTH.into_iter().zip([size / 3 * 2, size / 3]);
        let nets = nets.flat_map(|(family, count)| prefixes(family, count));
        let text: String = nets.map(|net| format!("{net}\n")).collect();
        let read = || List::parse("list.netset", text.as_bytes()).expect("it is a list");
        let mut group = c.benchmark_group("list");
        group.sample_size(10);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("read", size), |b| b.iter(read));
        let peers = Peers::Only(vec![bench::group(Prefixes::clone(&read().prefixes))]);
        let rules = allowing([(peers, 22)]);
        group.bench_function(BenchmarkId::new("compile", size), |b| {
            b.iter(|| plan(black_box(&rules), &Identities::default()));
        });
        let runs = plan(&rules, &Identities::default()).peers;
        group.bench_function(BenchmarkId::new("lay-out", size), |b| {
            b.iter(|| build(black_box(&runs)).expect("it fits"));
        });
        group.finish();
    }
}

criterion_group!(sizes, many_rules, many_prefixes, lists);
criterion_main!(sizes);
