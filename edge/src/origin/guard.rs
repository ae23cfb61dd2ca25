//! Which addresses an edge may connect to (server-side request forgery).
//!
//! Judged after resolution, on the very address that is connected to, so that a name cannot be rebound in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::edge::OriginGuard;

/// What the guard says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Connect.
    Allowed,
    /// Loopback or unspecified; `--allow-loopback-origins` would allow it.
    Loopback,
    /// Link-local: cloud metadata services live there.
    LinkLocal,
    /// Multicast or broadcast: nothing that speaks TCP.
    NotUnicast,
    /// This edge itself.
    Own,
}

impl OriginGuard {
    /// Judges an address before it is connected to.
    pub fn judge(&self, address: SocketAddr) -> Verdict {
        let ip = embedded(address.ip());
        if self.is_own(SocketAddr::new(ip, address.port())) {
            return Verdict::Own;
        }
        let verdict = match ip {
            IpAddr::V4(ip) => judge_v4(ip),
            IpAddr::V6(ip) => judge_v6(ip),
        };
        if verdict == Verdict::Loopback && self.allow_loopback { Verdict::Allowed } else { verdict }
    }

    /// Judges a connection that is made: both ends on one address means this host, and so perhaps this edge, whatever
    /// name or address led here. A socket that listens on all addresses can be recognised only so.
    pub fn judge_connected(&self, local: SocketAddr, peer: SocketAddr) -> Verdict {
        let same_host = embedded(local.ip()) == embedded(peer.ip());
        let own_port = self.own.iter().any(|own| own.port() == peer.port() && own.ip().is_unspecified());
        if same_host && own_port { Verdict::Own } else { Verdict::Allowed }
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            own.port() == address.port()
                && (embedded(own.ip()) == address.ip()
                    || address.ip().is_unspecified()
                    || (own.ip().is_unspecified() && address.ip().is_loopback()))
        })
    }
}

/// The IPv4 address inside an IPv6 one, where there is one: IPv4-mapped (RFC 4291 § 2.5.5.2), IPv4-compatible, NAT64
/// (RFC 6052) and 6to4 (RFC 3056). Otherwise the address itself.
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let last = || {
        let [g1, g2] = g.to_be_bytes();
        let [h1, h2] = h.to_be_bytes();
        Ipv4Addr::new(g1, g2, h1, h2)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => IpAddr::V4(last()),
        (0, 0, 0, 0, 0, 0) if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED => IpAddr::V4(last()),
        (0x2002, ..) => {
            let [b1, b2] = b.to_be_bytes();
            let [c1, c2] = c.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(b1, b2, c1, c2))
        }
        _ => ip,
    }
}

fn judge_v4(ip: Ipv4Addr) -> Verdict {
    if ip.is_loopback() || ip.octets()[0] == 0 {
        Verdict::Loopback
    } else if ip.is_link_local() {
        Verdict::LinkLocal
    } else if ip.is_multicast() || ip.is_broadcast() {
        Verdict::NotUnicast
    } else {
        Verdict::Allowed
    }
}

fn judge_v6(ip: Ipv6Addr) -> Verdict {
    if ip.is_loopback() || ip.is_unspecified() {
        Verdict::Loopback
    } else if ip.is_unicast_link_local() {
        Verdict::LinkLocal
    } else if ip.is_multicast() {
        Verdict::NotUnicast
    } else {
        Verdict::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow_loopback: bool, address: &str, expected: Verdict) {
        let own = vec!["10.0.0.9:9443".parse().unwrap(), "0.0.0.0:9090".parse().unwrap()];
        let guard = OriginGuard { allow_loopback, own };
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(guard.judge(address), expected, "{address} allow_loopback={allow_loopback}");
    }

    #[test]
    fn forbidden_addresses_are_recognised_in_every_notation() {
        for address in [
            "127.0.0.1:80",
            "127.255.255.254:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::1]:80",
            "[::]:80",
            "[::ffff:127.0.0.1]:80",
            "[::127.0.0.1]:80",
            "[64:ff9b::7f00:1]:80",
            "[2002:7f00:1::]:80",
        ] {
            check(false, address, Verdict::Loopback);
            check(true, address, Verdict::Allowed);
        }
        for address in [
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[febf::1]:80",
            "[::ffff:169.254.169.254]:80",
            "[2002:a9fe:a9fe::]:80",
        ] {
            check(false, address, Verdict::LinkLocal);
            check(true, address, Verdict::LinkLocal);
        }
        for address in ["224.0.0.1:80", "255.255.255.255:80", "[ff02::1]:80"] {
            check(true, address, Verdict::NotUnicast);
        }
    }

    #[test]
    fn private_and_public_addresses_are_allowed() {
        for address in ["10.0.0.9:80", "192.168.1.1:80", "172.16.0.1:443", "[fd00::1]:80", "93.184.216.34:443"] {
            check(false, address, Verdict::Allowed);
        }
    }

    #[test]
    fn own_ports_are_never_connected_to() {
        for address in ["10.0.0.9:9443", "[::ffff:10.0.0.9]:9443", "127.0.0.1:9090", "[::1]:9090", "0.0.0.0:9443"] {
            check(true, address, Verdict::Own);
        }
        let guard = OriginGuard { allow_loopback: true, own: vec!["0.0.0.0:9090".parse().unwrap()] };
        let same = "192.168.7.7:9090".parse().unwrap();
        assert_eq!(guard.judge_connected("192.168.7.7:40000".parse().unwrap(), same), Verdict::Own);
        assert_eq!(guard.judge_connected("192.168.7.8:40000".parse().unwrap(), same), Verdict::Allowed);
    }
}
