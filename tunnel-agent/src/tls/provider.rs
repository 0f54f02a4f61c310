//! Which algorithms TLS is made of, and from which library each comes.
//!
//! The hybrid key exchange X25519MLKEM768 is aws-lc-rs's, since ring has none. Of AES-GCM ring is the faster one
//! where the CPU has VAES and no AVX-512 (measured: 0.72 of the CPU time); with AVX-512 aws-lc-rs has code of its own
//! for it.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

/// For relays, which are ours at both ends: TLS 1.3 alone, and no choice that is worse than another.
pub(crate) fn relays() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        Arc::new(CryptoProvider { cipher_suites: suites(SUITES_OF_RELAYS), kx_groups: best(), ..base() })
    });
    Arc::clone(&PROVIDER)
}

/// For the proxies of others: as much as is safe, the best first.
pub(crate) fn others() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut kx_groups = best();
        kx_groups.extend([aws_lc_rs::kx_group::SECP256R1, aws_lc_rs::kx_group::SECP384R1]);
        // TLS 1.3 as for relays; the rest as the library orders it.
        let mut cipher_suites = suites(SUITES_OF_RELAYS);
        let older = base().cipher_suites.into_iter().filter(|suite| suite.tls13().is_none());
        cipher_suites.extend(older);
        Arc::new(CryptoProvider { cipher_suites, kx_groups, ..base() })
    });
    Arc::clone(&PROVIDER)
}

/// AES-128 first: as good as the curve beside it, and less work.
const SUITES_OF_RELAYS: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
];

/// What is recorded today cannot be read by the computers of tomorrow; X25519 for those who know no better.
fn best() -> Vec<&'static dyn SupportedKxGroup> {
    vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519]
}

fn suites(wanted: [CipherSuite; 3]) -> Vec<SupportedCipherSuite> {
    let known = base().cipher_suites;
    wanted.iter().filter_map(|wanted| known.iter().find(|suite| suite.suite() == *wanted).copied()).collect()
}

fn base() -> CryptoProvider {
    if ring_is_faster() { ring::default_provider() } else { aws_lc_rs::default_provider() }
}

#[cfg(target_arch = "x86_64")]
fn ring_is_faster() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("vaes") && has!("vpclmulqdq") && has!("avx2") && !has!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn ring_is_faster() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn relays_speak_the_hybrid_first_and_nothing_before_tls_1_3() {
        let provider = relays();
        let groups: Vec<_> = provider.kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups, [NamedGroup::X25519MLKEM768, NamedGroup::X25519]);
        let suites: Vec<_> = provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect();
        assert_eq!(suites, SUITES_OF_RELAYS);
    }

    #[test]
    fn other_proxies_may_have_tls_1_2() {
        let provider = others();
        assert_eq!(provider.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        assert!(provider.cipher_suites.iter().any(|suite| suite.tls13().is_none()));
        assert_eq!(provider.cipher_suites[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
}
