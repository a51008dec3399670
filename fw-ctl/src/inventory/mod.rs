//! Who is who: addresses, their identities, and CIDR groups.
