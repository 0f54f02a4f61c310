//! The options: one table, which the command line is read by, and which `--help`, the man page and the
//! completions of the shells are made from (`launcher/package` compiles this file, too).

/// Which option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Proxy,
    Config,
    Format,
    Tier,
    LetIn,
    Dns,
    Udp,
    Inherited,
    ListenAt,
    Quiet,
    Verbose,
    Shell,
    Check,
    Why,
    Explain,
    Leaktest,
    Chains,
    Help,
    Version,
    Argv0,
    CloseOnExec,
}

/// An option.
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) name: Name,
    pub(crate) short: Option<char>,
    /// Without the dashes.
    pub(crate) long: &'static str,
    /// What stands for its value, if it takes one.
    pub(crate) value: Option<&'static str>,
    pub(crate) brief: Brief,
}

/// An option in `--help`.
#[derive(Debug)]
pub(crate) enum Brief {
    /// A row, with these lines.
    Row(&'static [&'static str]),
    /// Named in the row before.
    Above,
    /// For programs, not for people.
    Hidden,
}

/// All of them, in the order of `--help`.
pub(crate) static OPTIONS: [Opt; 21] = [
    Opt {
        name: Name::Proxy,
        short: Some('x'),
        long: "proxy",
        value: Some("URL"),
        brief: Brief::Row(&[
            "socks5h, socks4a, http or https://[USER:PASSWORD@]HOST",
            "[:PORT], ssh://HOST, local: (none); repeated: a chain",
        ]),
    },
    Opt {
        name: Name::Config,
        short: Some('f'),
        long: "config",
        value: Some("FILE"),
        brief: Brief::Row(&["chains and routes: TOML, or by its name or by NAME as"]),
    },
    long("format", Name::Format, "NAME", &["the peers have it: proxychains, torsocks, tsocks"]),
    long("tier", Name::Tier, "TIER", &["hook (library), guard (kernel), sealed, auto (default)"]),
    long("let-in", Name::LetIn, "PATH", &["sealed: what of /run, or which Unix socket, it reaches"]),
    long(
        "dns",
        Name::Dns,
        "MODE[:ADDR]",
        &[
            "names get fake addresses (default), or real ones from",
            "the far exit or this local machine; ADDR: a resolver",
        ],
    ),
    long("udp", Name::Udp, "MODE", &["carry datagrams (default), or refuse them"]),
    long("inherited", Name::Inherited, "WHAT", &["keep (default), close or refuse inherited sockets"]),
    long("listen-at", Name::ListenAt, "CHAIN", &["where COMMAND listens, others reach it at the exit"]),
    Opt {
        name: Name::Quiet,
        short: Some('q'),
        long: "quiet",
        value: None,
        brief: Brief::Row(&["no warnings; -v, --verbose: say what is done"]),
    },
    Opt { name: Name::Verbose, short: Some('v'), long: "verbose", value: None, brief: Brief::Above },
    flag("shell", Name::Shell, &["print what makes a shell carried: eval \"$(...)\""]),
    flag("check", Name::Check, &["try each hop of each chain; status 1 if one fails"]),
    long("why", Name::Why, "HOST[:PORT]", &["print how a connection to there would go"]),
    long("explain", Name::Explain, "PROGRAM", &["print what PROGRAM is and whether it can be carried"]),
    flag("leaktest", Name::Leaktest, &["report what COMMAND would let out; status 126 if any"]),
    Opt {
        name: Name::Help,
        short: Some('h'),
        long: "help",
        value: None,
        brief: Brief::Row(&["print this; --version: print the version"]),
    },
    Opt { name: Name::Version, short: None, long: "version", value: None, brief: Brief::Above },
    // What completions ask for.
    Opt { name: Name::Chains, short: None, long: "chains", value: None, brief: Brief::Hidden },
    // What the library starts us with, instead of a program that cannot load it.
    Opt { name: Name::Argv0, short: None, long: "argv0", value: Some("NAME"), brief: Brief::Hidden },
    // Where the program's path is one of a descriptor, which it would not have itself.
    Opt {
        name: Name::CloseOnExec,
        short: None,
        long: "close-on-exec",
        value: Some("FD"),
        brief: Brief::Hidden,
    },
];

const fn long(long: &'static str, name: Name, value: &'static str, lines: &'static [&'static str]) -> Opt {
    Opt { name, short: None, long, value: Some(value), brief: Brief::Row(lines) }
}

const fn flag(long: &'static str, name: Name, lines: &'static [&'static str]) -> Opt {
    Opt { name, short: None, long, value: None, brief: Brief::Row(lines) }
}
