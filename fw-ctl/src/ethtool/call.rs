//! The ioctl: requests and answers as words, in the order of linux/ethtool.h.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// `ETHTOOL_GDRVINFO`
const GET_DRIVER: u32 = 0x03;
/// `ETHTOOL_GSTRINGS`
const GET_NAMES: u32 = 0x1b;
/// `ETHTOOL_GSSET_INFO`
const GET_LENGTHS: u32 = 0x37;
/// `ETHTOOL_GFEATURES`
const GET_FEATURES: u32 = 0x3a;
/// `ETHTOOL_GCHANNELS`
const GET_CHANNELS: u32 = 0x3c;

/// Words of a name (`ETH_GSTRING_LEN`).
const NAME: usize = 8;

/// A question.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// Who drives the interface: five names of 32 bytes, then numbers.
    Driver,
    /// How many names are in a set: the last word.
    Lengths {
        /// Number of the set.
        set: u32,
    },
    /// The names of a set.
    Names {
        /// Number of the set.
        set: u32,
        /// How many there are, by [`Request::Lengths`].
        count: usize,
    },
    /// Features, four words for every 32.
    Features {
        /// How many times 32.
        blocks: usize,
    },
    /// Queues, eight words.
    Channels,
}

impl Request {
    /// The request with room for the answer, and how many words stand before the answer.
    fn words(self) -> (Vec<u32>, usize) {
        let with = |head: &[u32], room: usize| {
            let mut words = head.to_vec();
            words.resize(head.len() + room, 0);
            (words, head.len())
        };
        match self {
            // struct ethtool_drvinfo: 196 bytes.
            Self::Driver => with(&[GET_DRIVER], 48),
            Self::Lengths { set } => {
                // struct ethtool_sset_info: a word unused, 64 bits of which one is set, and a
                // word for it.
                let bits = (1_u64 << set).to_ne_bytes();
                let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|i| bits[at + i]));
                with(&[GET_LENGTHS, 0, word(0), word(4)], 1)
            }
            Self::Names { set, count } => with(&[GET_NAMES, set, count as u32], count * NAME),
            Self::Features { blocks } => with(&[GET_FEATURES, blocks as u32], blocks * 4),
            // struct ethtool_channels: 36 bytes.
            Self::Channels => with(&[GET_CHANNELS], 8),
        }
    }
}

/// An interface of this network namespace.
pub struct Interface {
    name: [libc::c_char; libc::IFNAMSIZ],
    /// Any socket will do: the ioctl asks for the network namespace only.
    socket: UnixDatagram,
}

impl Interface {
    /// An interface by its name, which need not exist.
    ///
    /// # Errors
    /// No interface can have this name, or no socket is to be had.
    pub fn new(text: &str) -> io::Result<Self> {
        let fits = (1..libc::IFNAMSIZ).contains(&text.len()) && !text.contains('\0');
        if !fits {
            let why = format!("{text:?} cannot be the name of an interface");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut name = [0; libc::IFNAMSIZ];
        for (to, from) in name.iter_mut().zip(text.bytes()) {
            *to = from as libc::c_char;
        }
        let socket = UnixDatagram::unbound()?;
        Ok(Self { name, socket })
    }

    /// Asks, and returns the words behind the head of the request.
    ///
    /// # Errors
    /// There is no such interface, or its driver does not answer this.
    pub fn ask(&self, request: Request) -> io::Result<Vec<u32>> {
        let (mut words, head) = request.words();
        let mut call = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_data: words.as_mut_ptr().cast(),
            },
        };
        // SAFETY: `call` names an interface in an array that ends with a zero byte and points to
        // `words`; both live until the call returns. The kernel writes the structure of the
        // command there, for which `Request::words` has made room, and no more names or blocks
        // than the request says there is room for: the number of names never changes while a
        // kernel runs, and is what the kernel said itself.
        let result =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut call) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(words.split_off(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_room_for_the_structure_of_its_answer() {
        let bytes = |request: Request| request.words().0.len() * 4;
        // sizeof in linux/ethtool.h
        assert_eq!(bytes(Request::Driver), 196);
        assert_eq!(bytes(Request::Channels), 36);
        assert_eq!(bytes(Request::Lengths { set: 4 }), 16 + 4);
        assert_eq!(bytes(Request::Names { set: 4, count: 3 }), 12 + 3 * 32);
        assert_eq!(bytes(Request::Features { blocks: 2 }), 8 + 2 * 16);
    }

    #[test]
    fn the_set_that_is_asked_for_is_a_bit() {
        let (words, _) = Request::Lengths { set: 4 }.words();
        let bytes: Vec<u8> = words[2..4].iter().flat_map(|w| w.to_ne_bytes()).collect();
        let mask = u64::from_ne_bytes(bytes.try_into().unwrap());
        assert_eq!(mask, 1 << 4);
    }
}
