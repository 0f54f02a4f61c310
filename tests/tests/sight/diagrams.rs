//! The running chains as a picture, drawn by Graphviz itself.

use underpass_tests::{proxies, wait};

use crate::{STAYS, ask, connected, file, script, world};

#[test]
fn the_running_chains_are_drawn() {
    let (world, proxy) = world();
    let dead = proxies::down(&world);
    let text = format!(
        "default = 'spare'\n[chain.spare]\nkind = 'failover'\nhops = ['{dead}', '{}']\n\
         [chain.work]\nhops = ['{0}']\n[[route]]\nport = 7007\nto = 'work'\n",
        proxy.url()
    );
    let file = file(&world, "c.toml", &text);
    let script = |text: &str| script(&world, &file, text);
    let stays = connected(script(&format!("head -n1 </dev/tcp/far.test/7001 >/dev/null; {STAYS}")));
    let mut dot = String::new();
    wait("the first connection has ended", || {
        dot = ask(&world, &["status", "--dot"]).run().success();
        !dot.contains("program1")
    });
    let picture = world.client("dot").args(["-Tplain"]).input(dot.clone()).run().success();
    let nodes: Vec<&str> = picture.lines().filter(|line| line.starts_with("node ")).collect();
    let edges: Vec<Vec<&str>> = picture
        .lines()
        .filter(|line| line.starts_with("edge "))
        .map(|line| line.split(' ').skip(1).take(2).collect())
        .collect();
    let drawn = |id: &str| nodes.iter().find(|line| line.contains(&format!(" {id} "))).copied().unwrap_or("");
    assert!(drawn("chain0").contains("chain spare\\nfailover"), "{picture}");
    assert!(drawn("hop0_1").contains("#cc0000") && drawn("hop0_1").contains("passed over"), "{picture}");
    assert!(drawn("hop1_1").contains(proxy.url()) && drawn("hop1_1").contains("exit 1 of 1"), "{picture}");
    assert!(
        drawn("destinations1").contains("far.test:7007") && drawn("program0").contains("bash"),
        "{picture}"
    );
    for arrow in
        [["chain0", "hop0_1"], ["chain0", "hop0_2"], ["program0", "chain1"], ["hop1_1", "destinations1"]]
    {
        assert!(edges.contains(&arrow.to_vec()), "{arrow:?}: {picture}");
    }
    // The same in the other language.
    let mermaid = ask(&world, &["status", "--mermaid"]).run().success();
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert_eq!(mermaid.matches("--").count(), dot.matches(" -> ").count(), "{mermaid}{dot}");
    let both = ask(&world, &["status", "--dot", "--mermaid"]).run();
    assert_eq!((both.code(), &*both.stdout), (125, ""), "{both}");
    drop(stays);
}
