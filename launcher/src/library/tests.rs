use super::*;
use crate::scratch::Scratch;

fn agent(path: PathBuf) -> AgentDirectory {
    AgentDirectory { path, shared: true, passed_over: Vec::new() }
}

fn library(directory: &Path) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let path = directory.join(NAME);
    fs::write(&path, "library").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    path
}

/// How many files are in the agent's directory: the library, and the launcher beside it.
fn entries(agent: &AgentDirectory) -> usize {
    fs::read_dir(&agent.path).unwrap().count()
}

#[test]
fn each_place_is_found_and_beside_us_comes_first() {
    let scratch = Scratch::new();
    let root = scratch.directory("places");
    let bin = root.join("bin");
    let failed = find(&bin).unwrap_err();
    assert_eq!(failed.status, 125);
    assert!(failed.message.contains("not found"), "{failed}");
    let multiarch = library(&root.join("lib").join(TRIPLET).join("underpass"));
    assert_eq!(find(&bin), Ok(multiarch));
    let plain = library(&root.join("lib/underpass"));
    assert_eq!(find(&bin), Ok(plain));
    let beside = library(&bin);
    assert_eq!(find(&bin), Ok(beside));
}

#[test]
fn a_path_that_every_user_can_load_is_used_as_it_is() {
    let scratch = Scratch::new();
    let path = library(&scratch.directory("plain"));
    let agent = agent(scratch.directory("plain-agent"));
    for uid in [0, 1000] {
        assert_eq!(prepare(&path, &agent, uid), Ok(Library { path: path.clone(), remark: None }));
    }
}

#[test]
fn a_path_with_a_space_is_reached_through_a_link() {
    let scratch = Scratch::new();
    let path = library(&scratch.directory("with a space"));
    let agent = agent(scratch.directory("link-agent"));
    let first = prepare(&path, &agent, 1000).unwrap();
    assert!(is_safe(first.path.as_os_str().as_bytes()));
    assert_eq!(fs::read_link(&first.path).unwrap(), path);
    assert_eq!(prepare(&path, &agent, 1000), Ok(first));
    assert_eq!(entries(&agent), 2);
    assert_eq!(fs::read_link(agent.path.join(LAUNCHER)).unwrap(), std::env::current_exe().unwrap());
}

#[test]
fn without_any_safe_path_it_is_a_failure() {
    let scratch = Scratch::new();
    let path = library(&scratch.directory("with:colon"));
    let failed = prepare(&path, &agent(scratch.directory("agent too")), 1000).unwrap_err();
    assert_eq!(failed.status, 125);
    assert!(failed.hint.is_some());
}

#[test]
fn for_root_a_library_that_others_cannot_read_is_copied_once() {
    let scratch = Scratch::new();
    let hidden = scratch.directory("hidden");
    let path = library(&hidden);
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).unwrap();
    let agent = agent(scratch.directory("copy-agent"));
    let made = prepare(&path, &agent, 0).unwrap();
    assert_eq!(made.remark, Some(Remark::Copied(made.path.clone())));
    assert_eq!(fs::read(&made.path).unwrap(), b"library");
    assert_eq!(fs::metadata(&made.path).unwrap().mode() & 0o777, 0o755);
    assert_eq!(prepare(&path, &agent, 0), Ok(made));
    assert_eq!(entries(&agent), 2);
    assert_eq!(fs::read_link(agent.path.join(LAUNCHER)).unwrap(), std::env::current_exe().unwrap());
    assert_eq!(prepare(&path, &agent, 1000), Ok(Library { path, remark: None }));
}

#[test]
fn where_a_copy_would_not_help_the_library_is_used_and_it_is_said() {
    let scratch = Scratch::new();
    let path = library(&scratch.directory("hidden too"));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let agent = agent(scratch.directory("closed-agent"));
    fs::set_permissions(&agent.path, Permissions::from_mode(0o700)).unwrap();
    let made = prepare(&path, &agent, 0).unwrap();
    assert!(matches!(made.remark, Some(Remark::OnlyForUs(_))), "{made:?}");
    assert_eq!(fs::read_link(&made.path).unwrap(), path);
}
