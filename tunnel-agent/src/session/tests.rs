use super::*;

#[test]
fn sessions_and_the_socket_outlive_the_agent() {
    let directory = std::env::temp_dir().join(format!("underpass-sessions-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let first = Sessions::open(&directory).unwrap();
    let config = Config::strict(vec!["socks5h://u:p@h:1".parse().unwrap()]);
    let value = first.open_session(config.clone(), None, None).unwrap();
    let token = SessionEnv::parse(value.as_bytes()).unwrap().token;
    let second = Sessions::open(&directory).unwrap();
    assert_eq!(second.socket, first.socket);
    assert_eq!(second.plan(&token).map(|plan| plan.config.clone()), Some(config));
    assert!(second.plan(&Token([0; 16])).is_none());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_reload_changes_the_sessions_of_a_file_and_keeps_them() {
    use underpass_core::config::format::Format;

    let directory = std::env::temp_dir().join(format!("underpass-reload-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("c.toml");
    let source = Source::file(&path, Format::Underpass);
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("proxy = 'socks5h://a:1'\n");
    let sessions = Sessions::open(&directory).unwrap();
    let token = |value: &str| SessionEnv::parse(value.as_bytes()).unwrap().token;
    let kept = |source: Option<&Source>, keeper| {
        let config = Config::strict(vec!["socks5h://a:1".parse().unwrap()]);
        token(&sessions.open_session(config, source.cloned(), keeper).unwrap())
    };
    let open = |source| kept(source, None);
    let tokens = [open(Some(&source)), open(Some(&source)), open(None)];
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
    let (keeper, life) = Keeper::new();
    let ended = kept(Some(&source), Some(keeper));
    drop(life);
    write("proxy = 'socks5h://e:5'\n");
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
    assert_eq!(sessions.plan(&ended).unwrap().config.chains["main"].hops[0].to_string(), "socks5h://e:5");
    assert_eq!(counts(&sessions.reload(|token| *token == ended, |_| Ok(()))), (0, 3, 1));
    write("proxy = 'socks5h://b:2'\n");
    assert_eq!(counts(&sessions.reload(|_| false, |_| Ok(()))), (2, 0, 1));
    let later = open(Some(&source));
    let again = Sessions::open(&directory).unwrap();
    assert_eq!(hops(&again), new);
    assert!(again.plan(&later).is_some());
    write("proxy = 'socks5h://d:4'\n");
    assert_eq!(
        counts(&again.reload(|_| false, |_| Ok(()))),
        (4, 0, 1),
        "it is not known who has opened them"
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn of_many_sessions_those_go_of_which_nothing_lives() {
    let directory = std::env::temp_dir().join(format!("underpass-crowd-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut sessions = Sessions::open(&directory).unwrap();
    sessions.crowd = 8;
    let open = |keeper| {
        let config = Config::strict(vec!["socks5h://a:1".parse().unwrap()]);
        SessionEnv::parse(sessions.open_session(config, None, keeper).unwrap().as_bytes()).unwrap().token
    };
    let (keeper, life) = Keeper::new();
    let (shell, daemon, asks) = (open(Some(keeper)), open(None), open(None));
    let old = open(None);
    let others: Vec<Token> = (0..3).map(|_| open(None)).collect();
    assert!(sessions.plan(&asks).is_some() && !sessions.are_crowded());
    let newest = open(None);
    assert!(sessions.are_crowded());
    let is_known = |sessions: &Sessions, token: &Token| sessions.table.lock().sessions.contains_key(token);
    sessions.thin_out(|token| *token == daemon).unwrap();
    let again = Sessions::open(&directory).unwrap();
    for sessions in [&sessions, &again] {
        assert!([shell, daemon, asks, newest].iter().all(|token| is_known(sessions, token)));
        assert!(!is_known(sessions, &old) && !others.iter().any(|token| is_known(sessions, token)));
        assert_eq!(sessions.count(), 4);
    }
    // Next time nobody has asked, and the shell has ended.
    drop(life);
    let _more: Vec<Token> = (0..4).map(|_| open(None)).collect();
    assert!(sessions.are_crowded());
    sessions.thin_out(|token| *token == daemon).unwrap();
    assert!([shell, asks, newest].iter().all(|token| !is_known(&sessions, token)));
    assert!(is_known(&sessions, &daemon) && sessions.count() == 4);
    std::fs::remove_dir_all(directory).unwrap();
}
