//! The extractor `cidr`: addresses and networks, `cidr|10.0.0.0/8, 192.168.0.0/16|`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use towline_event::Value;

/// The allowed networks. An empty list allows any address or network.
#[derive(Debug)]
pub(super) struct Cidr(Vec<IpNet>);

impl Cidr {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let parts = format.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            network(part)
                .or_else(|| short(part))
                .ok_or_else(|| format!("takes networks such as 10.0.0.0/8, not {part:?}"))
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }

    /// The match as a value: `{"prefix":[10,0,0,0],"mask":[255,0,0,0]}` for `10.1.2.3/8`. The mask of a
    /// single address has all bits set. `None` if the text does not match.
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

/// Parses an IPv4 network with fewer than four parts; the last part is the last byte: `10.0/16` is
/// `10.0.0.0/16`, and `10.1` is `10.0.0.1`. `10.1/16` is refused, because it would mean `10.0.0.1/16`.
fn short(text: &str) -> Option<IpNet> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, digits(bits)?),
        None => (text, 32),
    };
    let mut octets = [0; 4];
    let mut parts = address.split('.');
    octets[3] = digits(parts.next_back()?)?;
    for (at, part) in parts.enumerate() {
        // The last part is at its position already.
        *octets[..3].get_mut(at)? = digits(part)?;
    }
    let network = Ipv4Net::new(Ipv4Addr::from(octets), bits).ok()?;
    (network.addr() == network.network()).then(|| network.into())
}

/// Parses a decimal number from 0 to 255, without a sign; `None` if it is not one.
fn digits(text: &str) -> Option<u8> {
    text.bytes().all(|sign| sign.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The parts of an address as an array: four numbers for IPv4, eight for IPv6.
fn parts(address: IpAddr) -> Value {
    Value::array(match address {
        IpAddr::V4(address) => address.octets().iter().map(|part| Value::Int((*part).into())).collect(),
        IpAddr::V6(address) => address.segments().iter().map(|part| Value::Int((*part).into())).collect(),
    })
}
