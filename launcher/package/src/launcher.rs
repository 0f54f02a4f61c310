//! What is said of the launcher's options beyond `--help`: a man page's words, and what a shell offers for a value.

use crate::options::Name;

/// How the URL of an upstream begins.
pub(crate) const UPSTREAMS: [&str; 8] =
    ["socks5h://", "socks4a://", "socks4://", "http://", "https://", "ssh://", "relay://", "local:"];

/// What the value of an option is.
pub(crate) enum Offer {
    /// Nothing that could be offered.
    Nothing,
    /// A URL, which begins with one of [`UPSTREAMS`].
    Upstream,
    File,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A program.
    Program,
    /// A chain of the configuration.
    Chain,
    /// A host that is known here.
    Host,
}

/// What a shell offers for the value of an option.
pub(crate) fn offer(name: Name) -> Offer {
    match name {
        Name::Proxy => Offer::Upstream,
        Name::Config | Name::LetIn => Offer::File,
        Name::Format => Offer::Word(&["underpass", "proxychains", "torsocks", "tsocks"]),
        Name::Tier => Offer::Word(&["auto", "hook", "guard", "sealed"]),
        Name::Dns => Offer::Word(&["fake", "exit", "local"]),
        Name::Udp => Offer::Word(&["carry", "refuse"]),
        Name::Inherited => Offer::Word(&["keep", "close", "refuse"]),
        Name::ListenAt => Offer::Chain,
        Name::Why => Offer::Host,
        Name::Explain => Offer::Program,
        Name::Quiet | Name::Verbose | Name::Shell | Name::Check | Name::Leaktest | Name::Chains => {
            Offer::Nothing
        }
        Name::Help | Name::Version | Name::Argv0 | Name::CloseOnExec => Offer::Nothing,
    }
}

/// A few words, for lists of a shell.
pub(crate) fn short(name: Name) -> &'static str {
    match name {
        Name::Proxy => "go through this upstream; repeated: a chain",
        Name::Config => "chains and routes of this file",
        Name::Format => "read the file as that of this program",
        Name::Tier => "what holds the program",
        Name::LetIn => "what a sealed program reaches of /run",
        Name::Dns => "what addresses names have",
        Name::Udp => "what becomes of datagrams",
        Name::Inherited => "what becomes of inherited sockets",
        Name::ListenAt => "the chain at whose exit listeners are reached",
        Name::Quiet => "no warnings",
        Name::Verbose => "say what is done",
        Name::Shell => "print what makes a shell carried",
        Name::Check => "try each hop of each chain",
        Name::Why => "print how a connection would go",
        Name::Explain => "print whether a program can be carried",
        Name::Leaktest => "report what the command would let out",
        Name::Chains => "print the names of the chains",
        Name::Help => "print help",
        Name::Version => "print the version",
        Name::Argv0 => "what the program is called",
        Name::CloseOnExec => "a descriptor that the program does not have",
    }
}

/// A paragraph of the man page, in Markdown; none for what only our own library uses.
pub(crate) fn long(name: Name) -> Option<&'static str> {
    Some(match name {
        Name::Proxy => {
            "An upstream, spelled as for curl(1): `socks5h://` and `socks5://` (the same: the proxy resolves names), \
             `socks4a://`, `socks4://`, `http://`, `https://`, `ssh://[USER@]HOST` (by ssh(1)), `relay://` (an \
             encrypted relay), and `local:` (no proxy: two relays inside the agent). Repeated, it is a chain in that \
             order. User and password are percent-encoded; `?login-file=PATH` (`USER:PASSWORD`, mode 0600) or \
             `?login-env=NAME` keep them out of the command line. Not together with `--config`."
        }
        Name::Config => {
            "Chains and routes of a file: underpass.toml(5), or `proxychains.conf`, `torsocks.conf` and \
             `tsocks.conf` by their names. No other configuration is read then."
        }
        Name::Format => {
            "Reads the file of `--config` as `underpass`, `proxychains`, `torsocks` or `tsocks` have it, whatever its name."
        }
        Name::Tier => {
            "What holds the program. `hook`: a library, which carries what goes through the C library. `guard`: the \
             kernel asks about each socket and connection, whatever the program is made of. `sealed`: guard, in a \
             network of its own, with an empty `/run`, and out of reach of other services' Unix sockets. `auto`, \
             the default: `hook`, and `guard` for programs that cannot load the library. A tier that cannot be had \
             is an error (status 125)."
        }
        Name::LetIn => {
            "In tier `sealed`: a file or folder of `/run` that the program may reach, or a Unix socket anywhere, or all in a \
             folder; an absolute path. May be repeated."
        }
        Name::Dns => {
            "What addresses names have. `fake`, the default: addresses that stand for names, which travel to the last hop. \
             `exit`: real ones, asked for through the chain. `local`: those of this machine's resolver. With \
             `:ADDRESS[:PORT]`, of a resolver, for what is to be asked of it."
        }
        Name::Udp => {
            "What becomes of datagrams: `carry`, the default, where the chain can; or `refuse`, with an error at once."
        }
        Name::Inherited => {
            "What becomes of internet sockets that the program is started with: `keep` (the default), `close`, or `refuse` \
             to start a program with any."
        }
        Name::ListenAt => {
            "Where the program listens, others reach it at the exit of this chain: at a relay that allows it, or, once, by a \
             SOCKS5 proxy's BIND."
        }
        Name::Quiet => "No warnings. Errors are printed.",
        Name::Verbose => "Says what is done: which chain, which tier, which sockets were inherited.",
        Name::Shell => {
            "Prints what a shell evaluates to have all its programs carried, for as long as it lives: \
             `eval \"$(underpass -x URL --shell)\"`."
        }
        Name::Check => {
            "Tries each hop of each chain, a row for each, with its round trip and what it refuses; status 1 if one fails. \
             What has no effect in a configuration is an error here, and otherwise a warning."
        }
        Name::Why => "Prints which route and chain a connection to this destination would take.",
        Name::Explain => "Prints what this program is, and whether and how it can be carried.",
        Name::Leaktest => {
            "Starts the program where the only way out is counted, and reports what it would have sent past the proxy. \
             Nothing leaves; status 126 if anything would have."
        }
        Name::Chains => {
            "Prints the names of the configuration's chains, one a line. The completions of shells ask for it."
        }
        Name::Help => "Prints a summary.",
        Name::Version => "Prints the version.",
        Name::Argv0 | Name::CloseOnExec => return None,
    })
}
