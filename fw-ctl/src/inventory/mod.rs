//! Who is who: addresses, their identities, and CIDR groups.

mod identities;

pub use identities::{Identities, longest_prefix};
