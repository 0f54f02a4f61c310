//! The judgement of getaddrinfo(3)'s hints agrees with libc's own, for any hints and any host: what is
//! asked of the agent is what libc would not answer by itself, and libc, told so, asks nobody. Searches end,
//! and records of EDNS fit.
#![no_main]

use std::ffi::CString;

use underpass_core::lookup::{self, Edns, Herror, Policy, Tried, flag};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((words, text)) = bytes.split_first_chunk::<16>() else { return };
    let word = |n: usize| i32::from_le_bytes([words[n], words[n + 1], words[n + 2], words[n + 3]]);
    // Families and flags that exist come up more often than by chance.
    let (flags, family) = (word(0) & 0xfff, word(4) % 16);
    hints(flags, family, word(8), word(12), text);
    search(word(0), word(4) as usize & 0xf, word(8), text);
    messages(word(8), word(12), text);
});

fn hints(flags: i32, family: i32, kind: i32, protocol: i32, text: &[u8]) {
    let host: Vec<u8> = text.iter().copied().filter(|b| *b != 0).take(300).collect();
    if host == b"*" {
        // No host at all.
        return;
    }
    let code = by_libc(lookup::numeric(flags, false), family, kind, protocol, &host);
    match lookup::wanted(flags, family) {
        Some(_) => assert!(code != libc::EAI_BADFLAGS && code != libc::EAI_FAMILY, "{code}"),
        None if flags & flag::NUMERICHOST != 0 => {}
        None => assert!([libc::EAI_BADFLAGS, libc::EAI_FAMILY].contains(&code), "{code}"),
    }
    if !lookup::may_be_numeric(&host) {
        assert_ne!(code, 0, "{host:?} is a number");
    }
    // Whatever is asked for, libc makes entries of an address of that family.
    if lookup::wanted(flags, family).is_some_and(|wanted| wanted.mapped.is_some()) {
        let code = by_libc(lookup::numeric(flags, false), family, 1, 0, b"198.18.0.1");
        assert_eq!(code, 0, "a mapped address");
    }
}

fn search(flags: i32, ndots: usize, answers: i32, text: &[u8]) {
    let domains: Vec<&[u8]> = text.split(|b| *b == b' ').take(7).collect();
    let bit = |n: i32| flags >> n & 1 == 1;
    let policy = Policy { ndots, default_domain: bit(11), search: bit(12), no_top_level: bit(13) };
    let mut asked = 0;
    let found = lookup::search(text, policy, domains.iter().copied(), |_| {
        asked += 1;
        match answers >> asked & 3 {
            0 => Tried::Found(asked),
            1 => Tried::Not { why: Herror::NoData, from_server: true },
            2 => Tried::Not { why: Herror::TryAgain, from_server: bit(14) },
            _ => Tried::Not { why: Herror::NotFound, from_server: true },
        }
    });
    assert!(asked <= domains.len() + 1);
    assert!(found.is_err() || found == Ok(asked));
}

fn messages(kind: i32, room: i32, text: &[u8]) {
    let mut message = text.to_vec();
    let length = kind as usize % (text.len() + 1);
    let edns = Edns { signatures: kind & 1 == 1, room: room as usize };
    if let Some(end) = edns.append(&mut message, length) {
        assert!(end == length + 11 && end <= message.len());
    }
    if let Some(head) = lookup::head(&message) {
        head.judge(message.len());
    }
    assert!(lookup::told(length, kind as usize).0 <= length.max(kind as usize));
}

/// What libc says of a host that it is to take for a number.
fn by_libc(flags: i32, family: i32, kind: i32, protocol: i32, host: &[u8]) -> i32 {
    let Ok(host) = CString::new(host) else { return libc::EAI_NONAME };
    let mut list = std::ptr::null_mut();
    // SAFETY: all zero bytes are a valid addrinfo; the host is a C string, and what libc makes is freed.
    unsafe {
        let mut hints: libc::addrinfo = std::mem::zeroed();
        (hints.ai_flags, hints.ai_family) = (flags, family);
        (hints.ai_socktype, hints.ai_protocol) = (kind, protocol);
        let code = libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &hints, &mut list);
        if code == 0 {
            libc::freeaddrinfo(list);
        }
        code
    }
}
