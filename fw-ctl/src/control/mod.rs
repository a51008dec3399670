//! The control socket: one JSON object a line, over `control.sock` in the run
//! directory. Whoever may open the socket may ask; only root may change.

pub mod client;
pub(crate) mod places;
pub mod protocol;
pub mod server;
pub mod socket;
