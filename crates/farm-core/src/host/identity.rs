//! The name and the address of this host.

use nix::ifaddrs::getifaddrs;
use nix::unistd::gethostname;
use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv4Addr;

const ROUTES: &str = "/proc/net/route";
const ROUTES_BYTES_MAX: u64 = 16 << 20;
const FLAG_UP: u32 = 0x1;
const FLAG_REJECT: u32 = 0x200;

/// Why the name or the address of this host is unknown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The host name is not text.
    #[error("the host name is not UTF-8")]
    NameNotText,
    /// There is no default route.
    #[error("this host has no default route")]
    NoDefaultRoute,
    /// The interface of the default route has no IPv4 address.
    #[error("{interface}, the interface of the default route, has no IPv4 address")]
    NoAddress {
        /// The interface.
        interface: String,
    },
    /// A system call failed.
    #[error("cannot read {what}")]
    Io {
        /// What was read.
        what: &'static str,
        /// The error of the system.
        source: io::Error,
    },
}

/// The name of this host.
///
/// # Errors
///
/// If the kernel does not return one, or one that is not UTF-8.
pub fn host_name() -> Result<String, IdentityError> {
    let name =
        gethostname().map_err(|e| IdentityError::Io { what: "the host name", source: e.into() })?;
    name.into_string().map_err(|_| IdentityError::NameNotText)
}

/// The main IPv4 address of this host: the first one of the interface of the default
/// route with the lowest metric.
///
/// # Errors
///
/// [`IdentityError`], also on a host without a default route.
pub fn default_route_ipv4() -> Result<Ipv4Addr, IdentityError> {
    let table = routes()?;
    let interface = default_interface(&table).ok_or(IdentityError::NoDefaultRoute)?;
    let addresses = getifaddrs()
        .map_err(|e| IdentityError::Io { what: "the network interfaces", source: e.into() })?;
    addresses
        .filter(|address| address.interface_name == interface)
        .find_map(|address| Some(address.address?.as_sockaddr_in()?.ip()))
        .ok_or_else(|| IdentityError::NoAddress { interface: interface.to_owned() })
}

fn routes() -> Result<String, IdentityError> {
    let mut bytes = Vec::new();
    match File::open(ROUTES).and_then(|file| file.take(ROUTES_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        // A kernel without IPv4 has no such table.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(IdentityError::Io { what: ROUTES, source }),
    }
}

fn default_interface(table: &str) -> Option<&str> {
    let route = |line| {
        let fields: Vec<&str> = str::split_whitespace(line).collect();
        let [interface, to, _, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = to == "00000000" && mask == "00000000";
        let is_usable = flags & FLAG_UP != 0 && flags & FLAG_REJECT == 0;
        (is_default && is_usable).then_some((metric.parse::<u32>().ok()?, interface))
    };
    let routes = table.lines().skip(1).filter_map(route);
    // Of equal ones the first, as in the kernel.
    routes.min_by_key(|(metric, _)| *metric).map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    #[test]
    fn default_route_is_the_usable_one_with_the_lowest_metric() {
        let route = |interface: &str, to: &str, flags: &str, metric: &str, mask: &str| {
            format!("{interface}\t{to}\t0100000A\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        let cases = [
            (vec![], None),
            (vec![route("eth0", "0000000A", "0001", "0", "00FFFFFF")], None),
            (vec![route("eth0", "00000000", "0003", "0", "00000000")], Some("eth0")),
            (
                vec![
                    route("wlan0", "00000000", "0003", "600", "00000000"),
                    route("eth1", "00000000", "0003", "100", "00000000"),
                    route("eth2", "00000000", "0003", "100", "00000000"),
                ],
                Some("eth1"),
            ),
            // Half of the addresses is no default route (some tunnels use two such routes).
            (vec![route("tun0", "00000000", "0003", "0", "00000080")], None),
            (vec![route("lo", "00000000", "0200", "4294967295", "00000000")], None),
            (vec!["eth0 00000000\n".to_owned(), "\u{fffd}\n".to_owned()], None),
        ];
        for (lines, wanted) in cases {
            let table = format!("{HEAD}{}", lines.concat());
            assert_eq!(default_interface(&table), wanted, "{table}");
        }
    }

    #[test]
    fn this_host_has_a_name_and_its_address_fits_its_routes() {
        assert!(!host_name().unwrap().is_empty());
        let table = routes().unwrap();
        match (default_interface(&table), default_route_ipv4()) {
            (Some(_), Ok(address)) => assert!(!address.is_unspecified()),
            (Some(wanted), Err(IdentityError::NoAddress { interface })) => {
                assert_eq!(interface, wanted);
            }
            (None, Err(IdentityError::NoDefaultRoute)) => {}
            other => panic!("{other:?}"),
        }
    }
}
