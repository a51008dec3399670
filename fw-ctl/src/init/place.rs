//! Where files are: on this machine, or below another root.

use std::path::{Component, Path, PathBuf};

/// The directory that is `/` for the host which is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// `/`, or another directory.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether it is this machine's own: what the kernel says counts then, too.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where a path of the host is here. A path that leads out of the root by `..` stays in it.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if self.is_here() {
            return path.to_owned();
        }
        let parts = path.components();
        let parts = parts.filter(|part| matches!(part, Component::Normal(_)));
        self.0.join(parts.collect::<PathBuf>())
    }

    /// A path of the host that begins at `/`, as configurations have to name it: a daemon may
    /// start anywhere.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        if self.is_here() {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        } else {
            Path::new("/").join(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_below_another_root() {
        let (here, other) = (
            Root::new(Path::new("/")),
            Root::new(Path::new("/srv/image")),
        );
        assert_eq!(here.join("/etc/x"), Path::new("/etc/x"));
        assert_eq!(other.join("/etc/x"), Path::new("/srv/image/etc/x"));
        assert_eq!(other.join("etc/../../x"), Path::new("/srv/image/etc/x"));
        assert_eq!(other.absolute(Path::new("etc/x")), Path::new("/etc/x"));
        assert_eq!(here.absolute(Path::new("/etc/x")), Path::new("/etc/x"));
        assert!(here.absolute(Path::new("x")).is_absolute());
        assert!(here.is_here() && !other.is_here());
    }
}
