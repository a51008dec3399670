//! Loading the programs and finding them in the objects.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use aya::programs::{Program, ProgramInfo, SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use fw_common::wire::Direction;

use super::error::DatapathError;
use super::peer_store::{self, PEERS};
use super::pins::names;
use super::{host, objects};

/// Name of the XDP program, in the object and in the kernel.
pub const XDP: &str = "fw_xdp";
const TC_INGRESS: &str = "fw_tc_ingress";
const TC_EGRESS: &str = "fw_tc_egress";
const L3_INGRESS: &str = "fw_l3_ingress";
const L3_EGRESS: &str = "fw_l3_egress";
const CLOCK: &str = "fw_clock";

/// Bytes of the shortest frame that the kernel runs a program on: its Ethernet header.
const SHORTEST_FRAME: usize = 14;

/// The loaded programs. Their maps are pinned; both objects share them by that.
pub struct Programs {
    xdp: Ebpf,
    tc: Ebpf,
    /// Names of the maps that are pinned.
    pinned: Vec<String>,
}

impl Programs {
    /// Loads the programs with the maps pinned in `maps`; makes and pins those
    /// that are not there. `sizes` overrides numbers of entries, by map.
    ///
    /// # Errors
    /// The binary has no programs, or the kernel refuses them.
    pub fn load(maps: &Path, sizes: &[(&'static str, u32)]) -> Result<Self, DatapathError> {
        peer_store::prepare(maps)?;
        let missing = |missing: objects::Missing| DatapathError::NoPrograms(missing.to_string());
        let load = |object: &[u8]| {
            let mut loader = EbpfLoader::new();
            loader.default_map_pin_directory(maps);
            // An array of maps cannot say in the object that it is pinned.
            loader.map_pin_path(PEERS, maps.join(PEERS));
            for (name, entries) in sizes {
                loader.map_max_entries(name, *entries);
            }
            loader
                .load(object)
                .map_err(|error| DatapathError::aya("making the tables", &error))
        };
        let xdp = objects::xdp().map_err(missing)?;
        let xdp = if host::has_xdp_frags() {
            Cow::Borrowed(xdp)
        } else {
            Cow::Owned(without_frags(xdp))
        };
        let mut programs = Self {
            xdp: load(&xdp)?,
            tc: load(objects::tc().map_err(missing)?)?,
            pinned: names(maps)?,
        };
        programs.xdp_mut()?;
        for direction in [Direction::Ingress, Direction::Egress] {
            programs.tc_mut(direction)?;
        }
        programs.verify(|name| !is_headerless(name))?;
        Ok(programs)
    }

    /// Hands the kernel those of the wanted programs that it has not got yet, side by side:
    /// its verifier takes some tenths of a second for each.
    fn verify(&mut self, wanted: fn(&str) -> bool) -> Result<(), DatapathError> {
        let programs = self.xdp.programs_mut().chain(self.tc.programs_mut());
        let programs = programs.filter(|(name, _)| wanted(name));
        thread::scope(|scope| {
            let mut loading = Vec::new();
            for (name, program) in programs {
                let load = move || match program {
                    Program::Xdp(program) if program.fd().is_err() => program.load(),
                    Program::SchedClassifier(program) if program.fd().is_err() => program.load(),
                    _ => Ok(()),
                };
                loading.push((name, scope.spawn(load)));
            }
            for (name, thread) in loading {
                let loaded = thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                loaded.map_err(|error| {
                    DatapathError::aya(format!("loading the program {name}"), &error)
                })?;
            }
            Ok(())
        })
    }

    /// Whether every map is pinned in `maps`.
    #[must_use]
    pub fn are_pinned(&self, maps: &Path) -> bool {
        self.pinned.iter().all(|name| maps.join(name).exists())
    }

    /// Pins the maps of these programs in `maps` where they are not: the programs
    /// have kept them alive.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn pin(&self, maps: &Path) -> Result<(), DatapathError> {
        for (name, map) in self.xdp.maps().chain(self.tc.maps()) {
            let path = maps.join(name);
            if self.pinned.iter().any(|pinned| pinned == name) && !path.exists() {
                map.pin(&path).map_err(|error| {
                    DatapathError::aya(format!("pinning the table {name} again"), &error)
                })?;
            }
        }
        Ok(())
    }

    /// Seconds of the datapath's clock: only a program can read it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn now(&self) -> Result<u32, DatapathError> {
        let clock: &SchedClassifier = self
            .tc
            .program(CLOCK)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| without(CLOCK))?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&[0; SHORTEST_FRAME]);
        options.repeat = 1;
        let run = clock
            .test_run(options)
            .map_err(|error| DatapathError::aya("asking the datapath for its clock", &error))?;
        Ok(run.return_value)
    }

    /// What the kernel tells of the programs that it has.
    #[must_use]
    pub fn infos(&self) -> Vec<ProgramInfo> {
        let programs = self.xdp.programs().chain(self.tc.programs());
        programs
            .filter_map(|(_, program)| program.info().ok())
            .collect()
    }

    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<u32> {
        self.infos().iter().map(ProgramInfo::id).collect()
    }

    /// The XDP program.
    ///
    /// # Errors
    /// The object does not contain it.
    pub fn xdp_mut(&mut self) -> Result<&mut Xdp, DatapathError> {
        program(&mut self.xdp, XDP)
    }

    /// The TC program of a direction.
    ///
    /// # Errors
    /// The object does not contain it.
    pub fn tc_mut(&mut self, direction: Direction) -> Result<&mut SchedClassifier, DatapathError> {
        program(&mut self.tc, tc_name(direction))
    }

    /// The TC program of a direction for interfaces without an Ethernet header. The
    /// first time the kernel gets both: most nodes have no such interface, and need not
    /// pay for them.
    ///
    /// # Errors
    /// The object does not contain it, or the kernel refuses it.
    pub fn headerless_mut(
        &mut self,
        direction: Direction,
    ) -> Result<&mut SchedClassifier, DatapathError> {
        let name = headerless_name(direction);
        let program: &mut SchedClassifier = program(&mut self.tc, name)?;
        if program.fd().is_err() {
            self.verify(is_headerless)?;
        }
        self::program(&mut self.tc, name)
    }
}

/// Name of the TC program of a direction, in the object and in the kernel.
#[must_use]
pub fn tc_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => TC_INGRESS,
        Direction::Egress => TC_EGRESS,
    }
}

/// Name of the TC program of a direction for interfaces without an Ethernet header.
#[must_use]
pub fn headerless_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => L3_INGRESS,
        Direction::Egress => L3_EGRESS,
    }
}

fn is_headerless(name: &str) -> bool {
    [L3_INGRESS, L3_EGRESS].contains(&name)
}

/// Whether a program of this name is fw-ctl's.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    [XDP, TC_INGRESS, TC_EGRESS].contains(&name) || is_headerless(name)
}

fn program<'a, T>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut T, DatapathError>
where
    &'a mut T: TryFrom<&'a mut Program>,
{
    object
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| without(name))
}

fn without(name: &str) -> DatapathError {
    DatapathError::NoPrograms(format!("its object has no program {name}"))
}

/// The object with its program in the section `xdp` instead of `xdp.frags`:
/// older kernels do not know the flag that aya derives from the latter. Drivers
/// then refuse it where frames can have several buffers, and TC serves.
///
/// The name is cut by a zero byte wherever it stands, because string tables share
/// the ends of names (`.relxdp.frags`).
#[must_use]
pub fn without_frags(object: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"xdp.frags";
    const CUT: &[u8] = b"xdp\0frags";
    let mut object = object.to_vec();
    let mut from = 0;
    while let Some(at) = object[from..]
        .windows(NAME.len())
        .position(|window| window == NAME)
    {
        from += at;
        object[from..from + CUT.len()].copy_from_slice(CUT);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_section_is_cut_and_nothing_moves() {
        let object = b"head\0.relxdp.frags\0license\0xdp.frags\0";
        assert_eq!(
            without_frags(object),
            b"head\0.relxdp\0frags\0license\0xdp\0frags\0"
        );
    }
    #[test]
    fn ours_have_the_names_of_our_objects() {
        for name in [
            "fw_xdp",
            "fw_tc_ingress",
            "fw_tc_egress",
            "fw_l3_ingress",
            "fw_l3_egress",
        ] {
            assert!(is_ours(name), "{name}");
            // The kernel cuts names that are longer.
            assert!(name.len() < 16, "{name}");
        }
        for name in ["", "xdp_dispatcher", "cil_from_netdev", "fw_tc"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
