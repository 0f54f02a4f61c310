//! The addresses that stand for names: a range of IPv4 and one of IPv6, of which the nth addresses belong
//! together.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// A pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "(String, String)", try_from = "(String, String)")]
pub struct Pool {
    v4: Ipv4Net,
    v6: Ipv6Net,
}

/// However large the range is: each name needs room in the agent.
const MOST: u32 = 1 << 20;

/// 198.18.0.0/15 is set aside for benchmarks of network devices (RFC 2544): no host on any network should have
/// such an address. The other is a unique local prefix (RFC 4193) of our own.
impl Default for Pool {
    fn default() -> Self {
        let v6 = Ipv6Addr::new(0xfd75, 0x6e64, 0x6572, 0x7061, 0, 0, 0, 0);
        Self { v4: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15), v6: Ipv6Net::new_assert(v6, 64) }
    }
}

impl Pool {
    /// A pool of these ranges. Without one of IPv6 it is a unique local prefix that follows from the other.
    pub fn new(v4: Ipv4Net, v6: Option<Ipv6Net>) -> Result<Self, &'static str> {
        // Loopback and multicast addresses have meanings of their own to the kernel and to programs.
        let odd = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];
        if odd.iter().filter_map(|odd| odd.parse().ok()).any(|odd: Ipv4Net| overlap4(odd, v4)) {
            return Err("it has addresses of loopback, link-local, multicast or none");
        }
        if !(4..=30).contains(&v4.prefix_len()) {
            return Err("a range of IPv4 has 4 to 30 bits before the names");
        }
        let default = Self::default();
        let v6 = match v6 {
            Some(v6) if !(8..=112).contains(&v6.prefix_len()) => {
                return Err("a range of IPv6 has 8 to 112 bits before the names");
            }
            Some(v6) => {
                let good = ["2000::/3", "fc00::/7"];
                if !good.iter().filter_map(|good| good.parse().ok()).any(|good: Ipv6Net| good.contains(&v6)) {
                    return Err("a range of IPv6 lies in 2000::/3 or fc00::/7");
                }
                v6.trunc()
            }
            None if v4.trunc() == default.v4 => default.v6,
            None => {
                let [a, b, c, d] = v4.network().octets();
                let words = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
                let ip = Ipv6Addr::new(0xfd75, 0x6e65, words[0], words[1], 0, 0, 0, 0);
                Ipv6Net::new_assert(ip, 64)
            }
        };
        Ok(Self { v4: v4.trunc(), v6 })
    }

    /// How many names it has room for: the first and the last address are none.
    pub fn capacity(&self) -> u32 {
        let addresses = 1u32 << (32 - self.v4.prefix_len()).min(31);
        (addresses - 2).min(MOST).min(if self.v6.prefix_len() > 111 { 65_534 } else { MOST })
    }

    /// The addresses of the nth name, from 0, which is less than [`Self::capacity`].
    pub fn addresses(&self, index: u32) -> (Ipv4Addr, Ipv6Addr) {
        let v4 = u32::from(self.v4.network()).wrapping_add(1).wrapping_add(index);
        let v6 = u128::from(self.v6.network()).wrapping_add(1).wrapping_add(index.into());
        (v4.into(), v6.into())
    }

    /// Which name an address of the pool stands for, if it is one of these; a number that no name has where it
    /// stands for none.
    pub fn index(&self, ip: IpAddr) -> Option<u32> {
        match ip.to_canonical() {
            IpAddr::V4(v4) if self.v4.contains(&v4) => {
                Some(u32::from(v4).wrapping_sub(u32::from(self.v4.network())).wrapping_sub(1))
            }
            IpAddr::V6(v6) if self.v6.contains(&v6) => {
                let offset = u128::from(v6).wrapping_sub(u128::from(self.v6.network())).wrapping_sub(1);
                Some(u32::try_from(offset).unwrap_or(u32::MAX))
            }
            _ => None,
        }
    }

    /// Whether an address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (IpNet::V6(self.v6), IpNet::V6(other.v6));
        overlap4(self.v4, other.v4) || a.contains(&b) || b.contains(&a)
    }

    /// The two ranges.
    pub fn ranges(&self) -> (Ipv4Net, Ipv6Net) {
        (self.v4, self.v6)
    }
}

fn overlap4(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.v4, self.v6)
    }
}

impl From<Pool> for (String, String) {
    fn from(pool: Pool) -> Self {
        (pool.v4.to_string(), pool.v6.to_string())
    }
}

impl TryFrom<(String, String)> for Pool {
    type Error = &'static str;

    fn try_from((v4, v6): (String, String)) -> Result<Self, Self::Error> {
        const WRONG: &str = "not a range of addresses";
        Self::new(v4.parse().map_err(|_| WRONG)?, Some(v6.parse().map_err(|_| WRONG)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(v4: &str, v6: Option<&str>) -> Result<Pool, &'static str> {
        Pool::new(v4.parse().expect(v4), v6.map(|v6| v6.parse().expect(v6)))
    }

    #[test]
    fn every_address_of_a_pool_is_fake_and_no_other() {
        let default = Pool::default();
        assert_eq!(pool("198.18.0.0/15", None), Ok(default));
        assert_eq!(default.capacity(), (1 << 17) - 2);
        for (ip, index) in [
            ("198.18.0.0", Some(u32::MAX)),
            ("198.18.0.1", Some(0)),
            ("::ffff:198.18.0.2", Some(1)),
            ("198.19.255.255", Some((1 << 17) - 2)),
            ("198.17.255.255", None),
            ("198.20.0.0", None),
            ("fd75:6e64:6572:7061::", Some(u32::MAX)),
            ("fd75:6e64:6572:7061::3", Some(2)),
            ("fd75:6e64:6572:7061:ffff::", Some(u32::MAX)),
            ("fd75:6e64:6572:7062::1", None),
            ("::1", None),
        ] {
            assert_eq!(default.index(ip.parse().expect(ip)), index, "{ip}");
        }
        for pool in [default, pool("10.9.0.0/28", Some("fd00::/112")).expect("good")] {
            for index in [0, 1, pool.capacity() - 1] {
                let (v4, v6) = pool.addresses(index);
                assert_eq!((pool.index(v4.into()), pool.index(v6.into())), (Some(index), Some(index)));
            }
            let (v4, _) = pool.addresses(pool.capacity());
            assert!(pool.index(v4.into()).is_some_and(|index| index >= pool.capacity()));
        }
    }

    #[test]
    fn ranges_that_mean_something_else_are_no_pools() {
        for (v4, v6) in [
            ("127.42.42.0/24", None),
            ("0.0.0.0/4", None),
            ("169.254.1.0/24", None),
            ("224.0.0.0/8", None),
            ("10.0.0.0/31", None),
            ("10.0.0.0/8", Some("fe80::/64")),
            ("10.0.0.0/8", Some("::/64")),
            ("10.0.0.0/8", Some("fd00::/120")),
        ] {
            assert!(pool(v4, v6).is_err(), "{v4} {v6:?}");
        }
    }

    #[test]
    fn pools_that_share_no_ipv4_share_no_ipv6() {
        let pools = ["10.0.0.0/16", "10.1.0.0/16", "198.18.0.0/15"].map(|v4| pool(v4, None).expect(v4));
        for (a, one) in pools.iter().enumerate() {
            for (b, other) in pools.iter().enumerate() {
                assert_eq!(one.overlaps(other), a == b);
            }
        }
        assert!(pool("198.18.7.0/24", None).expect("good").overlaps(&Pool::default()));
        let json = serde_json::to_string(&pools[1]).expect("json");
        assert_eq!(serde_json::from_str::<Pool>(&json).expect("a pool"), pools[1]);
    }
}
