//! What is shipped for Kubernetes and Talos: rights, mounts, and examples that are valid.
//!
//! What they do is tested in `sandbox/tests/image.rs`.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

const DAEMON_SET: &str = include_str!("../../packaging/kubernetes/daemonset.yaml");
const UNIT: &str = include_str!("../../packaging/systemd/fw-ctl.service");
const SERVICE: &str = include_str!("../../packaging/talos/fw-ctl.yaml");
const EXTENSION: &str = include_str!("../../packaging/talos/manifest.yaml");
const MACHINE_CONFIG: &str = include_str!("../../packaging/talos/extension-service-config.yaml");
const TALOS_DEFAULTS: &str = include_str!("../../packaging/talos/10-talos.toml");
const DEFAULTS: &str = include_str!("../../config/fw-ctl.toml");

fn documents() -> Vec<Value> {
    serde_saphyr::from_multiple(DAEMON_SET).unwrap()
}

fn document(kind: &str) -> Value {
    let mut of_kind = documents()
        .into_iter()
        .filter(|document| document["kind"] == kind);
    of_kind.next().unwrap()
}

fn pod() -> Value {
    document("DaemonSet")["spec"]["template"]["spec"].clone()
}

fn process() -> Value {
    let containers = pod()["containers"].as_array().unwrap().clone();
    assert_eq!(containers.len(), 1);
    assert!(pod().get("initContainers").is_none());
    containers[0].clone()
}

/// A list of texts, sorted.
fn set(list: &Value) -> BTreeSet<String> {
    serde_json::from_value(list.clone()).unwrap()
}

#[test]
fn the_pod_has_the_capabilities_of_the_unit_and_no_others() {
    let of_unit: BTreeSet<_> = UNIT
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="))
        .unwrap()
        .split(' ')
        .map(|name| name.strip_prefix("CAP_").unwrap().to_owned())
        .collect();
    assert_eq!(
        of_unit.iter().collect::<Vec<_>>(),
        ["BPF", "NET_ADMIN", "PERFMON"]
    );
    let security = &process()["securityContext"];
    assert_eq!(set(&security["capabilities"]["add"]), of_unit);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(security["privileged"], false);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(
        pod()["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
}

#[test]
fn the_pod_has_nothing_of_the_host_but_its_network_and_three_directories() {
    let pod = pod();
    assert_eq!(pod["hostNetwork"], true);
    for key in ["hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        assert!(pod.get(key).is_none(), "{key}");
    }
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(
        document("ServiceAccount")["automountServiceAccountToken"],
        false
    );
    assert_eq!(pod["enableServiceLinks"], false);
    let volumes = pod["volumes"].as_array().unwrap();
    let host: Vec<_> = volumes
        .iter()
        .filter_map(|volume| volume["hostPath"]["path"].as_str())
        .collect();
    assert_eq!(host, ["/sys/fs/bpf", "/var/lib/fw-ctl", "/run/fw-ctl"]);
    // Mounted where the defaults look, and what is the operator's cannot be written.
    for mount in process()["volumeMounts"].as_array().unwrap() {
        let path = mount["mountPath"].as_str().unwrap();
        if !path.ends_with("/conf.d") {
            assert!(DEFAULTS.contains(&format!("\"{path}")), "{path}");
        }
        let written = host.contains(&path);
        assert_eq!(mount["readOnly"] == true, !written, "{path}");
        // Bidirectional would take a privileged container.
        assert_ne!(mount["mountPropagation"], "Bidirectional", "{path}");
    }
}

#[test]
fn every_node_has_one_and_only_one() {
    let pod = pod();
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert!(pod.get("nodeSelector").is_none() && pod.get("affinity").is_none());
    let update = &document("DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(update["maxSurge"], 0);
    let of_unit = UNIT
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="));
    let seconds = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert_eq!(of_unit, Some(format!("{seconds}s").as_str()));
    let image = process()["image"].as_str().unwrap().to_owned();
    assert!(
        image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))),
        "{image}"
    );
    // All in one namespace, which admits such pods.
    for document in documents() {
        let is_namespace = document["kind"] == "Namespace";
        let key = if is_namespace { "name" } else { "namespace" };
        assert_eq!(document["metadata"][key], "fw-ctl", "{}", document["kind"]);
    }
    let labels = &document("Namespace")["metadata"]["labels"];
    assert_eq!(
        labels["pod-security.kubernetes.io/enforce"], "privileged",
        "{labels}"
    );
}

/// Runs the program; stdout, which must come with exit code 0.
fn fw_ctl(arguments: &[&Path]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// That the program takes a directory as it would be `/etc/fw-ctl`.
fn valid(etc: &Path) {
    std::fs::write(etc.join("fw-ctl.toml"), DEFAULTS).unwrap();
    let [policies, inventory, config] =
        ["policies", "inventory", "fw-ctl.toml"].map(|name| etc.join(name));
    let path = Path::new;
    let lines = fw_ctl(&[
        path("policy"),
        path("validate"),
        &policies,
        path("-o"),
        path("json"),
    ]);
    assert!(!lines.is_empty());
    for line in lines.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        assert_eq!(document["result"], "accept", "{line}");
        assert_eq!(document["warnings"], json!([]), "{line}");
    }
    // Exits with 1 where anything is probably a mistake, with 3 where a file is wrong.
    fw_ctl(&[
        path("policy"),
        path("lint"),
        &policies,
        path("--inventory"),
        &inventory,
        path("--config"),
        &config,
    ]);
}

#[test]
fn the_config_maps_are_valid() {
    let etc = tempfile::tempdir().unwrap();
    let mounts = process()["volumeMounts"].as_array().unwrap().clone();
    let volumes = pod()["volumes"].as_array().unwrap().clone();
    let mut files = 0;
    for map in documents() {
        if map["kind"] != "ConfigMap" {
            continue;
        }
        let volume = volumes
            .iter()
            .find(|volume| volume["configMap"]["name"] == map["metadata"]["name"])
            .unwrap();
        let mount = mounts
            .iter()
            .find(|mount| mount["name"] == volume["name"])
            .unwrap();
        let path = mount["mountPath"].as_str().unwrap();
        let directory = etc.path().join(path.strip_prefix("/etc/fw-ctl/").unwrap());
        std::fs::create_dir(&directory).unwrap();
        for (name, content) in map["data"].as_object().unwrap() {
            files += 1;
            std::fs::write(directory.join(name), content.as_str().unwrap()).unwrap();
        }
    }
    assert_eq!(files, 3);
    valid(etc.path());
}

/// What Talos knows of a service; anything else it would refuse or overlook.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    container: Container,
    depends: Vec<Value>,
    restart: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Container {
    entrypoint: String,
    args: Vec<String>,
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mount {
    source: String,
    destination: String,
    #[serde(rename = "type")]
    kind: String,
    options: Vec<String>,
}

#[test]
fn talos_understands_the_service() {
    let service: Service = serde_saphyr::from_str(SERVICE).unwrap();
    assert_eq!(service.name, "fw-ctl");
    assert_eq!(service.restart, "always");
    assert_eq!(service.container.entrypoint, "/usr/sbin/fw-ctl");
    assert_eq!(service.container.args, ["daemon"]);
    let mut places = Vec::new();
    for mount in &service.container.mounts {
        assert_eq!(mount.kind, "bind");
        assert_eq!(mount.source, mount.destination);
        assert!(mount.options.iter().any(|option| option == "rw"));
        places.push(&*mount.source);
    }
    assert_eq!(places, ["/sys/fs/bpf", "/var/lib/fw-ctl", "/run/fw-ctl"]);
    // One thing each, as Talos wants it. Not `service: cri`, which waits for the network.
    assert_eq!(
        service.depends,
        [
            json!({"configuration": true}),
            json!({"path": "/var/lib"}),
            json!({"network": ["hostname"]}),
        ]
    );
}

#[test]
fn talos_understands_the_manifest() {
    let manifest: Value = serde_saphyr::from_str(EXTENSION).unwrap();
    assert_eq!(manifest["version"], "v1alpha1");
    let metadata = &manifest["metadata"];
    assert_eq!(metadata["name"], "fw-ctl");
    // Put in by the script that makes the image.
    assert_eq!(metadata["version"], "@VERSION@");
    for key in ["author", "description"] {
        assert!(metadata[key].as_str().is_some_and(|text| !text.is_empty()));
    }
    let talos = &metadata["compatibility"]["talos"]["version"];
    assert_eq!(talos, ">= v1.7.0");
}

#[test]
fn the_example_of_a_machine_configuration_is_valid() {
    let document: Value = serde_saphyr::from_str(MACHINE_CONFIG).unwrap();
    let service: Service = serde_saphyr::from_str(SERVICE).unwrap();
    assert_eq!(document["apiVersion"], "v1alpha1");
    assert_eq!(document["kind"], "ExtensionServiceConfig");
    assert_eq!(document["name"], service.name.as_str());
    let etc = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = etc.path().join(path.strip_prefix("/etc/fw-ctl/").unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("/etc/fw-ctl/conf.d/10-talos.toml", TALOS_DEFAULTS);
    for file in document["configFiles"].as_array().unwrap() {
        let path = file["mountPath"].as_str().unwrap();
        write(path, file["content"].as_str().unwrap());
    }
    valid(etc.path());
    // Talos' API passes, with the example and without.
    for text in [TALOS_DEFAULTS, MACHINE_CONFIG] {
        assert!(text.contains("inbound = [{ protocol = \"tcp\", port = 50000"));
    }
}
