//! Plain lists of prefixes: files of one address or prefix a line, as blocklists are
//! published.
//!
//! Such a file in a directory of the inventory is a CIDR group, named after the file:
//! policies refer to `spamhaus.netset` by `cidrGroupRef: spamhaus`. Lists have up to
//! millions of entries, so they are kept as compact [`Prefixes`] and read with as
//! little work as possible; of the text nothing is kept.

mod address;
mod file;
pub mod moment;
mod parse;
mod prefixes;
mod shrink;

pub use file::{Found, LIMIT, List, ListFiles, SUFFIXES, is_list, without_lists};
pub use prefixes::{Entry, Family, Prefixes};
pub use shrink::Lost;
