//! What a program asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::name::ToLabelIter;
use domain::base::opt::{Opt, OptRecord, UnknownOptData};
use domain::base::{Message, Name, ToName};

/// Without EDNS, a datagram has room for so much (RFC 1035 section 2.3.4).
pub(crate) const PLAIN_SIZE: u16 = 512;

/// One question, of class IN.
#[derive(Debug)]
pub(crate) struct Question {
    pub(super) id: u16,
    /// Recursion desired; checking disabled.
    pub(super) rd: bool,
    pub(super) cd: bool,
    /// As it was spelled: the answer repeats it letter by letter.
    pub(super) name: Name<Vec<u8>>,
    pub(crate) kind: Rtype,
    pub(super) edns: Option<Edns>,
}

/// What the asker says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edns {
    pub(super) size: u16,
    pub(super) dnssec: bool,
}

/// Reads a question; or gives what is answered to what is none, which may be nothing.
pub(crate) fn read(bytes: &[u8]) -> Result<Question, Option<Vec<u8>>> {
    let message = Message::from_slice(bytes).map_err(|_| None)?;
    let header = message.header();
    // An answer that were answered would go round in circles.
    if header.qr() {
        return Err(None);
    }
    let wrong = |code: Rcode| Some(super::reply::without_question(header, code));
    if header.opcode() != Opcode::QUERY {
        return Err(wrong(Rcode::NOTIMP));
    }
    let (edns, version) = extras(message).ok_or_else(|| wrong(Rcode::FORMERR))?;
    let asked = message.sole_question().map_err(|_| wrong(Rcode::FORMERR))?;
    let name = asked.qname().try_to_name::<Vec<u8>>().map_err(|_| wrong(Rcode::FORMERR))?;
    let question =
        Question { id: header.id(), rd: header.rd(), cd: header.cd(), name, kind: asked.qtype(), edns };
    let refusal = match (asked.qclass(), asked.qtype()) {
        _ if version != 0 => OptRcode::BADVERS,
        (Class::IN, Rtype::AXFR | Rtype::IXFR | Rtype::OPT) => OptRcode::REFUSED,
        (Class::IN, _) => return Ok(question),
        _ => OptRcode::REFUSED,
    };
    Err(Some(question.failed(refusal)))
}

/// What follows the question: nothing but one OPT record at most. `None` where it is otherwise.
fn extras(message: &Message<[u8]>) -> Option<(Option<Edns>, u8)> {
    let counts = message.header_counts();
    if counts.ancount() != 0 || counts.nscount() != 0 {
        return None;
    }
    let mut found = None;
    let mut records = message.additional().ok()?;
    for record in records.by_ref() {
        let record = record.ok()?;
        match record.rtype() {
            Rtype::OPT if found.is_none() => {
                let name = record.owner().compose_len();
                let record = record.into_record::<Opt<_>>().ok()??;
                let options = record.data().iter::<UnknownOptData<_>>().all(|option| option.is_ok());
                // Its name is the root (RFC 6891 section 6.1.2).
                if name != 1 || !options {
                    return None;
                }
                let opt = OptRecord::from(record);
                let edns = Edns { size: opt.udp_payload_size(), dnssec: opt.dnssec_ok() };
                found = Some((Some(edns), opt.version()));
            }
            // A second one, or a signature that nobody here could check.
            Rtype::OPT | Rtype::TSIG | Rtype::SIG => return None,
            _ => {}
        }
    }
    // Bytes that belong to nothing.
    (records.pos() == message.as_slice().len()).then_some(found.unwrap_or((None, 0)))
}

impl Question {
    /// One of our own; `None` for a name that DNS has no room for.
    pub(crate) fn of(name: &str, kind: Rtype) -> Option<Self> {
        let name = super::reply::written(name)?;
        Some(Self { id: 0, rd: true, cd: false, name, kind, edns: None })
    }

    /// The name as a host name is written, see [`host`].
    pub(crate) fn host(&self) -> Option<String> {
        host(&self.name)
    }

    /// The address that the name of a PTR question stands for (RFC 1035 section 3.5, RFC 3596 section 2.5).
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let host = self.host()?.to_ascii_lowercase();
        if let Some(octets) = host.strip_suffix(".in-addr.arpa") {
            let mut ip = [0; 4];
            let mut labels = octets.split('.');
            for octet in ip.iter_mut().rev() {
                *octet = labels.next().filter(|label| !label.starts_with('+'))?.parse().ok()?;
            }
            return labels.next().is_none().then(|| Ipv4Addr::from(ip).into());
        }
        let nibbles = host.strip_suffix(".ip6.arpa")?;
        let mut bits: u128 = 0;
        let mut count = 0;
        for label in nibbles.split('.').rev() {
            let mut digits = label.chars();
            bits = bits.checked_mul(16)? | u128::from(digits.next()?.to_digit(16)?);
            count += 1;
            if digits.next().is_some() || count > 32 {
                return None;
            }
        }
        (count == 32).then(|| Ipv6Addr::from(bits).into())
    }

    /// How long a datagram with the answer may be.
    pub(crate) fn datagram_size(&self) -> usize {
        self.edns.map_or(PLAIN_SIZE, |edns| edns.size.max(PLAIN_SIZE)).into()
    }
}

/// A name as a host name is written, without the last dot; empty for the root. `None` for one that cannot be
/// written so.
pub(super) fn host(name: &Name<Vec<u8>>) -> Option<String> {
    let mut text = Vec::with_capacity(name.len());
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        if label.as_slice().contains(&b'.') {
            return None;
        }
        if !text.is_empty() {
            text.push(b'.');
        }
        text.extend_from_slice(label.as_slice());
    }
    String::from_utf8(text).ok()
}
