//! Answers from elsewhere. They are read and written anew, record by record: what is not a well-formed
//! answer to the very question that was asked is none.

use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype, SvcParamKey};
use domain::base::message_builder::RecordSectionBuilder;
use domain::base::{Message, ParsedName, ParsedRecord, ToName, UnknownRecordData};
use domain::rdata::AllRecordData;
use domain::rdata::svcb::SvcbRdata;

use super::Question;
use super::reply::{MAX_MESSAGE, Target};

/// What an answer has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// At least one address, and the canonical name.
    Addresses(Vec<IpAddr>, String),
    /// The name exists, and has no such record.
    Nothing,
    /// The name does not exist.
    NoName,
    /// Anything else: another time it may be known.
    Failed,
}

impl Question {
    /// The answer for the program, made of one from elsewhere that was asked for by `id`. `None` if it is not an
    /// answer to this question.
    ///
    /// Addresses are passed on only where they were asked for, and only those that `is_good` allows: a
    /// program that dialled one of the others would pass by its name, by which it is to be carried.
    pub(crate) fn passed_on(
        &self,
        answer: &[u8],
        id: u16,
        is_good: &dyn Fn(IpAddr) -> bool,
    ) -> Option<Vec<u8>> {
        let message = self.matching(answer, id)?;
        let code = message.header().rcode();
        let owner = message.canonical_name()?;
        let mut copy = Copy { kind: self.kind, owner, is_good, all: true };
        let mut out = self.begun(code);
        out.header_mut().set_aa(message.header().aa());
        copy.section(message.answer().ok()?, true, &mut out)?;
        let mut out = out.authority();
        copy.section(message.authority().ok()?, false, &mut out)?;
        let mut out = out.additional();
        copy.section(message.additional().ok()?, false, &mut out)?;
        // A validated answer from which something is missing is none any more.
        out.header_mut().set_ad(message.header().ad() && copy.all);
        let bytes = self.finished(out, OptRcode::from(code));
        (bytes.len() <= MAX_MESSAGE).then_some(bytes)
    }

    /// The message, if it is an answer to this question.
    fn matching<'m>(&self, answer: &'m [u8], id: u16) -> Option<&'m Message<[u8]>> {
        let message = Message::from_slice(answer).ok()?;
        let header = message.header();
        let codes = [Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::SERVFAIL, Rcode::REFUSED];
        let is_answer = header.id() == id
            && header.qr()
            && !header.tc()
            && header.opcode() == Opcode::QUERY
            && codes.contains(&header.rcode());
        let asked = message.sole_question().ok()?;
        let same =
            asked.qname().name_eq(&self.name) && asked.qtype() == self.kind && asked.qclass() == Class::IN;
        (is_answer && same).then_some(message)
    }

    /// What an answer of [`Self::passed_on`] says of the addresses of the name, and for how many seconds.
    pub(crate) fn found(&self, answer: &[u8]) -> (Found, u32) {
        self.read_addresses(answer).unwrap_or((Found::Failed, 0))
    }

    fn read_addresses(&self, answer: &[u8]) -> Option<(Found, u32)> {
        let message = Message::from_slice(answer).ok()?;
        let canonical = message.canonical_name()?.try_to_name::<Vec<u8>>().ok()?;
        let (mut addresses, mut seconds) = (Vec::new(), None::<u32>);
        // Also the time for which there is nothing (RFC 2308).
        for record in message.answer().ok()?.chain(message.authority().ok()?) {
            let record = record.ok()?;
            let ttl = record.ttl().as_secs();
            seconds = Some(seconds.map_or(ttl, |seconds| seconds.min(ttl)));
            match record.into_any_record::<AllRecordData<_, ParsedName<_>>>().ok()?.data() {
                AllRecordData::A(a) => addresses.push(IpAddr::V4(a.addr())),
                AllRecordData::Aaaa(aaaa) => addresses.push(IpAddr::V6(aaaa.addr())),
                _ => {}
            }
        }
        let found = match (message.header().rcode(), addresses.is_empty()) {
            (Rcode::NOERROR, false) => Found::Addresses(addresses, super::question::host(&canonical)?),
            (Rcode::NOERROR, true) => Found::Nothing,
            (Rcode::NXDOMAIN, _) => Found::NoName,
            _ => Found::Failed,
        };
        Some((found, seconds.unwrap_or(0)))
    }
}

/// The records that go from one message to another.
struct Copy<'m> {
    kind: Rtype,
    /// Whose addresses are asked for: the name, or what it is an alias of.
    owner: ParsedName<&'m [u8]>,
    is_good: &'m dyn Fn(IpAddr) -> bool,
    /// Nothing was left out.
    all: bool,
}

impl<'m> Copy<'m> {
    /// `None` where a record is malformed, or where they do not fit.
    fn section(
        &mut self,
        records: impl Iterator<Item = Result<ParsedRecord<'m, [u8]>, domain::base::wire::ParseError>>,
        is_answer: bool,
        out: &mut impl RecordSectionBuilder<Target>,
    ) -> Option<()> {
        for record in records {
            let record = record.ok()?;
            // What is between the two ends of a connection is not passed on.
            if matches!(record.rtype(), Rtype::OPT | Rtype::TSIG) {
                continue;
            }
            let (owner, class, ttl) = (record.owner(), record.class(), record.ttl());
            let is_asked = is_answer && record.rtype() == self.kind && owner == self.owner;
            let record = record.into_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>().ok()?;
            let kept = match record.data() {
                AllRecordData::A(a) => is_asked && (self.is_good)(a.addr().into()),
                AllRecordData::Aaaa(aaaa) => is_asked && (self.is_good)(aaaa.addr().into()),
                AllRecordData::Svcb(data) => {
                    if let Some(data) = self.without_hints(Rtype::SVCB, data) {
                        out.push((owner, class, ttl, data)).ok()?;
                    }
                    continue;
                }
                AllRecordData::Https(data) => {
                    if let Some(data) = self.without_hints(Rtype::HTTPS, data) {
                        out.push((owner, class, ttl, data)).ok()?;
                    }
                    continue;
                }
                _ => true,
            };
            match kept {
                true => out.push(record).ok()?,
                false => self.all = false,
            }
        }
        Some(())
    }

    /// The record without the addresses in it (RFC 9460 section 7.3); `None` where it cannot be used without
    /// them.
    fn without_hints<Variant>(
        &mut self,
        kind: Rtype,
        data: &SvcbRdata<Variant, &[u8], ParsedName<&[u8]>>,
    ) -> Option<UnknownRecordData<Vec<u8>>> {
        const HINTS: [SvcParamKey; 2] = [SvcParamKey::IPV4HINT, SvcParamKey::IPV6HINT];
        let mut bytes = data.priority().to_be_bytes().to_vec();
        data.target().compose(&mut bytes).ok()?;
        for parameter in data.params().iter_raw() {
            let keys = parameter.as_slice().chunks_exact(2);
            let mut keys = keys.map(|key| SvcParamKey::from_int(u16::from_be_bytes([key[0], key[1]])));
            if HINTS.contains(&parameter.key()) {
                self.all = false;
            } else if parameter.key() == SvcParamKey::MANDATORY && keys.any(|key| HINTS.contains(&key)) {
                self.all = false;
                return None;
            } else {
                parameter.compose_param(&mut bytes).ok()?;
            }
        }
        UnknownRecordData::from_octets(kind, bytes).ok()
    }
}
