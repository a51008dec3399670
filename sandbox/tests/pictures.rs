//! The README shows every picture that is made, and nothing of the machine on which it was.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sandbox::picture::PICTURES;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_shows_what_the_script_makes() {
    let made: BTreeSet<_> = PICTURES.iter().map(|picture| picture.file).collect();
    assert_eq!(made.len(), PICTURES.len());
    let readme = read("README.md");
    let shown: BTreeSet<_> = readme
        .split("](docs/pictures/")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert_eq!(shown, made);
    let files = fs::read_dir(root().join("docs/pictures")).unwrap();
    let files: BTreeSet<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, made.iter().map(|file| (*file).to_owned()).collect());
    let script = read("scripts/pictures.sh");
    assert!(script.contains("sandbox pictures --out docs/pictures"));
}

#[test]
fn pictures_can_be_read_and_say_nothing_of_the_machine() {
    for picture in PICTURES {
        let svg = read(&format!("docs/pictures/{}", picture.file));
        let title = format!("<title id=\"title\">{}</title>", picture.title);
        assert!(svg.contains(&title), "{}", picture.file);
        assert!(svg.contains(picture.command), "{}", picture.file);
        for path in ["/tmp/", "/work/", "/root/", "/home/", "fw-ctl-lab"] {
            assert!(!svg.contains(path), "{}: {path}", picture.file);
        }
    }
}
