//! For zsh.

use std::fmt::Write as _;

use crate::launcher::{Offer, UPSTREAMS, offer, short};
use crate::options::{Brief, OPTIONS, Opt};

const TEXT: &str = r#"#compdef underpass

# The chains of the configuration that is named on the line, or of the one that is found.
_underpass_chains() {
  local -a given chains
  local -i i
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
      (-f|--config) given=(-f ${words[i+1]/#\~\//$HOME/}) ;;
      (--config=*) given=($words[i]) ;;
    esac
  done
  chains=(${(f)"$(_call_program chains ${(q)words[1]} -q ${(q)given} --chains 2>/dev/null)"})
  compadd "$@" -a chains
}

_underpass_upstreams() {
  compadd "$@" -S '' -- @UPSTREAMS@
}

_underpass() {
  # _arguments offers nothing of the command behind a -- that no option is before.
  if (( CURRENT > 2 )) && [[ $words[2] == -- ]]; then
    shift words
    (( CURRENT-- ))
  fi
  _arguments -s -S \
@OPTIONS@    '(-):command: _command_names -e' \
    '*::arguments: _normal'
}

_underpass "$@"
"#;

/// The file.
pub(super) fn text() -> String {
    let mut specs = String::new();
    for option in OPTIONS.iter().filter(|option| !matches!(option.brief, Brief::Hidden)) {
        let _ = writeln!(specs, "    {} \\", spec(option));
    }
    // A colon ends an action, so what has colons is in a function.
    TEXT.replace("@OPTIONS@", &specs).replace("@UPSTREAMS@", &UPSTREAMS.join(" "))
}

/// An argument of `_arguments`.
fn spec(option: &Opt) -> String {
    let (long, about) = (option.long, short(option.name));
    let Some(word) = option.value else {
        return match option.short {
            Some(letter) => format!("'(-{letter} --{long})'{{-{letter},--{long}}}'[{about}]'"),
            None => format!("'--{long}[{about}]'"),
        };
    };
    // Brackets and colons have a meaning in a specification.
    let word = word.split(['[', ':']).next().unwrap_or(word);
    let value = format!("[{about}]:{word}:{}", action(offer(option.name)));
    match option.short {
        Some(letter) => format!("'*'{{-{letter}+,--{long}=}}'{value}'"),
        None => format!("'*--{long}={value}'"),
    }
}

fn action(offer: Offer) -> String {
    match offer {
        Offer::Nothing => " ".to_owned(),
        Offer::Upstream => "_underpass_upstreams".to_owned(),
        Offer::File => "_files".to_owned(),
        Offer::Word(words) => format!("({})", words.join(" ")),
        Offer::Program => "_command_names -e".to_owned(),
        Offer::Chain => "_underpass_chains".to_owned(),
        Offer::Host => "_hosts".to_owned(),
    }
}
