//! Loading the programs and finding them in the objects.

use std::path::Path;

use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use fw_common::wire::Direction;

use super::error::DatapathError;
use super::objects;

const XDP: &str = "fw_xdp";
const TC_INGRESS: &str = "fw_tc_ingress";
const TC_EGRESS: &str = "fw_tc_egress";

/// The loaded programs. Their maps are pinned; both objects share them by that.
pub struct Programs {
    xdp: Ebpf,
    tc: Ebpf,
}

impl Programs {
    /// Loads the programs with the maps pinned in `maps`; makes and pins those
    /// that are not there. `sizes` overrides numbers of entries, by map.
    ///
    /// # Errors
    /// The binary has no programs, or the kernel refuses them.
    pub fn load(maps: &Path, sizes: &[(&'static str, u32)]) -> Result<Self, DatapathError> {
        let missing = |missing: objects::Missing| DatapathError::NoPrograms(missing.to_string());
        let load = |object: &[u8]| {
            let mut loader = EbpfLoader::new();
            loader.default_map_pin_directory(maps);
            for (name, entries) in sizes {
                loader.map_max_entries(name, *entries);
            }
            loader
                .load(object)
                .map_err(|error| DatapathError::aya("making the tables", &error))
        };
        let mut programs = Self {
            xdp: load(objects::xdp().map_err(missing)?)?,
            tc: load(objects::tc().map_err(missing)?)?,
        };
        let failed = |name: &'static str| {
            move |error| DatapathError::aya(format!("loading the program {name}"), &error)
        };
        programs.xdp_mut()?.load().map_err(failed(XDP))?;
        for (direction, name) in [
            (Direction::Ingress, TC_INGRESS),
            (Direction::Egress, TC_EGRESS),
        ] {
            programs.tc_mut(direction)?.load().map_err(failed(name))?;
        }
        Ok(programs)
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
        let name = match direction {
            Direction::Ingress => TC_INGRESS,
            Direction::Egress => TC_EGRESS,
        };
        program(&mut self.tc, name)
    }
}

fn program<'a, T>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut T, DatapathError>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program>,
{
    object
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| DatapathError::NoPrograms(format!("its object has no program {name}")))
}
