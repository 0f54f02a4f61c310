use super::*;
use std::os::unix::fs::symlink;

/// A new directory under /tmp, mode 0700, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let around = Surroundings { uid: me(), ..Surroundings::default() };
        Self(unshared(&around).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn made(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Nothing but a private directory in this scratch can be had.
    fn around(&self) -> Surroundings {
        Surroundings {
            uid: me(),
            network: Some(7),
            processes: None,
            system: self.path("absent"),
            runtime: None,
            home: None,
            temporary: Some(self.0.clone().into()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn me() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_runtime_directory_is_taken_and_found_again() {
    let scratch = Scratch::new();
    let runtime = scratch.made("run", 0o700);
    let around = Surroundings { runtime: Some(runtime.clone().into()), ..scratch.around() };
    let first = agent_directory(&around).unwrap();
    assert_eq!(first.path, runtime.join("underpass/v1-7"));
    assert!(first.shared);
    assert_eq!((mode(&first.path), mode(&runtime.join("underpass"))), (0o700, 0o700));
    assert_eq!(agent_directory(&around), Ok(first.clone()));
    let other = agent_directory(&Surroundings {
        network: Some(0xf000_0a01),
        processes: Some(0xf000_02ba),
        ..around.clone()
    })
    .unwrap();
    assert_eq!(other.path, runtime.join("underpass/v1-b01-3ba"));
    let other = agent_directory(&Surroundings { network: Some(8), ..around }).unwrap();
    assert_ne!(other.path, first.path);
}

#[test]
fn root_has_a_directory_that_others_pass_through_and_cannot_list() {
    if me() != 0 {
        return;
    }
    let scratch = Scratch::new();
    let system = scratch.made("run", 0o755);
    let found = agent_directory(&Surroundings { system: system.clone(), ..scratch.around() }).unwrap();
    assert_eq!(found.path, system.join("underpass/v1-7"));
    assert_eq!((mode(&found.path), mode(&system.join("underpass"))), (0o711, 0o711));
}

#[test]
fn the_home_directory_comes_after_the_runtime_directory() {
    let scratch = Scratch::new();
    let home = scratch.made("home", 0o755);
    let loose = scratch.made("run", 0o755);
    let around = Surroundings {
        home: Some(home.clone().into()),
        runtime: Some(loose.clone().into()),
        ..scratch.around()
    };
    let found = agent_directory(&around).unwrap();
    assert_eq!(found.path, home.join(".local/state/underpass/v1-7"));
    assert_eq!(mode(&home.join(".local")), 0o700);
    assert!(found.passed_over.contains(&Unusable { path: loose, reason: Reason::Mode(0o755) }));
}

#[test]
fn a_place_that_another_could_have_prepared_is_passed_over() {
    type Prepare = fn(&Path);
    let prepared: [(&str, Prepare); 5] = [
        ("a symbolic link", |run| symlink("/tmp", run.join("underpass")).unwrap()),
        ("a loose mode", |run| {
            fs::create_dir(run.join("underpass")).unwrap();
            fs::set_permissions(run.join("underpass"), Permissions::from_mode(0o770)).unwrap();
        }),
        ("a file", |run| fs::write(run.join("underpass"), "").unwrap()),
        ("a loose mode further down", |run| {
            DirBuilder::new().mode(0o700).create(run.join("underpass")).unwrap();
            fs::create_dir(run.join("underpass/v1-7")).unwrap();
            fs::set_permissions(run.join("underpass/v1-7"), Permissions::from_mode(0o777)).unwrap();
        }),
        ("a symbolic link further down", |run| {
            DirBuilder::new().mode(0o700).create(run.join("underpass")).unwrap();
            symlink("/tmp", run.join("underpass/v1-7")).unwrap();
        }),
    ];
    for (what, prepare) in prepared {
        let scratch = Scratch::new();
        let runtime = scratch.made("run", 0o700);
        prepare(&runtime);
        let found =
            agent_directory(&Surroundings { runtime: Some(runtime.into()), ..scratch.around() }).unwrap();
        assert!(!found.shared, "{what}");
        assert_eq!(mode(&found.path), 0o700, "{what}");
        assert_ne!(found.path, scratch.path("run/underpass/v1-7"), "{what}");
    }
}

#[test]
fn the_base_must_be_real_absolute_and_ours() {
    let scratch = Scratch::new();
    let real = scratch.made("real", 0o700);
    symlink(&real, scratch.path("link")).unwrap();
    let stranger = me() + 1;
    let table = [
        (PathBuf::from("run"), me(), Reason::Relative),
        (scratch.path("link"), me(), Reason::NotADirectory),
        (scratch.path("absent"), me(), Reason::System(io::ErrorKind::NotFound)),
        (real.clone(), stranger, Reason::Owner(me())),
        (real.join("x".repeat(MAX_PATH)), me(), Reason::TooLong),
    ];
    for (base, uid, reason) in table {
        let place = Place { base, forbidden: 0o077, below: &["underpass"], mode: PRIVATE };
        assert_eq!(shared(&place, "v1-7", uid).map_err(|unusable| unusable.reason), Err(reason));
    }
}

#[test]
fn without_any_place_the_error_names_each() {
    let scratch = Scratch::new();
    let around = Surroundings {
        runtime: Some("relative".into()),
        temporary: Some(scratch.path("absent").into()),
        ..scratch.around()
    };
    let all = agent_directory(&around).unwrap_err();
    assert!(all.iter().any(|one| one.to_string() == "relative is not an absolute path"), "{all:?}");
    assert!(all.last().unwrap().path.starts_with(scratch.path("absent")));
}

#[test]
fn an_unknown_network_namespace_shares_nothing() {
    let scratch = Scratch::new();
    let runtime = scratch.made("run", 0o700);
    let around = Surroundings { network: None, runtime: Some(runtime.into()), ..scratch.around() };
    let (one, two) = (agent_directory(&around).unwrap(), agent_directory(&around).unwrap());
    assert!(!one.shared && one.path != two.path);
}

#[test]
fn where_an_agent_may_be_is_where_it_is_put() {
    let scratch = Scratch::new();
    let around = Surroundings {
        runtime: Some(scratch.made("runtime", 0o700).into()),
        home: Some(scratch.made("home", 0o700).into()),
        ..scratch.around()
    };
    let places = shared_directories(&around);
    assert_eq!(places.iter().filter(|place| place.exists()).count(), 0);
    let put = agent_directory(&around).unwrap().path;
    assert!(places.contains(&put), "{places:?}");
    assert!(shared_directories(&Surroundings { network: None, ..around }).is_empty());
}
