//! What Talos does with the extension: its files come over the root file system, the service is
//! run as its description says, and an `ExtensionServiceConfig` brings files and variables.

use std::fs;
use std::path::PathBuf;

use sandbox::{Container, inventory};
use serde::Deserialize;

use crate::WEB;
use crate::built::Image;
use crate::node::{Node, allowing};

/// Port of Talos' API.
pub const API: u16 = 50000;

/// Where Talos looks for services, and their root file systems.
const SERVICES: &str = "rootfs/usr/local/etc/containers";
const ROOTS: &str = "rootfs/usr/local/lib/containers";

/// The service description, as far as it says what is run.
#[derive(Deserialize)]
pub struct Service {
    name: String,
    container: Process,
    restart: String,
}

#[derive(Deserialize)]
struct Process {
    entrypoint: String,
    args: Vec<String>,
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Mount {
    source: String,
    destination: String,
    options: Vec<String>,
}

impl Service {
    /// The only service of an extension.
    pub fn of(image: &Image) -> Self {
        let services: Vec<_> = fs::read_dir(image.root.join(SERVICES))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let [description] = &services[..] else {
            panic!("{services:?}");
        };
        let text = fs::read_to_string(description).unwrap();
        let service: Self = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(description.file_stem().unwrap(), service.name.as_str());
        assert_eq!(service.restart, "always");
        image.link(&service.root(image));
        service
    }

    fn root(&self, image: &Image) -> PathBuf {
        image.root.join(ROOTS).join(&self.name)
    }

    /// Entrypoint and arguments.
    pub fn line(&self) -> Vec<String> {
        let entrypoint = self.container.entrypoint.clone();
        [vec![entrypoint], self.container.args.clone()].concat()
    }

    /// The container on a node whose machine configuration allows a website, without any
    /// capability yet.
    pub fn container(&self, node: &Node, image: &Image) -> Container {
        let mut container = Container::new(&node.lab.node.namespace, &self.root(image))
            .variable(&format!("FW_CTL_NODE__NAME={}", inventory::NODE));
        for mount in &self.container.mounts {
            let read_only = mount.options.iter().any(|option| option == "ro");
            let source = node.host(&mount.source);
            container = container
                .mount(&source, &mount.destination, read_only)
                .unwrap();
        }
        // The lab's interface, since veths are left alone otherwise.
        let site = "[policy]\nmode = \"enforce\"\n[interfaces]\ninclude = [\"eth0\"]\n";
        for (path, content) in [
            ("/etc/fw-ctl/conf.d/50-site.toml", site),
            ("/etc/fw-ctl/policies/web.yaml", &allowing("web", WEB)),
            ("/etc/fw-ctl/inventory/cluster.yaml", &node.inventory()),
        ] {
            // Talos names the files like this.
            let name = path.trim_start_matches('/').replace('/', "-");
            let file = node.lab.dir.write(&format!("config/{name}"), content);
            container = container.mount(&file.unwrap(), path, true).unwrap();
        }
        container
    }
}
