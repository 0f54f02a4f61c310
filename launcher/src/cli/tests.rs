use underpass_core::config::Udp;
use underpass_core::config::format::Format;
use underpass_core::config::inherited::Inherited;
use underpass_core::config::tier::Tier;

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
    let plain = run("-x local: curl -x -q --help -- --proxy").program;
    assert_eq!(plain.name, "curl");
    assert_eq!(plain.arguments, ["-x", "-q", "--help", "--", "--proxy"]);
    assert_eq!(run("-x local: -- -odd -v").program.name, "-odd");
    assert_eq!(run("-x local: -- a -- b").program.arguments, ["--", "b"]);
    assert_eq!(run("-x local: - -v").program.name, "-");
}

#[test]
fn the_proxy_is_spelled_in_each_usual_way() {
    for line in
        ["-xlocal: true", "-x=local: true", "--proxy local: true", "--proxy=local: true", "-vxlocal: true"]
    {
        assert_eq!(run(line).given, Given::Proxies(vec![Upstream::Local]), "{line}");
    }
    let chain = ["socks5h://a:1", "http://b:2", "ssh://c"].map(|url| url.parse().unwrap());
    assert_eq!(
        run("-x socks5h://a:1 -q --proxy=http://b:2 -xssh://c true").given,
        Given::Proxies(chain.to_vec())
    );
}

#[test]
fn a_file_has_the_format_of_its_name_or_the_one_that_is_said() {
    let file = |path: &str, format| Given::File { path: path.into(), format };
    assert_eq!(run("-f x true").given, file("x", None));
    assert_eq!(run("--format tsocks --config=x true").given, file("x", Some(Format::Tsocks)));
    assert_eq!(run("true").given, Given::Nothing);
}

#[test]
fn what_is_asked_instead_of_a_command_is_told_apart() {
    assert_eq!(
        read("--check -f x"),
        Ok(Task::Check { given: Given::File { path: "x".into(), format: None } })
    );
    let shell = Task::Shell { given: Given::Nothing, verbosity: Verbosity::Quiet };
    assert_eq!(read("-q --shell"), Ok(shell));
    let (given, verbosity) = (Given::Nothing, Verbosity::Normal);
    assert_eq!(read("--why a"), Ok(Task::Why { destination: "a".into(), given, verbosity }));
}

#[test]
fn how_names_are_answered_goes_with_any_source() {
    let exit = "exit:9.9.9.9".parse().unwrap();
    let local = || Given::Proxies(vec![Upstream::Local]);
    let with = |dns, given| Given::With(Changes { dns: Some(dns), ..Changes::default() }, Box::new(given));
    assert_eq!(run("-x local: --dns exit:9.9.9.9 a").given, with(exit, local()));
    let fake = "fake".parse().unwrap();
    assert_eq!(run("--dns=exit --dns=fake a").given, with(fake, Given::Nothing));
}

#[test]
fn what_becomes_of_datagrams_goes_with_any_source() {
    let with = |dns, udp| {
        Given::With(Changes { dns, udp: Some(udp), ..Changes::default() }, Box::new(Given::Nothing))
    };
    assert_eq!(run("--udp refuse a").given, with(None, Udp::Refuse));
    assert_eq!(run("--udp=carry --dns exit a").given, with("exit".parse().ok(), Udp::Carry));
}

#[test]
fn what_becomes_of_inherited_sockets_goes_with_any_source() {
    let with = |inherited| {
        let changes = Changes { inherited: Some(inherited), ..Changes::default() };
        Given::With(changes, Box::new(Given::Proxies(vec![Upstream::Local])))
    };
    assert_eq!(run("-x local: --inherited refuse a").given, with(Inherited::Refuse));
    assert_eq!(run("--inherited=close -x local: a").given, with(Inherited::Close));
}

#[test]
fn the_tier_goes_with_any_source() {
    let with = |tier| {
        let changes = Changes { tier: Some(tier), ..Changes::default() };
        Given::With(changes, Box::new(Given::Proxies(vec![Upstream::Local])))
    };
    assert_eq!(run("-x local: --tier guard a").given, with(Tier::Guard));
    assert_eq!(run("--tier=hook -x local: a").given, with(Tier::Hook));
}

#[test]
fn the_library_names_a_file_and_what_it_is_called() {
    let within = |file: &str, close_on_exec| {
        let program = Program { name: "-sh".into(), arguments: vec!["-c".into(), "x".into()] };
        Ok(Task::Within { file: file.into(), program, close_on_exec })
    };
    assert_eq!(read("--argv0 -sh -- /bin/sh -c x"), within("/bin/sh", None));
    assert_eq!(read("--argv0 -sh --close-on-exec=5 -- /dev/fd/5 -c x"), within("/dev/fd/5", Some(5)));
    assert_eq!(refused("--argv0 a").0, "--argv0: no program given");
    assert_eq!(refused("--argv0 a --close-on-exec=x b").0, "--close-on-exec: not the number of a descriptor");
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
fn a_leak_test_is_a_run() {
    let Ok(Task::Leaktest(tested)) = read("--leaktest -x local: --tier guard -- curl --leaktest") else {
        panic!()
    };
    assert_eq!(tested, run("-x local: --tier guard curl --leaktest"));
    assert_eq!(refused("--leaktest").0, "no command given");
    assert_eq!(refused("--leaktest --check").0, "--check: not together with --leaktest");
}

#[test]
fn each_mistake_is_said() {
    let table = [
        ("", "no command given"),
        ("-x local:", "no command given"),
        ("-x", "--proxy: URL is missing"),
        ("--why", "--why: HOST[:PORT] is missing"),
        ("-f", "--config: FILE is missing"),
        ("--dns", "--dns: MODE[:ADDR] is missing"),
        ("--udp no a", "--udp: neither carry nor refuse"),
        ("--inherited no a", "--inherited: neither keep nor close nor refuse"),
        ("--tier gard a", "--tier: neither auto nor hook nor guard nor sealed"),
        ("--dns fke a", "--dns: no way to answer names (did you mean \"fake\"?)"),
        ("--dns exit:dns.example a", "--dns: the resolver is not ADDRESS or ADDRESS:PORT"),
        ("--dns fake --explain a", "--explain: takes no other option"),
        ("-f a -f b c", "--config: given twice; there is one configuration"),
        ("-f a -x local: c", "--config: not together with --proxy: one of them says where to go"),
        ("--format tsocks c", "--format: says how to read a --config, and none is given"),
        ("-x local: --format tsocks c", "--format: says how to read a --config, and none is given"),
        ("-f a --format tsock c", "--format: unknown format \"tsock\" (did you mean \"tsocks\"?)"),
        ("--check --why a", "--why: not together with --check"),
        ("--shell true", "--shell: takes no command"),
        ("--check=x", "--check: takes no value"),
        ("--quiet=yes a", "--quiet: takes no value"),
        ("-x socks5h://h:0 a", "--proxy: the port is not between 1 and 65535"),
        ("-x local: --why a:1 curl", "--why: takes no command"),
        ("-x local: --explain curl", "--explain: takes no other option"),
    ];
    for (line, message) in table {
        assert_eq!(refused(line).0, message, "{line}");
    }
}

#[test]
fn no_message_repeats_a_password() {
    for line in ["-x socks5h://u:hunter2@h:0 a", "-x hunter2 a", "-x gopher://u:hunter2@h a"] {
        let (message, hint) = refused(line);
        assert!(!format!("{message}{hint:?}").contains("hunter2"), "{message}");
    }
}

#[test]
fn each_option_is_taken_by_each_of_its_names() {
    for option in &OPTIONS {
        let long = format!("--{}", option.long);
        let short = option.short.map(|letter| format!("-{letter}"));
        for word in [Some(long), short].into_iter().flatten() {
            // What follows is its value or the command: in neither case is the option unknown, or another's.
            let done = read(&format!("{word} -x=1"));
            assert!(!format!("{done:?}").contains("unknown option"), "{word}: {done:?}");
            let alone = read(&word);
            let missing = option.value.map(|value| format!("--{}: {value} is missing", option.long));
            assert_eq!(alone.err().map(|why| why.message).filter(|why| why.ends_with("is missing")), missing);
        }
    }
}
