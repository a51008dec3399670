//! temporary
use std::path::Path;
use std::time::Duration;
use sandbox::guest::{Guest, Kernel};
#[test]
fn adhoc() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let kernel = Kernel::of_series(&std::env::var("SERIES").unwrap()).unwrap();
    let mut guest = Guest::new(&kernel)
        .program(sandbox::binary(&root.join("target")).unwrap())
        .program(env!("CARGO_BIN_EXE_sandbox"))
        .program("ip").program("ethtool")
        .file(root.join("config"), "/config");
    for m in ["bonding","8021q","veth","bridge","macvlan","vxlan","geneve","wireguard","ip_gre","ipip","dummy","sch_ingress","cls_bpf"] { guest = guest.module(m); } guest = guest.nics(4);
    let script = std::fs::read_to_string(std::env::var("SCRIPT").unwrap()).unwrap();
    let out = guest.run(&script, Duration::from_mins(10)).unwrap();
    eprintln!("{}\nstatus {}", out.console, out.status);
}
