//! Lines that the programs themselves write (aya-log): only where they were built to, by the
//! feature `ebpf-log`.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use aya::programs::ProgramError;
use aya_log::EbpfLogger;
use fw_common::wire::Direction;
use log::{Log, Metadata, Record};

use super::error::DatapathError;
use super::live::Datapath;

/// Lines of one object that are printed in a second; what is beyond is counted. A flood has a
/// million.
const LINES: u32 = 1_000;

/// The lines of the programs of one object.
pub struct EbpfLog(EbpfLogger<Paced>);

impl EbpfLog {
    /// Prints what was written by now.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

impl Datapath {
    /// The lines of each object, for one reader at a time.
    ///
    /// # Errors
    /// The objects in this binary write none, or the kernel refuses.
    pub fn ebpf_logs(&mut self) -> Result<[EbpfLog; 2], DatapathError> {
        // One program of an object is enough: all of it write to one buffer.
        let xdp = self.programs.xdp_mut()?.info();
        let tc = self.programs.tc_mut(Direction::Ingress)?.info();
        let id = |info: Result<aya::programs::ProgramInfo, ProgramError>| {
            let info =
                info.map_err(|error| DatapathError::aya("asking for the id of a program", &error))?;
            let logger = EbpfLogger::init_from_id_with_logger(info.id(), Paced::default());
            logger
                .map(EbpfLog)
                .map_err(|error| DatapathError::aya("opening the log of the programs", &error))
        };
        Ok([id(xdp)?, id(tc)?])
    }
}

/// Hands lines on to the log of the daemon, so many a second.
#[derive(Default)]
struct Paced(Mutex<Second>);

/// What was printed in the present second.
#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    printed: u32,
    skipped: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Printed,
    Skipped,
    /// Printed, after so many of the second before that were not.
    After(u64),
}

impl Second {
    fn fate(&mut self, now: Instant) -> Fate {
        let over = |began| now.duration_since(began) >= Duration::from_secs(1);
        if self.began.is_none_or(over) {
            let skipped = self.skipped;
            *self = Self {
                began: Some(now),
                printed: 1,
                skipped: 0,
            };
            return match skipped {
                0 => Fate::Printed,
                skipped => Fate::After(skipped),
            };
        }
        if self.printed < LINES {
            self.printed += 1;
            return Fate::Printed;
        }
        self.skipped += 1;
        Fate::Skipped
    }
}

impl Log for Paced {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut second = match self.0.lock() {
            Ok(second) => second,
            // Whoever panicked has counted wrong at most.
            Err(poisoned) => poisoned.into_inner(),
        };
        let fate = second.fate(Instant::now());
        drop(second);
        if let Fate::After(skipped) = fate {
            tracing::warn!("eBPF: {skipped} lines were skipped: more than {LINES} in a second");
        }
        if fate != Fate::Skipped {
            tracing::info!("eBPF: {}", record.args());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_in_the_next_second() {
        let (mut second, began) = (Second::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(second.fate(began), Fate::Printed);
        }
        let later = began + Duration::from_millis(999);
        assert_eq!(second.fate(later), Fate::Skipped);
        assert_eq!(second.fate(later), Fate::Skipped);
        let next = began + Duration::from_secs(1);
        assert_eq!(second.fate(next), Fate::After(2));
        assert_eq!(second.fate(next), Fate::Printed);
        assert_eq!(second.fate(next + Duration::from_secs(5)), Fate::Printed);
    }
}
