//! `cidr`: addresses and networks, `cidr|10.0.0.0/8, 192.168.0.0/16|`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::event::Value;

/// Networks that the address has to be in. When there are none, any address or network will do.
#[derive(Debug)]
pub(super) struct Cidr(Vec<IpNet>);

impl Cidr {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let parts = format.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            network(part).ok_or_else(|| format!("takes networks such as 10.0.0.0/8, which {part:?} is not"))
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }

    /// `{"prefix":[10,0,0,0],"mask":[255,0,0,0]}` of `10.1.2.3/8`; of an address the mask is full.
    pub(super) fn extract(&self, text: &str) -> Option<Value> {
        let found = network(text)?;
        let single = || text.parse::<IpAddr>().ok();
        let fits =
            self.0.is_empty() || single().is_some_and(|one| self.0.iter().any(|known| known.contains(&one)));
        let pair = || Value::record([("prefix", parts(found.network())), ("mask", parts(found.netmask()))]);
        fits.then(pair)
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Four numbers of an IPv4 address, eight of an IPv6 one.
fn parts(address: IpAddr) -> Value {
    Value::array(match address {
        IpAddr::V4(address) => address.octets().iter().map(|part| Value::Int((*part).into())).collect(),
        IpAddr::V6(address) => address.segments().iter().map(|part| Value::Int((*part).into())).collect(),
    })
}
