//! Tables that are read and written in place, without system calls.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::Path;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::error::DatapathError;
use super::tables::{open_data, reading};

/// An array of `T`, mapped. Others change it meanwhile.
pub struct Mapped<T> {
    memory: NonNull<T>,
    bytes: NonZeroUsize,
    count: u32,
}

// SAFETY: the mapping belongs to the process, not to a thread; whoever touches it through
// the pointers that it hands out reckons with other writers.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl<T> Mapped<T> {
    /// Maps the table pinned in `directory` under `name`.
    ///
    /// # Errors
    /// The pin is missing or has entries of another size, or the kernel refuses.
    pub fn open(directory: &Path, name: &'static str) -> Result<Self, DatapathError> {
        let table = open_data(directory, name)?;
        let info = table.info().map_err(reading(name))?;
        let count = info.max_entries();
        let bytes = NonZeroUsize::new(count as usize * size_of::<T>())
            .filter(|_| info.value_size() as usize == size_of::<T>())
            .ok_or_else(|| DatapathError::ForeignPins {
                path: directory.to_owned(),
                why: format!("{name} has other entries"),
            })?;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let memory = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                table.fd().as_fd(),
                0,
            )
        };
        let memory = memory
            .map_err(|errno| DatapathError::io(format!("mapping the table {name}"), &errno.into()))?
            .cast();
        Ok(Self {
            memory,
            bytes,
            count,
        })
    }

    /// How many entries there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Where an entry is: inside the mapping, which lives as long as `self`.
    pub fn entry(&self, number: u32) -> *mut T {
        assert!(number < self.count, "a place is inside the table");
        // SAFETY: inside the mapping, as was just seen.
        unsafe { self.memory.as_ptr().add(number as usize) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: what `open` mapped, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.memory.cast(), self.bytes.get()) };
        debug_assert!(unmapped.is_ok(), "the mapping is ours");
    }
}
