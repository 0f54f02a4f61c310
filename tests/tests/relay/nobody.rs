//! Before it is known who asks, nothing is looked up and nothing is dialled: a resolver of the far side writes down what
//! it is asked, and the kernel there counts who is dialled.

use underpass_tests::servers::{self, Resolver, port};

use crate::place::{EVERYTHING_HERE, Place, url};
use crate::tokens;

const COUNTED: &str = "table inet dials {
    counter dials { }
    chain out {
        type filter hook output priority 0;
        tcp flags & (syn | ack) == syn tcp dport 7001 counter name dials
    }
}";

fn dials(place: &Place) -> u32 {
    let said = place.world.far("nft").args(["list", "counter", "inet", "dials", "dials"]).run().success();
    let mut words = said.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    words.next().and_then(|count| count.parse().ok()).expect("nft counts packets")
}

fn nothing_happens_for_strangers(place: &Place) {
    place.world.far("nft").arg(COUNTED).run().success();
    let resolver: Resolver = servers::resolver(&place.world);
    place.key("other.key", "other");
    let targets = ["alias.test", "10.99.0.1"].map(|host| url(host, port::BANNER));
    for target in &targets {
        let wrong = place.bare_curl().args(["--proxy-user", "me:wrong"]);
        for curl in [place.bare_curl(), wrong, place.curl_with("other.key")] {
            assert!(!curl.arg(target).run().status.success());
        }
    }
    assert_eq!((resolver.questions(), dials(place)), (vec![], 0));
    // What is counted would have been counted.
    for target in &targets {
        assert_eq!(place.curl().arg(target).run().success(), "hello\n");
    }
    assert!(resolver.questions().iter().all(|question| question.ends_with(" alias.test")));
    assert!(!resolver.questions().is_empty());
    assert_eq!(dials(place), 2);
}

#[test]
fn where_keys_are_wanted() {
    nothing_happens_for_strangers(&Place::new(EVERYTHING_HERE));
}

#[test]
fn where_tokens_are_known() {
    nothing_happens_for_strangers(&tokens::place());
}
