//! What a kubelet makes of `packaging/kubernetes/daemonset.yaml`, on a node that is not the
//! example's: the policy is the test's, and mode and interface.

use std::fs;

use sandbox::{Container, inventory};
use serde_json::Value;

use crate::WEB;
use crate::built::{Image, root, texts};
use crate::node::{Node, allowing};

/// Port of a failsafe entry of the manifest.
pub const SSH: u16 = 22;

/// The documents of the manifest.
pub struct Pod(Vec<Value>);

impl Pod {
    /// As it is shipped.
    pub fn shipped() -> Self {
        let path = root().join("packaging/kubernetes/daemonset.yaml");
        let text = fs::read_to_string(path).unwrap();
        Self(serde_saphyr::from_multiple(&text).unwrap())
    }

    fn document(&self, kind: &str, name: &str) -> &Value {
        let mut documents = self.0.iter();
        documents
            .find(|document| document["kind"] == kind && document["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    fn spec(&self) -> &Value {
        &self.document("DaemonSet", "fw-ctl")["spec"]["template"]["spec"]
    }

    fn process(&self) -> &Value {
        &self.spec()["containers"][0]
    }

    /// The container on a node, with the capabilities that the manifest asks for.
    pub fn container(&self, node: &Node, image: &Image) -> Container {
        image.link(&image.root);
        let process = self.process();
        // Then the image says what is run.
        assert!(process.get("command").is_none() && process.get("args").is_none());
        let mut container = Container::new(&node.lab.node.namespace, &image.root);
        for variable in image.environment() {
            container = container.variable(&variable);
        }
        for variable in process["env"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap();
            assert_eq!(
                variable["valueFrom"]["fieldRef"]["fieldPath"],
                "spec.nodeName"
            );
            container = container.variable(&format!("{name}={}", inventory::NODE));
        }
        for mount in process["volumeMounts"].as_array().unwrap() {
            let volumes = self.spec()["volumes"].as_array().unwrap();
            let volume = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"])
                .unwrap();
            let source = match volume["hostPath"]["path"].as_str() {
                Some(path) => node.host(path),
                None => {
                    let name = volume["configMap"]["name"].as_str().unwrap();
                    let files = self.files(node, name);
                    let files = files.iter().map(|(name, text)| (&**name, &**text));
                    node.config_map(name, &files.collect::<Vec<_>>())
                }
            };
            let destination = mount["mountPath"].as_str().unwrap();
            let read_only = mount["readOnly"] == true;
            container = container.mount(&source, destination, read_only).unwrap();
        }
        let security = &process["securityContext"];
        assert_eq!(texts(&security["capabilities"]["drop"]), ["ALL"]);
        let numbers: Vec<u8> = texts(&security["capabilities"]["add"])
            .iter()
            .map(|name| number(name))
            .collect();
        container.capabilities(&numbers)
    }

    /// The files of a `ConfigMap`, made the lab's.
    fn files(&self, node: &Node, name: &str) -> Vec<(String, String)> {
        let own = |file: &str, text: String| vec![(file.to_owned(), text)];
        match name {
            "fw-ctl-policies" => own("web.yaml", allowing("web", WEB)),
            "fw-ctl-inventory" => own("cluster.yaml", node.inventory()),
            _ => {
                let data = &self.document("ConfigMap", name)["data"];
                let shipped = data["50-cluster.toml"].as_str().unwrap();
                let enforced = shipped.replace("mode = \"audit\"", "mode = \"enforce\"");
                assert_ne!(enforced, shipped);
                // The lab's interface, since veths are left alone otherwise.
                let lab = "[interfaces]\ninclude = [\"eth0\"]\n".to_owned();
                let mut files = own("50-cluster.toml", enforced);
                files.extend(own("90-lab.toml", lab));
                files
            }
        }
    }

    /// Adds a policy to the `ConfigMap`, as it comes to the node when somebody changes it.
    pub fn update(&self, node: &Node, file: &str, content: &str) {
        let name = "fw-ctl-policies";
        let mut files = self.files(node, name);
        files.push((file.to_owned(), content.to_owned()));
        let files = files.iter().map(|(name, text)| (&**name, &**text));
        node.config_map(name, &files.collect::<Vec<_>>());
    }

    /// The commands of the probes.
    pub fn probes(&self) -> Vec<Vec<String>> {
        ["startupProbe", "livenessProbe", "readinessProbe"]
            .map(|name| texts(&self.process()[name]["exec"]["command"]))
            .to_vec()
    }
}

/// Numbers of `linux/capability.h`.
fn number(name: &str) -> u8 {
    match name {
        "NET_ADMIN" => 12,
        "PERFMON" => 38,
        "BPF" => 39,
        other => panic!("{other} is none of the three"),
    }
}
