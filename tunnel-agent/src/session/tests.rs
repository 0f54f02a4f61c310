use super::*;

fn token(opened: &Opened) -> Token {
    SessionEnv::parse(opened.value.as_bytes()).unwrap().token
}

fn through(proxy: &str) -> Config {
    Config::strict(vec![proxy.parse().unwrap()])
}

/// A folder of this test's own, without what another run has left.
fn folder(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("underpass-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn launches_that_ask_for_the_same_share_a_session() {
    use underpass_core::config::format::Format;

    let directory = folder("shared");
    let sessions = Sessions::open(&directory).unwrap();
    let size = || std::fs::metadata(directory.join("sessions")).unwrap().len();
    let open = |sessions: &Sessions, proxy, source: Option<&Source>| {
        token(&sessions.open_session(through(proxy), source.cloned()).unwrap())
    };
    let sources = ["/a.toml", "/b.toml"].map(|path| Source::file(path, Format::Underpass));
    let logged_in = Source { logins: [("L".to_owned(), "u:p".to_owned())].into(), ..sources[0].clone() };
    let each = [None, Some(&sources[0]), Some(&sources[1]), Some(&logged_in)];
    let tokens = each.map(|source| open(&sessions, "socks5h://a:1", source));
    let other = open(&sessions, "socks5h://u:p@a:1", None);
    assert_eq!(
        (sessions.count(), tokens.iter().chain([&other]).collect::<std::collections::HashSet<_>>().len()),
        (5, 5)
    );
    let before = size();
    for _ in 0..1000 {
        assert_eq!(each.map(|source| open(&sessions, "socks5h://a:1", source)), tokens);
    }
    assert_eq!((sessions.count(), size()), (5, before));
    let again = Sessions::open(&directory).unwrap();
    assert_eq!(each.map(|source| open(&again, "socks5h://a:1", source)), tokens);
    assert_eq!(open(&again, "socks5h://u:p@a:1", None), other);
    assert_eq!((again.count(), size()), (5, before));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn sessions_and_the_socket_outlive_the_agent() {
    let directory = folder("sessions");
    let first = Sessions::open(&directory).unwrap();
    let config = through("socks5h://u:p@h:1");
    let token = token(&first.open_session(config.clone(), None).unwrap());
    let second = Sessions::open(&directory).unwrap();
    assert_eq!(second.socket, first.socket);
    assert_eq!(second.plan(&token).map(|plan| plan.config.clone()), Some(config));
    assert!(second.plan(&Token([0; 16])).is_none());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_reload_changes_the_sessions_of_a_file_and_keeps_them() {
    use underpass_core::config::format::Format;

    let directory = folder("reload");
    let path = directory.join("c.toml");
    let source = Source::file(&path, Format::Underpass);
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("proxy = 'socks5h://a:1'\n");
    let sessions = Sessions::open(&directory).unwrap();
    let open =
        |source: Option<&Source>| sessions.open_session(through("socks5h://a:1"), source.cloned()).unwrap();
    let mut launches = vec![open(Some(&source)), open(Some(&source)), open(None)];
    let tokens = [0, 1, 2].map(|launch: usize| token(&launches[launch]));
    let hops = |sessions: &Sessions| {
        tokens.map(|token| sessions.plan(&token).unwrap().config.chains["main"].hops[0].to_string())
    };
    let [same, bad] = [(0, 2), (0, 2)].map(|(changed, unchanged)| (changed, unchanged, 1));
    let counts = |it: &Reloaded| (it.changed, it.unchanged, it.fixed);
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), same);
    write("proxy = 'socks5h://b:2'\n");
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
    let new = ["socks5h://b:2", "socks5h://b:2", "socks5h://a:1"];
    assert_eq!(hops(&sessions), new);
    write("proxy = 'socks5h://c:3'\nproxi = 1\n");
    let failed = sessions.reload(|_| false, |_| Ok(()));
    assert_eq!((counts(&failed), failed.failures.len()), (bad, 1));
    assert!(failed.failures[0].contains("c.toml:2:1: "), "{failed:?}");
    assert_eq!(hops(&sessions), new);
    // One whose program has ended follows, uncounted; one that has another program counts.
    let ended = token(&open(Some(&source)));
    write("proxy = 'socks5h://e:5'\n");
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
    assert_eq!(sessions.plan(&ended).unwrap().config.chains["main"].hops[0].to_string(), "socks5h://e:5");
    assert_eq!(counts(&sessions.reload(|token| *token == ended, |_| Ok(()))), (0, 3, 1));
    write("proxy = 'socks5h://b:2'\n");
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
    launches.push(open(Some(&source)));
    let later = token(&launches[3]);
    assert!(later != ended && sessions.count() == 4, "it asks for what the file says no more");
    let again = Sessions::open(&directory).unwrap();
    assert_eq!(hops(&again), new);
    assert!(again.plan(&later).is_some());
    write("proxy = 'socks5h://d:4'\n");
    assert_eq!(
        counts(&again.reload(|_| false, |_| Ok(()))),
        (3, 0, 1),
        "it is not known who has opened them"
    );
    // From now on the newest of what has become the same is shared.
    let same = again.open_session(through("socks5h://d:4"), Some(source.clone())).unwrap();
    assert_eq!((token(&same), again.count()), (later, 4));
    launches.clear();
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (0, 0, 0));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn of_many_sessions_those_go_of_which_nothing_lives() {
    let directory = folder("crowd");
    let mut sessions = Sessions::open(&directory).unwrap();
    sessions.crowd = 8;
    let number = std::cell::Cell::new(0);
    let launch = || {
        number.set(number.get() + 1);
        sessions.open_session(through(&format!("socks5h://a:{}", number.get())), None).unwrap()
    };
    let ends = || token(&launch());
    let shell = launch();
    let (daemon, asks, old) = (ends(), ends(), ends());
    let others: Vec<Token> = (0..3).map(|_| ends()).collect();
    assert!(sessions.plan(&asks).is_some() && !sessions.are_crowded());
    let newest = ends();
    assert!(sessions.are_crowded());
    let is_known = |sessions: &Sessions, token: &Token| sessions.table.lock().sessions.contains_key(token);
    sessions.thin_out(|token| *token == daemon).unwrap();
    let again = Sessions::open(&directory).unwrap();
    for sessions in [&sessions, &again] {
        assert!([token(&shell), daemon, asks, newest].iter().all(|token| is_known(sessions, token)));
        assert!(!is_known(sessions, &old) && !others.iter().any(|token| is_known(sessions, token)));
        assert_eq!(sessions.count(), 4);
    }
    // What asks for one that has gone gets a new one; who asks for one that is there keeps it.
    let anew = token(&sessions.open_session(through("socks5h://a:4"), None).unwrap());
    assert!(anew != old && sessions.count() == 5);
    let shared = token(&sessions.open_session(through("socks5h://a:8"), None).unwrap());
    assert_eq!((shared, sessions.count()), (newest, 5));
    // Next time nobody has asked by it, and the shell has ended.
    let ended = token(&shell);
    drop(shell);
    let _more: Vec<Token> = (0..3).map(|_| ends()).collect();
    assert!(sessions.are_crowded());
    sessions.thin_out(|token| *token == daemon).unwrap();
    assert!([ended, asks, anew].iter().all(|token| !is_known(&sessions, token)));
    assert!([daemon, newest].iter().all(|token| is_known(&sessions, token)) && sessions.count() == 4);
    std::fs::remove_dir_all(directory).unwrap();
}
