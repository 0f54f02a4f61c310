//! For fish.

use std::fmt::Write as _;

use crate::launcher::{Offer, UPSTREAMS, offer, short};
use crate::options::{Brief, OPTIONS, Opt};

const TEXT: &str = r#"# fish completion for underpass(1)

# Whether what is typed is still an option of underpass, and not a word of the command.
function __fish_underpass_options
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --
                return 1
            case @VALUED@
                set -e words[1]
            case '-*'
            case '*'
                return 1
        end
        set -e words[1]
    end
    return 0
end

# The chains of the configuration that is named on the line, or of the one that is found.
function __fish_underpass_chains
    set -l words (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -l given
    while set -q words[2]
        switch $words[1]
            case -f --config
                set given -f (string replace -r '^~/' "$HOME/" -- $words[2])
        end
        switch $words[2]
            case '--config=*'
                set given $words[2]
        end
        set -e words[1]
    end
    $program -q $given --chains 2>/dev/null
end

# Without -- before them: that would count as an option with a value, too, and the command after it as this value.
complete -c underpass -x -a '(__fish_complete_subcommand @VALUED@)'
@OPTIONS@"#;

/// The file.
pub(super) fn text() -> String {
    let shown = || OPTIONS.iter().filter(|option| !matches!(option.brief, Brief::Hidden));
    let names = |option: &Opt| {
        let short = option.short.map(|letter| format!("-{letter}"));
        short.into_iter().chain([format!("--{}", option.long)]).collect::<Vec<_>>()
    };
    let mut valued: Vec<String> = shown().filter(|option| option.value.is_some()).flat_map(names).collect();
    // What fish's function takes for its own options begins with two dashes, and ends at the first other word.
    valued.sort_by_key(|name| name.starts_with("--"));
    let mut options = String::new();
    for option in shown() {
        let letter = option.short.map_or_else(String::new, |letter| format!(" -s {letter}"));
        let value = option.value.map_or_else(String::new, |_| format!(" {}", value(offer(option.name))));
        let _ = writeln!(
            options,
            "complete -c underpass -n __fish_underpass_options{letter} -l {}{value} -d '{}'",
            option.long,
            short(option.name)
        );
    }
    TEXT.replace("@VALUED@", &valued.join(" ")).replace("@OPTIONS@", &options)
}

/// What goes with an option that takes a value.
fn value(offer: Offer) -> String {
    match offer {
        Offer::Nothing => "-x".to_owned(),
        Offer::Upstream => format!("-x -a '{}'", UPSTREAMS.join(" ")),
        Offer::Word(words) => format!("-x -a '{}'", words.join(" ")),
        Offer::File => "-r -F".to_owned(),
        Offer::Program => "-x -a '(__fish_complete_command)'".to_owned(),
        Offer::Chain => "-x -a '(__fish_underpass_chains)'".to_owned(),
        Offer::Host => "-x -a '(__fish_print_hostnames)'".to_owned(),
    }
}
