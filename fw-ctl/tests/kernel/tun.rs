//! A device without an Ethernet header whose other end is this process.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// `TUNSETIFF` and `TUNSETLINK` of `linux/if_tun.h`.
const SET_NAME: libc::c_ulong = 0x4004_54ca;
const SET_TYPE: libc::c_ulong = 0x4004_54cd;
/// Each packet has flags and protocol in front, since `IFF_NO_PI` is not asked for.
const PREFIX: usize = 4;

/// A `tun` device.
pub struct Tun(File);

impl Tun {
    /// Makes it; it goes when this is dropped.
    pub fn new(name: &str) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .expect("the kernel has tun devices");
        // SAFETY: all zeroes are an interface request.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = libc::IFF_TUN as libc::c_short;
        // SAFETY: the request is one, and outlives the call.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), SET_NAME, &raw mut request) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        Self(file)
    }

    /// Makes it a link of another type (`ARPHRD_*`); it must be down.
    pub fn set_type(&self, kind: u16) {
        // SAFETY: the argument is a number.
        let set = unsafe { libc::ioctl(self.0.as_raw_fd(), SET_TYPE, libc::c_ulong::from(kind)) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }

    /// The node receives a packet of this ethertype; when this returns, it is judged.
    pub fn send(&mut self, ethertype: u16, packet: &[u8]) {
        let mut bytes = vec![0; 2];
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(packet);
        self.0.write_all(&bytes).expect("the device is up");
    }

    /// The next packet that the node has sent, with its ethertype, if there is one.
    pub fn receive(&mut self) -> Option<(u16, Vec<u8>)> {
        let mut bytes = [0; 4_096];
        match self.0.read(&mut bytes) {
            Ok(length) => {
                let packet = bytes[PREFIX..length].to_vec();
                Some((u16::from_be_bytes([bytes[2], bytes[3]]), packet))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}
