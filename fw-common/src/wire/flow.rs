//! Addresses and connections.

use super::pod;

/// An address of either family; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Address(pub [u32; 4]);

impl Address {
    /// From the four bytes of an IPv4 header.
    #[inline(always)]
    #[must_use]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self([0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes(bytes)])
    }

    /// From the word of an IPv4 header, as it lies in memory.
    #[inline(always)]
    #[must_use]
    pub const fn v4_word(word: u32) -> Self {
        Self([0, 0, 0xffff_u32.to_be(), word])
    }

    /// From the sixteen bytes of an IPv6 header.
    #[inline(always)]
    #[must_use]
    pub const fn v6(b: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        ])
    }

    /// The bytes of the IPv4 address, if it is one.
    #[inline(always)]
    #[must_use]
    pub const fn v4_bytes(&self) -> [u8; 4] {
        self.0[3].to_ne_bytes()
    }

    /// All sixteen bytes.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        let [a, b, c, d] = [
            self.0[0].to_ne_bytes(),
            self.0[1].to_ne_bytes(),
            self.0[2].to_ne_bytes(),
            self.0[3].to_ne_bytes(),
        ];
        [
            a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1],
            d[2], d[3],
        ]
    }
}

/// Buckets of the table of the node's addresses; a power of two.
pub const LOCAL_BUCKETS: u32 = 2_048;

/// Some of the node's addresses: those of one [`Address::bucket`]. One cache line,
/// so that asking costs one load and no call. In unused places is an address of another
/// bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LocalBucket(pub [Address; 4]);

impl LocalBucket {
    /// Whether the address is in it.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, address: &Address) -> bool {
        let [a, b, c, d] = &self.0;
        a.equals(address) || b.equals(address) || c.equals(address) || d.equals(address)
    }
}

impl Address {
    /// The bucket of the address.
    #[inline(always)]
    #[must_use]
    pub const fn bucket(&self) -> u32 {
        self.mixed() >> (32 - LOCAL_BUCKETS.trailing_zeros())
    }

    /// Whether it is one of IPv4, or of IPv6 and looks like one.
    #[inline(always)]
    #[must_use]
    pub const fn is_mapped(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0xffff_u32.to_be()
    }

    /// Its first eight bytes, in two words as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn high(&self) -> u64 {
        (self.0[0] as u64) << 32 | self.0[1] as u64
    }

    /// Its last eight bytes.
    #[inline(always)]
    #[must_use]
    pub const fn low(&self) -> u64 {
        (self.0[2] as u64) << 32 | self.0[3] as u64
    }

    /// From [`Self::high`] and [`Self::low`].
    #[inline(always)]
    #[must_use]
    pub const fn of_halves(high: u64, low: u64) -> Self {
        Self([
            (high >> 32) as u32,
            high as u32,
            (low >> 32) as u32,
            low as u32,
        ])
    }

    /// A number whose upper bits depend on all of the address: multiplicative hashing
    /// (Knuth, TAOCP 6.4). The upper half of an IPv6 address seldom differs among
    /// those of one node.
    #[inline(always)]
    pub(super) const fn mixed(&self) -> u32 {
        let [a, b, c, d] = self.0;
        (a ^ b ^ c.rotate_left(16) ^ d).wrapping_mul(0x9e37_79b1)
    }

    /// The last word differs most, so it is compared first.
    #[inline(always)]
    const fn equals(&self, other: &Self) -> bool {
        self.0[3] == other.0[3]
            && self.0[0] == other.0[0]
            && self.0[1] == other.0[1]
            && self.0[2] == other.0[2]
    }
}

#[cfg(not(target_arch = "bpf"))]
impl From<std::net::IpAddr> for Address {
    fn from(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(v4) => Self::v4(v4.octets()),
            std::net::IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
impl From<Address> for std::net::IpAddr {
    fn from(address: Address) -> Self {
        std::net::Ipv6Addr::from(address.bytes()).to_canonical()
    }
}

/// What the transport header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct L4 {
    /// Source port; identifier of an ICMP echo; else 0.
    pub source: u16,
    /// Destination port; else 0.
    pub destination: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
}

/// A connection, the same for both of its directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct FlowKey {
    /// Address of the node.
    pub local: Address,
    /// Address of the peer.
    pub remote: Address,
    /// Port of the node; identifier of an ICMP echo; else 0.
    pub local_port: u16,
    /// Port of the peer; else 0.
    pub remote_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub pad: [u8; 3],
}

impl FlowKey {
    /// Words of 64 bits in a key.
    pub const WORDS: usize = 5;

    /// The key as it lies in memory: no copy of it, because the stack is scarce.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> &[u64; Self::WORDS] {
        // SAFETY: as many bytes, aligned alike, none of them padding.
        unsafe { &*(&raw const *self).cast() }
    }

    /// The key of these words.
    #[must_use]
    pub const fn from_words(words: &[u64; Self::WORDS]) -> Self {
        // SAFETY: as many bytes, and all of them may have any value.
        unsafe { core::mem::transmute(*words) }
    }
}

pod!(Address: 16, LocalBucket: 64, L4: 8, FlowKey: 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        for text in ["10.1.2.3", "0.0.0.0", "2001:db8::1", "::1", "fe80::1"] {
            let address: std::net::IpAddr = text.parse().unwrap();
            let there = Address::from(address);
            assert_eq!(std::net::IpAddr::from(there), address);
            assert_eq!(Address::of_halves(there.high(), there.low()), there);
        }
    }

    #[test]
    fn a_key_comes_back_from_its_words() {
        let key = FlowKey {
            local: Address([1, 2, 3, 4]),
            remote: Address([5, 6, 7, 8]),
            local_port: 9,
            remote_port: 10,
            protocol: 11,
            pad: [0; 3],
        };
        assert_eq!(FlowKey::from_words(key.words()), key);
    }
}
