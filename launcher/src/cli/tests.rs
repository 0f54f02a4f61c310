use super::*;

fn read(line: &str) -> Result<Task, Failure> {
    parse(line.split_whitespace().map(OsString::from))
}

fn run(line: &str) -> Run {
    match read(line) {
        Ok(Task::Run(run)) => run,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> (String, Option<String>) {
    match read(line) {
        Err(Failure { status: 125, message, hint }) => (message, hint),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn options_end_at_the_command() {
    let plain = run("-x local: curl -x -q --help -- --proxy");
    assert_eq!(plain.program, "curl");
    assert_eq!(plain.arguments, ["-x", "-q", "--help", "--", "--proxy"]);
    assert_eq!(run("-x local: -- -odd -v").program, "-odd");
    assert_eq!(run("-x local: -- a -- b").arguments, ["--", "b"]);
    assert_eq!(run("-x local: - -v").program, "-");
}

#[test]
fn the_proxy_is_spelled_in_each_usual_way() {
    for line in
        ["-xlocal: true", "-x=local: true", "--proxy local: true", "--proxy=local: true", "-vxlocal: true"]
    {
        assert_eq!(run(line).config, Config::strict(vec![Upstream::Local]), "{line}");
    }
}

#[test]
fn the_last_word_on_verbosity_counts() {
    assert_eq!(run("-x local: a").verbosity, Verbosity::Normal);
    assert_eq!(run("-x local: -q a").verbosity, Verbosity::Quiet);
    assert_eq!(run("-x local: -q --verbose a").verbosity, Verbosity::Verbose);
}

#[test]
fn an_unknown_option_names_the_nearest() {
    assert_eq!(refused("--prxy local: a").1.unwrap(), "did you mean --proxy?");
    assert_eq!(refused("--verbos a").1.unwrap(), "did you mean --verbose?");
    assert_eq!(refused("--explian a").1.unwrap(), "did you mean --explain?");
}

#[test]
fn options_of_later_versions_are_no_options_yet() {
    for line in [
        "-f x a",
        "--config x a",
        "--tier hook a",
        "--dns fake a",
        "--udp carry a",
        "--shell",
        "--check",
        "--leaktest a",
    ] {
        let (message, hint) = refused(line);
        assert!(message.ends_with(": unknown option"), "{line}: {message}");
        assert_eq!(hint.unwrap(), "underpass --help lists the options", "{line}");
    }
}

#[test]
fn each_mistake_is_said() {
    let table = [
        ("", "no command given"),
        ("-x local:", "no command given"),
        ("curl", "no proxy given"),
        ("-x", "--proxy: URL is missing"),
        ("--why", "--why: HOST:PORT is missing"),
        ("--quiet=yes a", "--quiet: takes no value"),
        ("-x socks5h://h:0 a", "--proxy: the port is not between 1 and 65535"),
        ("--why a:1", "no proxy given"),
        ("-x local: --why a:1 curl", "curl: --why and --explain take no command"),
        ("-x local: --explain curl", "--explain: takes no other option"),
    ];
    for (line, message) in table {
        assert_eq!(refused(line).0, message, "{line}");
    }
    assert!(refused("curl").1.unwrap().contains("-x socks5h://HOST:PORT COMMAND"));
}

#[test]
fn no_message_repeats_a_password() {
    for line in ["-x socks5h://u:hunter2@h:0 a", "-x hunter2 a", "-x gopher://u:hunter2@h a"] {
        let (message, hint) = refused(line);
        assert!(!format!("{message}{hint:?}").contains("hunter2"), "{message}");
    }
}

#[test]
fn help_fits_a_screen() {
    assert!(HELP.lines().all(|line| line.len() < 80));
    assert!(HELP.lines().count() <= 24, "{}", HELP.lines().count());
    for option in OPTIONS {
        assert!(HELP.contains(option), "{option}");
    }
}
