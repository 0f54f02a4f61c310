//! underpass-agent(1), from its arguments.

use clap::{Arg, ArgAction, Command, CommandFactory};
use roff::{Inline, Roff, bold, italic, roman};

use super::{markdown, option, see_also, tagged};
use crate::arguments::Cli;

const DESCRIPTION: &str = "\
Does the input and output for the programs that underpass(1) carries, which starts it by itself. The same program is a \
door for what cannot load the library (`run --listen`, `forward`), a relay, and the client of an agent that runs \
(`status`, `reload`).
";

const STATUS: [(&str, &str); 2] = [
    ("1", "The answer is a no: there is no agent, or it could not do what it was asked."),
    ("125", "Any other failure."),
];

/// All of it, after what it is about.
pub(super) fn append(page: &mut Roff) {
    let mut all = Cli::command();
    all.build();
    page.control("SH", ["SYNOPSIS"]);
    let shown: Vec<&Command> = all.get_subcommands().filter(|command| is_shown(command)).collect();
    for (position, command) in shown.iter().enumerate() {
        if position > 0 {
            page.control("br", []);
        }
        page.text(synopsis(command));
    }
    page.control("SH", ["DESCRIPTION"]);
    markdown::append_words(page, DESCRIPTION);
    page.control("SH", ["COMMANDS"]);
    for command in shown {
        page.control("SS", [command.get_name()]);
        page.text([roman(sentence(command.get_about().map(ToString::to_string).unwrap_or_default()))]);
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            tagged(page, tag(argument), &about(argument));
        }
    }
    page.control("SH", ["EXIT STATUS"]);
    for (status, text) in STATUS {
        tagged(page, vec![bold(status)], text);
    }
    see_also(page, &[("underpass", '1'), ("underpass.toml", '5'), ("relay.toml", '5')]);
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn synopsis(command: &Command) -> Vec<Inline> {
    let mut line = vec![
        bold(format!("underpass-agent {}", command.get_name())),
        roman(" ["),
        italic("OPTIONS"),
        roman("]"),
    ];
    for word in command.get_positionals().filter_map(value) {
        line.extend([roman(" "), italic(word)]);
    }
    line
}

fn tag(argument: &Arg) -> Vec<Inline> {
    let value = value(argument);
    match (argument.get_short(), argument.get_long()) {
        (None, None) => vec![italic(value.unwrap_or_default())],
        (short, long) => option(short, long, value.as_deref()),
    }
}

fn value(argument: &Arg) -> Option<String> {
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    takes.then(|| argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string))?
}

fn about(argument: &Arg) -> String {
    let mut text =
        argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    if let Some(default) = argument.get_default_values().first().filter(|_| value(argument).is_some()) {
        text = format!("{text} (default: {})", default.to_string_lossy());
    }
    // Angle brackets and asterisks are the text's own.
    sentence(text).replace('*', "\\*").replace('<', "\\<").replace('[', "\\[")
}

fn sentence(mut text: String) -> String {
    if !text.ends_with(['.', ':']) {
        text.push('.');
    }
    text
}
