//! For bash, with the functions of the package bash-completion (2.11 and later).

use std::fmt::Write as _;

use crate::launcher::{Offer, UPSTREAMS, offer};
use crate::options::{Brief, OPTIONS, Opt};

const TEXT: &str = r#"# bash completion for underpass(1)

_underpass() {
    local cur prev words cword split
    _init_completion -s -n : || return

    # Where the command begins, and the configuration that is named before it.
    local i n=0 length=0 before=0 given=()
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
            --)
                ((i++))
                break
                ;;
            -f | --config)
                ((i++))
                given=(-f "${words[i]/#\~\//$HOME/}")
                ;;
            --config=*) given=("${words[i]}") ;;
            @VALUED@) ((i++)) ;;
            -*) ;;
            *) break ;;
        esac
    done

    if ((i > cword)) || [[ $split == true ]]; then
        case $prev in
@VALUES@        esac
    elif [[ $cur == -* && ${words[i - 1]} != -- ]] && ((i == cword)); then
        COMPREPLY=($(compgen -W '@OPTIONS@' -- "$cur"))
    else
        # bash counts its own words, which end at a colon, too.
        for ((n = 0; n < i; n++)); do ((length += ${#words[n]})); done
        for ((n = 0; before < length; n++)); do ((before += ${#COMP_WORDS[n]})); done
        _command_offset "$n"
    fi
} && complete -F _underpass underpass
"#;

/// The file.
pub(super) fn text() -> String {
    let shown = || OPTIONS.iter().filter(|option| !matches!(option.brief, Brief::Hidden));
    let words: Vec<String> = shown().flat_map(names).collect();
    let takes_one = |option: &&Opt| option.value.is_some() && option.long != "config";
    let valued: Vec<String> = shown().filter(takes_one).flat_map(names).collect();
    let mut values = String::new();
    for option in shown().filter(|option| option.value.is_some()) {
        let names: Vec<String> = names(option).collect();
        let _ = writeln!(
            values,
            "            {})\n{}                ;;",
            names.join(" | "),
            reply(offer(option.name))
        );
    }
    TEXT.replace("@VALUED@", &valued.join(" | "))
        .replace("@VALUES@", &values)
        .replace("@OPTIONS@", &words.join(" "))
}

fn names(option: &Opt) -> impl Iterator<Item = String> + use<> {
    let short = option.short.map(|letter| format!("-{letter}"));
    short.into_iter().chain([format!("--{}", option.long)])
}

fn reply(offer: Offer) -> String {
    let from = |how: &str| format!("                COMPREPLY=($(compgen {how} -- \"$cur\"))\n");
    match offer {
        Offer::Nothing => "                :\n".to_owned(),
        Offer::Upstream => format!(
            "                compopt -o nospace\n{}                __ltrim_colon_completions \"$cur\"\n",
            from(&format!("-W '{}'", UPSTREAMS.join(" ")))
        ),
        Offer::File => "                _filedir\n".to_owned(),
        Offer::Word(words) => from(&format!("-W '{}'", words.join(" "))),
        Offer::Program => from("-c"),
        Offer::Chain => from(r#"-W "$("${words[0]}" -q "${given[@]}" --chains 2>/dev/null)""#),
        Offer::Host => "                _known_hosts_real -- \"$cur\"\n".to_owned(),
    }
}
