//! User ids by name, for routes. The launcher is linked statically, so this is `/etc/passwd` alone: other
//! sources of libc's (nsswitch.conf(5)) are libraries. Routes can name ids.

use std::fs;

/// The id of the user of this name.
pub(super) fn id(name: &str) -> Option<u32> {
    find(name, &fs::read_to_string("/etc/passwd").ok()?)
}

/// In a text of the form of passwd(5).
fn find(name: &str, passwd: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\ntor:x:107:115::/var/lib/tor:/bin/false\nodd\n";
        assert_eq!(find("tor", passwd), Some(107));
        assert_eq!(find("root", passwd), Some(0));
        for none in ["to", "odd", "", "x"] {
            assert_eq!(find(none, passwd), None, "{none}");
        }
    }
}
