//! A lab whose node is protected, and the policies that the tests are made of.

use std::path::{Path, PathBuf};

use sandbox::{Daemon, DaemonFiles, FwCtl, Lab, Servers, Service, Settings, inventory, tcp, udp};

/// Ports on which the node and the stranger listen.
const SERVICES: [Service; 8] = [
    tcp(22),
    tcp(80),
    tcp(7001),
    tcp(7002),
    udp(53),
    udp(7001),
    udp(7002),
    udp(8472),
];

/// Web, DNS and ping from everybody; everything else denied.
pub const INGRESS_WEB: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "80", protocol: TCP}
      - {port: "53", protocol: UDP}
  - icmps:
    - fields:
      - {family: IPv4, type: EchoRequest}
      - {family: IPv6, type: EchoRequest}
"#;

/// An item that matches nothing: default deny, and nothing allowed.
pub const INGRESS_NOTHING: &str = "
  nodeSelector: {}
  ingress: [{}]
";

/// The same for what the node begins.
pub const EGRESS_NOTHING: &str = "
  nodeSelector: {}
  egress: [{}]
";

/// A clusterwide policy with this spec.
pub fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata:\n  name: {name}\nspec:{spec}"
    )
}

/// A protected node. Fields are dropped in order: the daemon before the lab.
pub struct Fixture {
    pub daemon: Option<Daemon>,
    pub fw_ctl: FwCtl,
    pub node: Servers,
    pub stranger: Servers,
    pub lab: Lab,
}

impl Fixture {
    /// With the daemon running in `mode` and these policies (file name, spec); `None`
    /// (and the reason on stderr) where that is not possible.
    pub fn start(xdp: &'static str, mode: &'static str, specs: &[(&str, &str)]) -> Option<Self> {
        let mut fixture = Self::prepare(xdp, mode, specs)?;
        fixture.daemon = Some(
            fixture
                .fw_ctl
                .start()
                .unwrap_or_else(|error| panic!("{error}")),
        );
        let ingress = match xdp {
            "native" => "xdp-native",
            _ => "tc",
        };
        let status = fixture.fw_ctl.status().unwrap();
        assert_eq!(status.schema, 1);
        assert_eq!(status.ingress(), Some(ingress), "{status:?}");
        assert_eq!(status.mode, mode, "{status:?}");
        assert!(!status.is_degraded(), "{status:?}");
        Some(fixture)
    }

    /// The same without starting the daemon.
    pub fn prepare(xdp: &'static str, mode: &'static str, specs: &[(&str, &str)]) -> Option<Self> {
        let binary = binary()?;
        let lab = Lab::new().expect("the lab can be built");
        let node = Servers::start(&lab.node, &SERVICES).unwrap();
        let stranger = Servers::start(&lab.stranger, &SERVICES).unwrap();
        let settings = Settings {
            node: inventory::NODE,
            mode,
            include: "eth0",
            xdp,
        };
        let files = DaemonFiles::new(&lab, &settings).unwrap();
        lab.dir
            .write("inventory/cluster.yaml", &inventory::rke2(&lab))
            .unwrap();
        let fixture = Self {
            daemon: None,
            fw_ctl: FwCtl::new(&lab, &binary, files).unwrap(),
            node,
            stranger,
            lab,
        };
        for (name, spec) in specs {
            fixture.write_policy(name, spec);
        }
        Some(fixture)
    }

    /// Writes a policy file as an editor would: the daemon sees the old or the new
    /// one, never half of it.
    pub fn write_policy(&self, name: &str, spec: &str) {
        let new = self
            .lab
            .dir
            .write("policy.new", &policy(name, spec))
            .unwrap();
        let place = self.fw_ctl.files().policies.join(format!("{name}.yaml"));
        std::fs::rename(new, place).unwrap();
    }

    /// `fw-ctl reload`, which must succeed, whatever it cuts of what the test has open.
    pub fn reload(&self) {
        self.fw_ctl
            .must(&["reload", "--force"])
            .unwrap_or_else(|error| panic!("{error}\n{}", self.fw_ctl.log()));
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill_daemon(&mut self) {
        let daemon = self.daemon.take().expect("the daemon runs");
        daemon.kill().unwrap();
    }

    /// Starts the daemon again.
    pub fn restart_daemon(&mut self) {
        self.daemon = Some(
            self.fw_ctl
                .start()
                .unwrap_or_else(|error| panic!("{error}")),
        );
    }
}

/// The binary under test, if this process can use it.
pub fn binary() -> Option<PathBuf> {
    sandbox::binary(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
}
