//! Where the objects of an inventory stand, for who wants to know who says so.
//!
//! A [`Place`] is eight bytes beside each address; file, kind and name stand once for
//! each object, so that `AddressIdentities` with a million entries have one name.

use std::sync::Arc;

/// Where something was written; the default: nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the object in [`Objects`], from 1; 0: nowhere.
    object: u32,
    /// Line of the object, or of the entry in it, from 1.
    line: u32,
}

impl Place {
    /// The same object, on another line.
    pub(super) fn on(self, line: usize) -> Self {
        Self {
            line: number(line),
            ..self
        }
    }
}

/// Every object that gives somebody an address, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    files: Vec<Arc<str>>,
    objects: Vec<Object>,
}

#[derive(Clone, Debug)]
struct Object {
    /// Index of its file.
    file: u32,
    kind: &'static str,
    /// With its namespace, where it has one.
    name: Box<str>,
}

/// A [`Place`] in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'o> {
    /// Kind of the object, as `Pod`.
    pub kind: &'static str,
    /// Its name, with the namespace where it has one: `shop/web`; may be empty.
    pub name: &'o str,
    /// Its file.
    pub file: &'o str,
    /// The line, from 1.
    pub line: u32,
}

impl Objects {
    /// Takes in an object; `line` is where it begins. Objects of one file come one
    /// after the other.
    pub(super) fn add(
        &mut self,
        file: &str,
        kind: &'static str,
        name: String,
        line: usize,
    ) -> Place {
        if self.files.last().is_none_or(|last| last.as_ref() != file) {
            self.files.push(file.into());
        }
        self.objects.push(Object {
            file: number(self.files.len() - 1),
            kind,
            name: name.into(),
        });
        Place {
            object: number(self.objects.len()),
            line: number(line),
        }
    }

    /// What a place of this inventory means; `None`: nobody wrote it.
    #[must_use]
    pub fn written(&self, place: Place) -> Option<Written<'_>> {
        let object = self.objects.get(place.object.checked_sub(1)? as usize)?;
        Some(Written {
            kind: object.kind,
            name: &object.name,
            file: self.files.get(object.file as usize)?,
            line: place.line,
        })
    }
}

/// More lines and objects than that do not fit the limits of files.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_object_file_and_line() {
        let mut objects = Objects::default();
        let pod = objects.add("a.yaml", "Pod", "shop/web".into(), 7);
        let site = objects.add("b.yaml", "AddressIdentities", "site".into(), 1);
        let node = objects.add("b.yaml", "Node", "n1".into(), 90);
        let text = |place| {
            objects
                .written(place)
                .map(|at| format!("{} {} {}:{}", at.kind, at.name, at.file, at.line))
        };
        assert_eq!(text(pod).as_deref(), Some("Pod shop/web a.yaml:7"));
        let entry = site.on(12);
        assert_eq!(
            text(entry).as_deref(),
            Some("AddressIdentities site b.yaml:12")
        );
        assert_eq!(text(node).as_deref(), Some("Node n1 b.yaml:90"));
        assert_eq!(text(Place::default()), None);
        assert_eq!(objects.files.len(), 2);
        // A million entries pay for it.
        assert_eq!(size_of::<Place>(), 8);
    }
}
