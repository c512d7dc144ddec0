//! Lists of networks.

use config::Value;
use ipnet::IpNet;

use crate::settings::read::{all, list, quoted};

/// Maximum number of networks in a list.
const NETWORKS_MAX: usize = 1000;

/// Parses a list of networks and addresses.
pub(super) fn parse(value: &Value) -> Result<Box<[IpNet]>, String> {
    let texts = list(value)?;
    if texts.len() > NETWORKS_MAX {
        return Err(format!("has more than {NETWORKS_MAX} entries"));
    }
    all(texts.iter().map(|text| network(text))).map(Vec::into_boxed_slice)
}

/// Parses a network such as `10.0.0.0/8`, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let net: IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) => text.parse().map(std::net::IpAddr::into).map_err(|_| {
            format!("{} is not a network such as \"10.0.0.0/8\", nor an address", quoted(text))
        })?,
    };
    if net.trunc() != net {
        return Err(format!("{} has bits after the prefix; did you mean \"{}\"?", quoted(text), net.trunc()));
    }
    match net {
        IpNet::V6(net) if net.prefix_len() >= 96 && net.addr().to_ipv4_mapped().is_some() => {
            Err(format!("{}: write it as a network of IPv4", quoted(text)))
        }
        net => Ok(net),
    }
}
