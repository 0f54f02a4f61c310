//! What in rules and clients has no effect, or another than its writer may think. None of it is an error: a client
//! that is taken out of its file is refused from then on, also where a rule still knows its name.

use underpass_core::config::problem::{nearest, shown};

use super::client::{ANONYMOUS, Clients};
use super::rules::Rule;

/// In words for a person.
pub(crate) fn doubts(rules: &[Rule], kinds: [&Clients; 2], anonymous: bool) -> Vec<String> {
    let clients = || kinds.into_iter().flat_map(Clients::iter);
    let mut doubts = Vec::new();
    if clients().next().is_none() && !anonymous {
        doubts.push("no client is known: the files of keys and tokens are empty".to_owned());
    }
    if !rules.iter().any(|rule| rule.permit) {
        doubts.push("no rule permits anything: write [[rule]] and verdict = \"permit\"".to_owned());
    }
    let names = || clients().map(|client| &*client.name).chain(anonymous.then_some(ANONYMOUS));
    for rule in rules {
        for stranger in rule.clients.iter().filter(|glob| !names().any(|name| glob.matches(name))) {
            let name = shown(stranger.text());
            let near = nearest(stranger.text(), names());
            let near = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
            doubts.push(format!("rule \"{}\" is about {name}, which is no client{near}", rule.label));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::limits::Limits;
    use super::super::{keys, settings};
    use super::*;

    fn found(rules: &str, keys: &str) -> Vec<String> {
        let text = format!("listen = '[::]:1'\nkey = 'k'\nauthorized-keys = 'a'\n{rules}");
        let settings = settings::parse(&text, "f", Path::new("/")).expect("read");
        let (mut clients, none) = (Clients::default(), Clients::default());
        keys::read(&mut clients, &none, keys, "keys", Limits::default()).expect("keys");
        doubts(&settings.rules, [&clients, &none], settings.anonymous)
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let pin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let ann = format!("{pin} ann-1");
        let permit = "[[rule]]\nverdict = 'permit'";
        assert_eq!(found(permit, &ann), [""; 0]);
        assert_eq!(found(permit, ""), ["no client is known: the files of keys and tokens are empty"]);
        let nothing = ["no rule permits anything: write [[rule]] and verdict = \"permit\""];
        assert_eq!(found("", &ann), nothing);
        assert_eq!(found("[[rule]]\nverdict = 'deny'", &ann), nothing);
        assert_eq!(found("", &format!("permit=\"*:*\" {ann}")), nothing);
        assert_eq!(
            found(&format!("{permit}\nclient = ['ann-*', 'an-1', 'build-*']\nname = 'x'"), &ann),
            [
                "rule \"x\" is about \"an-1\", which is no client (did you mean \"ann-1\"?)",
                "rule \"x\" is about \"build-*\", which is no client",
            ]
        );
    }
}
