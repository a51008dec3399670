//! Exit codes: the same for every command.

/// Fine, allowed, no difference.
pub const OK: u8 = 0;
/// A negative answer: denied, differs, degraded, a test failed.
pub const NEGATIVE: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// Invalid policy, inventory or configuration.
pub const INVALID: u8 = 3;
/// Refused for safety.
pub const REFUSED: u8 = 4;
/// Daemon or kernel unreachable or unsupported.
pub const UNREACHABLE: u8 = 5;
/// Applied but reverted.
pub const REVERTED: u8 = 6;
