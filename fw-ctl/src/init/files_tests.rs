//! Files on a real file system.

use super::*;

fn file(directory: &Path, name: &str, text: &str, shipped: Option<&str>) -> NewFile {
    let at = directory.join(name);
    NewFile::new(Path::new("/").join(name), at, text.into(), shipped)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_there_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (name, text) in [("same", "new"), ("shipped", "shipped"), ("other", "old")] {
        fs::write(dir.join(name), text).unwrap();
    }
    std::os::unix::fs::symlink(dir.join("same"), dir.join("link")).unwrap();
    fs::create_dir(dir.join("directory")).unwrap();
    for (name, expected) in [
        ("none", There::Nothing),
        ("same", There::Same),
        ("shipped", There::Shipped),
        ("other", There::Other),
        ("link", There::Unfit),
        ("directory", There::Unfit),
    ] {
        assert_eq!(
            file(dir, name, "new", Some("shipped")).there,
            expected,
            "{name}"
        );
    }
}

#[test]
fn what_says_something_else_is_replaced_by_force_only_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plan = || {
        vec![
            file(dir, "deep/new.yaml", "1", None),
            file(dir, "other.yaml", "2", None),
            file(dir, "shipped.toml", "3", Some("default")),
            file(dir, "same.yaml", "4", None),
        ]
    };
    let begin = |text: &str| {
        for (name, text) in [
            ("other.yaml", text),
            ("shipped.toml", "default"),
            ("same.yaml", "4"),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        fs::set_permissions(dir.join("other.yaml"), Permissions::from_mode(0o600)).unwrap();
    };
    begin("old");
    let refused = conflict(&plan(), false).unwrap();
    assert_eq!(refused.exit, exit::REFUSED);
    let named = dir.join("other.yaml").display().to_string();
    assert!(
        refused.message.ends_with(&format!("\n{named}")),
        "{}",
        refused.message
    );
    assert!(conflict(&plan(), true).is_none());
    let kept = write(&plan()).unwrap();
    assert_eq!(kept, [None, Some(dir.join("other.yaml.bak")), None, None]);
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(
        [
            "deep/new.yaml",
            "other.yaml",
            "other.yaml.bak",
            "shipped.toml"
        ]
        .map(text),
        ["1", "2", "old", "3"]
    );
    let mode = |name: &str| super::mode(&dir.join(name));
    assert_eq!((mode("other.yaml"), mode("deep/new.yaml")), (0o600, 0o644));
    assert!(plan().iter().all(|file| file.there == There::Same));
    assert_eq!(write(&plan()).unwrap(), [const { None }; 4]);
    // A second time what was kept stays.
    begin("newer");
    let kept = write(&plan()).unwrap();
    assert_eq!(kept[1], Some(dir.join("other.yaml.bak.1")));
    assert_eq!(text("other.yaml.bak"), "old");
    let left = [
        "deep",
        "other.yaml",
        "other.yaml.bak",
        "other.yaml.bak.1",
        "same.yaml",
        "shipped.toml",
    ];
    assert_eq!(names(dir), left);
}

#[test]
fn if_one_cannot_be_written_everything_is_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("a.yaml"), "old").unwrap();
    // No directory can be made below a file.
    let files = [
        file(dir, "a.yaml", "new", None),
        file(dir, "b.yaml", "new", None),
        file(dir, "a.yaml/c.yaml", "new", None),
    ];
    // What can be neither read nor made is unfit.
    assert!(conflict(&files, true).is_some());
    let failure = write(&files).unwrap_err();
    assert_eq!(failure.exit, exit::UNREACHABLE);
    assert!(
        failure.message.contains("a.yaml/c.yaml"),
        "{}",
        failure.message
    );
    assert_eq!(fs::read_to_string(dir.join("a.yaml")).unwrap(), "old");
    assert_eq!(names(dir), ["a.yaml"]);
    // And if the last step fails: a directory is in the way.
    let files = [
        file(dir, "a.yaml", "new", None),
        file(dir, "b.yaml", "new", None),
        file(dir, "d.yaml", "new", None),
    ];
    fs::create_dir_all(dir.join("d.yaml/x")).unwrap();
    let failure = write(&files).unwrap_err();
    assert!(failure.message.contains("d.yaml"), "{}", failure.message);
    assert_eq!(fs::read_to_string(dir.join("a.yaml")).unwrap(), "old");
    assert_eq!(names(dir), ["a.yaml", "d.yaml"]);
}
