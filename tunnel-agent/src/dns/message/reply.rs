//! The answers that are made here, and the question that is asked elsewhere.

use std::net::IpAddr;

use domain::base::iana::{Class, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, HashCompressor, MessageBuilder};
use domain::base::name::NameBuilder;
use domain::base::{Header, Name, Ttl};
use domain::rdata::{A, Aaaa, Ptr};

use super::Question;

/// What stands for a name today may stand for nothing tomorrow: an answer is good for a second.
const TTL: Ttl = Ttl::from_secs(1);
/// The size of datagrams that never needs fragments (DNS flag day 2020).
const OUR_SIZE: u16 = 1232;
/// No message is longer: its length has two bytes over TCP.
pub(super) const MAX_MESSAGE: usize = 65_535;

/// What is written to. Names are compressed.
pub(super) type Target = HashCompressor<Vec<u8>>;

/// An answer to what has no question that could be repeated.
pub(super) fn without_question(asked: Header, code: Rcode) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(asked.id());
    header.set_opcode(asked.opcode());
    header.set_rd(asked.rd());
    header.set_qr(true);
    header.set_ra(true);
    header.set_rcode(code);
    builder.finish()
}

impl Question {
    /// An answer with a code and nothing else.
    pub(crate) fn failed(&self, code: OptRcode) -> Vec<u8> {
        self.finished(self.begun(code.rcode()).additional(), code)
    }

    /// Addresses of the name, those that were asked for: there may be none.
    pub(crate) fn addresses(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let mut answer = self.begun(Rcode::NOERROR);
        for ip in addresses {
            let pushed = match (self.kind, ip) {
                (Rtype::A | Rtype::ANY, IpAddr::V4(v4)) => answer.push((&self.name, TTL, A::new(*v4))),
                (Rtype::AAAA | Rtype::ANY, IpAddr::V6(v6)) => answer.push((&self.name, TTL, Aaaa::new(*v6))),
                _ => Ok(()),
            };
            if pushed.is_err() {
                break;
            }
        }
        self.finished(answer.additional(), OptRcode::NOERROR)
    }

    /// The name of the address that was asked for.
    pub(crate) fn pointer(&self, name: &str) -> Vec<u8> {
        let Some(name) = written(name) else { return self.failed(OptRcode::NXDOMAIN) };
        let mut answer = self.begun(Rcode::NOERROR);
        // One record always fits.
        let _ = answer.push((&self.name, TTL, Ptr::new(name)));
        self.finished(answer.additional(), OptRcode::NOERROR)
    }

    /// The question as it is asked elsewhere: nothing of the asker's but what it wants to know. Its options
    /// would tell who it is (RFC 7871, RFC 7873).
    pub(crate) fn asked_by(&self, id: u16) -> Vec<u8> {
        let mut builder = MessageBuilder::new_vec();
        let header = builder.header_mut();
        header.set_id(id);
        header.set_rd(self.rd);
        header.set_cd(self.cd);
        let mut question = builder.question();
        // A question and an OPT record always fit.
        let _ = question.push((&self.name, self.kind));
        let mut additional = question.additional();
        let dnssec = self.edns.is_some_and(|edns| edns.dnssec);
        let _ = additional.opt(|opt| {
            opt.set_udp_payload_size(OUR_SIZE);
            opt.set_dnssec_ok(dnssec);
            Ok(())
        });
        additional.finish()
    }

    /// The head of an answer, and the question.
    pub(super) fn begun(&self, code: Rcode) -> AnswerBuilder<Target> {
        // Nothing is too long for a vector.
        let Ok(mut builder) = MessageBuilder::from_target(HashCompressor::new(Vec::new()));
        builder.set_push_limit(MAX_MESSAGE);
        let header = builder.header_mut();
        header.set_id(self.id);
        header.set_qr(true);
        header.set_rd(self.rd);
        header.set_cd(self.cd);
        header.set_ra(true);
        header.set_rcode(code);
        let mut question = builder.question();
        let _ = question.push((&self.name, self.kind, Class::IN));
        question.answer()
    }

    /// The end of an answer: EDNS is answered with EDNS.
    pub(super) fn finished(&self, mut additional: AdditionalBuilder<Target>, code: OptRcode) -> Vec<u8> {
        if let Some(edns) = self.edns {
            let _ = additional.opt(|opt| {
                opt.set_udp_payload_size(OUR_SIZE);
                opt.set_rcode(code);
                opt.set_dnssec_ok(edns.dnssec);
                Ok(())
            });
        }
        additional.finish().into_target()
    }

    /// The answer as it fits a datagram: what is too long is left out and said to be (RFC 2181 section 9),
    /// so that the asker comes back by TCP.
    pub(crate) fn fitted(&self, answer: Vec<u8>) -> Vec<u8> {
        if answer.len() <= self.datagram_size() {
            return answer;
        }
        let code = domain::base::Message::from_slice(&answer).map_or(Rcode::SERVFAIL, |m| m.header().rcode());
        let mut short = self.begun(code);
        short.header_mut().set_tc(true);
        self.finished(short.additional(), OptRcode::from(code))
    }
}

/// A host name, label by label: no letter has a meaning of its own.
pub(super) fn written(name: &str) -> Option<Name<Vec<u8>>> {
    let mut builder = NameBuilder::new_vec();
    for label in name.split('.') {
        if label.is_empty() {
            return None;
        }
        builder.append_label(label.as_bytes()).ok()?;
    }
    builder.into_name().ok()
}
