//! What a verdict costs, on the host and in the kernel, and what compiling costs.
//!
//! The kernel's figures are those of `BPF_PROG_TEST_RUN`: the program alone on one
//! hot packet, without a driver. Compare rows with each other.

use std::hint::black_box;

use bench::{NODE, plan, rules, syn};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fw_ctl::datapath::{Hook, ModelRun, TestRun};
use fw_ctl::inventory::Identities;

const SIZES: [u16; 3] = [10, 1_000, 10_000];
const STRANGER: [u8; 4] = [203, 0, 113, 9];

fn compiling(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for size in SIZES {
        let rules = rules(size);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| plan(black_box(&rules), &Identities::default()));
        });
    }
}

fn on_the_host(c: &mut Criterion) {
    let mut run = ModelRun::default();
    run.install(&plan(&rules(1_000), &Identities::default()));
    run.set_local(&[NODE.into()].into());
    let denied = syn(STRANGER, 22);
    c.bench_function("model/denied", |b| {
        b.iter(|| run.run(Hook::Xdp, black_box(&denied)));
    });
}

fn in_the_kernel(c: &mut Criterion) {
    let mut run = match TestRun::new() {
        Ok(run) => run,
        Err(why) => {
            eprintln!("skipped: kernel: {why}");
            return;
        }
    };
    run.set_local(&[NODE.into()].into())
        .expect("the kernel takes addresses");
    for size in SIZES {
        run.install_silent(&plan(&rules(size), &Identities::default()))
            .expect("the plan fits");
        for (hook, name) in [(Hook::Xdp, "xdp"), (Hook::TcIngress, "tc")] {
            for (frame, what) in [
                (syn(STRANGER, 22), "denied"),
                (syn([10, 0, 3, 1], 22), "allowed"),
            ] {
                c.bench_function(&format!("{name}/{what}/{size}"), |b| {
                    b.iter_custom(|times| {
                        run.measure(hook, &frame, times).expect("the program runs")
                    });
                });
            }
        }
    }
}

criterion_group!(verdict, compiling, on_the_host, in_the_kernel);
criterion_main!(verdict);
