//! underpass(1).

use roff::{Roff, bold, italic, roman};

use super::{markdown, option, see_also, tagged};
use crate::launcher;
use crate::options::OPTIONS;

const DESCRIPTION: &str = "\
Runs *COMMAND*, unmodified and without root, and carries its TCP connections, datagrams and host names through a proxy, \
a chain of proxies, or a chain of encrypted relays. The program keeps its own socket. What cannot be carried fails with \
an errno; nothing goes round the chain unsaid. All input and output is done by an agent, which starts by itself: \
underpass-agent(1).

Options end at the first word that is none; all after it is the command's.
";

const FILES: &str = "\
Without `-x` and `-f`, the first of these counts; one that is there and has a mistake is an error:

- the file that `UNDERPASS_CONFIG` names
- `$XDG_CONFIG_HOME/underpass/config.toml` (`~/.config/underpass/config.toml`)
- `/etc/underpass/config.toml`
- `ALL_PROXY`, `HTTPS_PROXY` or `SOCKS_SERVER`, with `NO_PROXY`
";

/// As docs/status.md and README.md have them.
const VARIABLES: [(&str, &str); 4] = [
    ("UNDERPASS_CONFIG", "The configuration to use."),
    ("UNDERPASS_DNS", "As `--dns`, for who does not give it."),
    (
        "UNDERPASS_LOG",
        "A level, or a filter, for the log of an agent that is started; it is `agent.log` in the agent's directory.",
    ),
    ("CI", "Where it is set, an agent leaves with the last of its programs, and not ten minutes later."),
];

const STATUS: [(&str, &str); 4] = [
    ("125", "A failure of underpass itself: usage, configuration, set-up."),
    ("126", "The command cannot be executed or carried."),
    ("127", "The command is not found."),
    (
        "else",
        "That of the command. `--check` has 1 where a hop fails, `--leaktest` 126 where anything would leave.",
    ),
];

const EXAMPLES: &str = "\
```
underpass -x socks5h://127.0.0.1:9050 curl https://example.com/
underpass -x ssh://gate -x http://proxy.internal:3128 git fetch
underpass -f work.toml psql -h db.internal
eval \"$(underpass -x socks5h://proxy:1080 --shell)\"
```
";

/// All of it, after what it is about.
pub(super) fn append(page: &mut Roff) {
    page.control("SH", ["SYNOPSIS"]);
    page.text([
        bold("underpass"),
        roman(" ["),
        italic("OPTIONS"),
        roman("] [--] "),
        italic("COMMAND"),
        roman(" ["),
        italic("ARGS"),
        roman("...]"),
    ]);
    page.control("SH", ["DESCRIPTION"]);
    markdown::append_words(page, DESCRIPTION);
    page.control("SH", ["OPTIONS"]);
    for known in &OPTIONS {
        if let Some(text) = launcher::long(known.name) {
            tagged(page, option(known.short, Some(known.long), known.value), text);
        }
    }
    page.control("SH", ["FILES"]);
    markdown::append_words(page, FILES);
    page.control("SH", ["ENVIRONMENT"]);
    for (name, text) in VARIABLES {
        tagged(page, vec![bold(name)], text);
    }
    page.control("SH", ["EXIT STATUS"]);
    for (status, text) in STATUS {
        tagged(page, vec![bold(status)], text);
    }
    page.control("SH", ["EXAMPLES"]);
    markdown::append_words(page, EXAMPLES);
    see_also(page, &[("underpass-agent", '1'), ("underpass.toml", '5'), ("relay.toml", '5')]);
}
