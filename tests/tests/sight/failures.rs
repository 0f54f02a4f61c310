//! What has failed lately, and why: whoever asks is told by hop and reason, however often it was met.

use underpass_tests::behaviour::Behaviour;
use underpass_tests::proxies;

use crate::{ask, file, script, status, world};

/// Connects in vain, twice to the second.
const IN_VAIN: &str = "for port in 7001 7007 7007; do exec 3<>/dev/tcp/far.test/$port; done; true";

#[test]
fn connections_that_fail_are_told_with_the_hop_and_the_reason() {
    let (world, proxy) = world();
    proxy.behave(Behaviour::NoMethod);
    let reason = "the upstream accepts none of the offered authentication methods";
    for (times, handoff) in [(3, "never"), (3, "always")] {
        let text = format!("proxy = '{}'\nhandoff = '{handoff}'\n", proxy.url());
        let done = script(&world, &file(&world, handoff, &text), IN_VAIN).run();
        assert_eq!(done.stderr.matches("Permission denied").count(), times * 2, "{done}");
    }
    let shown = status(&world);
    let failures = shown["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 2, "one for each configuration: {shown}");
    for failure in failures {
        assert_eq!((&failure["chain"], &failure["count"]), (&"main".into(), &3.into()), "{failure}");
        assert_eq!((&failure["hop"], &failure["of"]), (&1.into(), &1.into()), "{failure}");
        assert_eq!((&failure["url"], &failure["reason"]), (&proxy.url().into(), &reason.into()), "{failure}");
        assert_eq!((&failure["errno"], &failure["destination"]), (&13.into(), &"far.test:7007".into()));
        assert!(failure["program"].as_str().is_some_and(|file| file.ends_with("/bash")), "{failure}");
        assert!(failure["pid"].as_u64().is_some_and(|pid| pid > 0), "{failure}");
        assert!(failure["hint"].is_string() && failure["seconds_ago"].is_u64(), "{failure}");
    }
    let hop = &shown["hops"][0];
    assert_eq!((&hop["kind"], &hop["last_failure"]), (&"strict".into(), &reason.into()), "{hop}");
    let table = ask(&world, &["status"]).run().success();
    assert!(table.contains("\nFAILED") && table.contains("  hint: "), "{table}");
    let reasons = table.split_once("\nFAILED").map_or("", |(_, reasons)| reasons);
    assert!(reasons.lines().all(|line| line.len() <= 80), "{table}");
    assert!(
        table.contains("\nchain main#1, hop 1: ") && table.contains("\nchain main#2, hop 1: "),
        "{table}"
    );
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// What another hop has made good is no failure of a connection.
#[test]
fn a_hop_that_another_stands_in_for_is_told_with_its_reason() {
    let (world, proxy) = world();
    let dead = proxies::down(&world);
    let text = format!("[chain.spare]\nkind = 'failover'\nhops = ['{dead}', '{}']\n", proxy.url());
    let done = script(&world, &file(&world, "c.toml", &text), "exec 3<>/dev/tcp/far.test/7001; head -n1 <&3");
    assert_eq!(done.run().success(), "hello\n");
    let shown = status(&world);
    assert_eq!(shown["failures"].as_array().map(Vec::len), Some(0), "{shown}");
    let [first, second] = &shown["hops"].as_array().expect("a list")[..] else { panic!("{shown}") };
    assert_eq!((&first["url"], &first["kind"]), (&dead.as_str().into(), &"failover".into()), "{shown}");
    let why = first["last_failure"].as_str().expect("a text");
    assert!(why.starts_with("the upstream cannot be reached: "), "{why}");
    assert!(second["last_failure"].is_null(), "{shown}");
    let table = ask(&world, &["status"]).run().success();
    assert!(table.contains(&format!("chain spare, hop 1: {why}")), "{table}");
}

#[test]
fn what_a_route_refuses_is_told_without_a_hop() {
    let (world, proxy) = world();
    let text = format!("proxy = '{}'\n[[route]]\nport = 7001\nto = 'refuse'\n", proxy.url());
    let done = script(&world, &file(&world, "c.toml", &text), "exec 3<>/dev/tcp/far.test/7001").run();
    assert_ne!(done.code(), 0, "{done}");
    let failure = &status(&world)["failures"][0];
    assert_eq!(failure["reason"], "refused by a route", "{failure}");
    assert!(failure["chain"].is_null() && failure["hop"].is_null() && failure["url"].is_null(), "{failure}");
}
