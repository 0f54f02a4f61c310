use std::num::NonZeroUsize;

use super::*;
use crate::tls::key::made::Made;

fn chain(kind: Kind, hops: usize, length: usize) -> Chain {
    let urls = (1..=hops).map(|n| format!("socks5h://10.0.0.{n}:1080").parse().unwrap());
    let config = config::Chain { kind, hops: urls.collect(), length: NonZeroUsize::new(length) };
    Chain::new(&config, false).unwrap()
}

#[test]
fn strict_has_one_path() {
    let chain = chain(Kind::Strict, 3, 0);
    assert_eq!(chain.path(&[]), Some(vec![0, 1, 2]));
    chain.hops[1].has_failed(&Failure::TimedOut);
    assert_eq!(chain.path(&[]), Some(vec![0, 1, 2]));
    assert_eq!(chain.path(&[1]), None);
}

#[test]
fn dynamic_leaves_out_who_is_down_unless_all_are() {
    let chain = chain(Kind::Dynamic, 3, 0);
    chain.hops[1].has_failed(&Failure::TimedOut);
    assert_eq!(chain.path(&[]), Some(vec![0, 2]));
    assert_eq!(chain.path(&[0]), Some(vec![2]));
    chain.hops[0].has_failed(&Failure::TimedOut);
    chain.hops[2].has_failed(&Failure::TimedOut);
    assert_eq!(chain.path(&[]), Some(vec![0, 1, 2]));
    chain.hops[1].has_served();
    assert_eq!(chain.path(&[]), Some(vec![1]));
    assert_eq!(chain.path(&[0, 1, 2]), None);
}

#[test]
fn many_failures_at_once_are_one_reason_to_wait() {
    let chain = chain(Kind::Failover, 2, 0);
    let hop = &chain.hops[0];
    (0..14).for_each(|_| hop.has_failed(&Failure::TimedOut));
    let health = hop.health();
    let left = health.passed_over_until.unwrap().duration_since(Instant::now());
    assert!(health.failures == 14 && left <= Duration::from_secs(5), "{health:?}");
}

#[test]
fn failover_and_nearest_take_one() {
    let failover = chain(Kind::Failover, 3, 0);
    assert_eq!(failover.path(&[]), Some(vec![0]));
    failover.hops[0].has_failed(&Failure::TimedOut);
    assert_eq!(failover.path(&[]), Some(vec![1]));
    let nearest = chain(Kind::Nearest, 3, 0);
    let at = "192.0.2.1:1080".parse().unwrap();
    nearest.hops[2].measured(at, Duration::from_millis(3));
    nearest.hops[1].measured(at, Duration::from_millis(9));
    assert_eq!(nearest.path(&[]), Some(vec![2]));
    assert_eq!(nearest.path(&[2]), Some(vec![1]));
}

#[test]
fn round_robin_goes_round_and_random_draws_without_repeating() {
    let round = chain(Kind::RoundRobin, 3, 1);
    let paths: Vec<Path> = (0..4).filter_map(|_| round.path(&[])).collect();
    assert_eq!(paths, [[0], [1], [2], [0]]);
    let random = chain(Kind::Random, 4, 2);
    for _ in 0..50 {
        let path = random.path(&[3]).unwrap();
        assert!(path.len() == 2 && path[0] != path[1] && !path.contains(&3), "{path:?}");
    }
    assert_eq!(random.path(&[0, 1, 2]), None, "two cannot be drawn from one");
}

#[test]
fn what_a_hop_says_of_the_next_is_not_what_the_destination_says() {
    let chain = chain(Kind::Strict, 2, 0);
    let path = vec![0, 1];
    let progress = Progress::default();
    progress.asks(0);
    let (at, failure) = chain.accuse(Failure::Socks5(5), &path, &progress);
    assert_eq!((at, failure.errno()), (Some(1), libc::ENETUNREACH));
    progress.asks(1);
    let (at, failure) = chain.accuse(Failure::Socks5(5), &path, &progress);
    assert_eq!((at, failure.errno()), (None, libc::ECONNREFUSED));
    let (at, _) = chain.accuse(Failure::UpstreamClosed, &path, &progress);
    assert_eq!(at, Some(1));
}

#[test]
fn what_no_hop_can_be_asked_for_speaks_against_none() {
    let chain = chain(Kind::Dynamic, 2, 0);
    let path = vec![0, 1];
    let progress = Progress::default();
    progress.asks(1);
    assert_eq!(chain.accuse(Failure::Request("why"), &path, &progress).0, None);
    // What it is to be told of us does.
    assert_eq!(chain.accuse(Failure::Credentials("why"), &path, &progress).0, Some(1));
    // The next hop by its name.
    progress.asks(0);
    assert_eq!(chain.accuse(Failure::Request("why"), &path, &progress).0, Some(1));
}

#[test]
fn no_connection_is_kept_ready_that_is_not_for_everybody() {
    for (isolate, expected) in [("", true), ("?isolate=program", false), ("?isolate=destination", false)] {
        let hops = [format!("socks5h://10.0.0.1{isolate}"), "http://10.0.0.2".to_owned()];
        let hops: Vec<_> = hops.iter().map(|url| Arc::new(Hop::new(url.parse().unwrap()).unwrap())).collect();
        assert_eq!(is_worth_warming(&hops), expected, "{isolate}");
    }
}

#[test]
fn a_hop_is_told_the_host_only_where_it_keeps_hosts_apart() {
    let to = Destination::Name { host: "Web.test".into(), port: 80 };
    for (isolate, host) in
        [("", None), ("?isolate=program", None), ("?isolate=destination", Some("web.test"))]
    {
        let hops = ["http://10.0.0.1".to_owned(), format!("socks5h://10.0.0.2{isolate}")];
        let hops = hops.map(|url| url.parse().unwrap()).into();
        let chain = Chain::new(&config::Chain { kind: Kind::Strict, hops, length: None }, false).unwrap();
        assert_eq!(chain.bound_for(&Client::default(), &to).host.as_deref(), host, "{isolate}");
    }
}

#[test]
fn that_a_relay_has_too_much_to_do_is_said_of_no_hop() {
    let mut chain = chain(Kind::Dynamic, 2, 0);
    let identity = Made::new(&[]).unwrap().identity().unwrap();
    let relay = Hop::inside("relay.internal", identity.pin(), &identity, None).unwrap();
    let too_fast = |status| Failure::Http { status, told: None };
    let progress = Progress::default();
    progress.asks(0);
    // A proxy of others may mean the next one by it.
    assert_eq!(chain.accuse(too_fast(429), &vec![0, 1], &progress).0, Some(1));
    chain.hops[0] = Arc::new(relay);
    for status in [429, 503] {
        let (at, failure) = chain.accuse(too_fast(status), &vec![0, 1], &progress);
        assert_eq!((at, failure.bare()), (None, &too_fast(status)));
        assert!(failure.to_string().starts_with("hop 1 of 2, relay://relay.internal"), "{failure}");
    }
    assert_eq!(chain.accuse(too_fast(502), &vec![0, 1], &progress).0, Some(1));
}

#[test]
fn local_is_a_chain_of_its_own_and_ssh_does_not_follow_ssh() {
    let of = |urls: &[&str]| {
        let hops = urls.iter().map(|url| url.parse().unwrap()).collect();
        Chain::new(&config::Chain { kind: Kind::Strict, hops, length: None }, true)
    };
    assert!(
        of(&["local:"]).is_ok()
            && of(&["ssh://a", "http://b"]).is_ok()
            && of(&["http://b", "ssh://a"]).is_ok()
    );
    for bad in [&[][..], &["local:", "http://b"], &["http://b", "local:"], &["ssh://a", "ssh://b"]] {
        assert!(of(bad).is_err(), "{bad:?}");
    }
}
