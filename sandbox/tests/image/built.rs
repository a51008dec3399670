//! Images of the binary under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A directory of the workspace.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap()
}

/// The binary under test, if this process can use it.
pub fn binary() -> Option<PathBuf> {
    sandbox::binary(&root().join("target"))
}

/// Runs a script of the workspace, with `variable` in its environment.
pub fn script(name: &str, arguments: &[&Path], variable: (&str, &str)) -> Output {
    Command::new(root().join("scripts").join(name))
        .args(arguments)
        .env_remove("FW_IMAGE_ANY_BINARY")
        // Outside of a git repository there is no time to take.
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .env(variable.0, variable.1)
        .output()
        .unwrap()
}

/// The same, which must succeed.
pub fn must(name: &str, arguments: &[&Path], variable: (&str, &str)) {
    let output = script(name, arguments, variable);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
}

/// Both images of a binary, whatever it is linked like.
pub fn build(binary: &Path, out: &Path) {
    must("image.sh", &[binary, out], ("FW_IMAGE_ANY_BINARY", "1"));
}

/// A copy without symbols and debug information, which are most of a debug build.
pub fn stripped(binary: &Path, directory: &Path) -> PathBuf {
    let copy = directory.join("fw-ctl");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&copy).arg(binary);
    if !strip.status().is_ok_and(|status| status.success()) {
        fs::copy(binary, &copy).unwrap();
    }
    copy
}

/// An unpacked image.
pub struct Image {
    /// The root file system of the image.
    pub root: PathBuf,
    config: Value,
    binary: PathBuf,
}

impl Image {
    /// Builds the images of `binary` below `directory`, and unpacks one.
    pub fn unpacked(binary: &Path, name: &str, directory: &Path) -> Self {
        let images = directory.join("images");
        build(&stripped(binary, directory), &images);
        let root = directory.join("unpacked");
        let nothing = ("FW_IMAGE_ANY_BINARY", "");
        must("image-unpack.sh", &[&images.join(name), &root], nothing);
        Self {
            root,
            config: config(&images.join(name)),
            binary: binary.to_owned(),
        }
    }

    /// Puts what the binary needs into a root file system that has it; nothing if it is
    /// statically linked, as what is shipped is.
    pub fn link(&self, root: &Path) {
        for object in sandbox::shared_objects(&self.binary).unwrap() {
            let to = root.join(object.strip_prefix("/").unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&object, to).unwrap();
        }
    }

    /// What the image says is run, with its arguments.
    pub fn line(&self) -> Vec<String> {
        texts(&self.config["config"]["Entrypoint"])
    }

    /// The variables that it says.
    pub fn environment(&self) -> Vec<String> {
        texts(&self.config["config"]["Env"])
    }
}

/// A list of texts.
pub fn texts(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap()
}

/// The blob that a descriptor names.
pub fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    let (kind, hex) = digest.split_once(':').unwrap();
    layout.join("blobs").join(kind).join(hex)
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The manifest of the only image of a layout.
pub fn manifest(layout: &Path) -> Value {
    let index = json(&layout.join("index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    json(&blob(layout, &index["manifests"][0]))
}

/// Its configuration.
pub fn config(layout: &Path) -> Value {
    json(&blob(layout, &manifest(layout)["config"]))
}
