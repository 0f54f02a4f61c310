//! Where a configuration file is looked for if none is named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names a file of ours or of a peer's, for who gives no option.
pub const VARIABLE: &str = "UNDERPASS_CONFIG";
/// Below the folder of the user's configurations, and below `/etc`.
const FILE: &str = "underpass/config.toml";

/// The user's file and the system's, in this order; `set` gives variables that are set to something.
pub fn files(set: impl Fn(&str) -> Option<OsString>) -> impl Iterator<Item = PathBuf> {
    // A relative XDG_CONFIG_HOME is to be ignored (XDG Base Directory Specification).
    let own = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = own.or_else(|| Some(Path::new(&set("HOME")?).join(".config")));
    own.into_iter().chain([PathBuf::from("/etc")]).map(|folder| folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_comes_before_the_system() {
        let found = |variables: &[(&str, &str)]| -> Vec<PathBuf> {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            files(|name| value(name).map(|(_, value)| value.into())).collect()
        };
        let paths = |folders: &[&str]| folders.iter().map(|folder| Path::new(folder).join(FILE)).collect();
        let expected: Vec<PathBuf> = paths(&["/c", "/etc"]);
        assert_eq!(found(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]), expected);
        let expected: Vec<PathBuf> = paths(&["/h/.config", "/etc"]);
        assert_eq!(found(&[("XDG_CONFIG_HOME", "c"), ("HOME", "/h")]), expected);
        let expected: Vec<PathBuf> = paths(&["/etc"]);
        assert_eq!(found(&[]), expected);
    }
}
