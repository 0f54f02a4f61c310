//! `--help`, made from the table of options; fits a screen of 80 columns and 24 lines.

use std::fmt::Write as _;

use super::options::{Brief, OPTIONS, Opt};

const HEAD: &str = "\
Runs any Linux program, unmodified, and carries its traffic through proxies.
Usage: underpass [OPTIONS] [--] COMMAND [ARGS...]
";

const TAIL: &str = "\
Without -x and -f: UNDERPASS_CONFIG, ~/.config/underpass/config.toml,
/etc/underpass/config.toml, ALL_PROXY, HTTPS_PROXY, SOCKS_SERVER. Status:
COMMAND's; 125: own failure, 126: not to be run or carried, 127: not found.
  underpass -x socks5h://127.0.0.1:9050 curl https://example.com/
";

/// The text.
pub(crate) fn help() -> String {
    let mut text = HEAD.to_owned();
    for option in &OPTIONS {
        let Brief::Row(lines) = option.brief else { continue };
        let mut label = label(option);
        for line in lines {
            let _ = writeln!(text, "  {label:<22} {line}");
            label.clear();
        }
    }
    text + TAIL
}

fn label(option: &Opt) -> String {
    let short = option.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let value = option.value.map_or_else(String::new, |word| format!(" {word}"));
    format!("{short}--{}{value}", option.long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_screen() {
        let help = help();
        assert!(help.lines().all(|line| line.len() < 80), "{help}");
        assert!(help.lines().count() <= 24, "{}", help.lines().count());
    }

    #[test]
    fn it_names_each_option_once_and_hides_what_is_for_programs() {
        let help = help();
        for Opt { long, brief, .. } in &OPTIONS {
            let named = help.match_indices(&format!("--{long}")).count();
            assert_eq!(named, usize::from(!matches!(brief, Brief::Hidden)), "--{long}");
        }
    }
}
