//! Half of a TLS configuration never means plain text, whichever half it is.

use farm_harness::{Authority, FakeServer, Scratch, Tool};

const OPTIONS: [(&str, &str); 4] = [
    ("--tls-ca", "ZK_TLS_CA"),
    ("--tls-cert", "ZK_TLS_CERT"),
    ("--tls-key", "ZK_TLS_KEY"),
    ("--tls-server-name", "ZK_TLS_SERVER_NAME"),
];
const HINT: &str = "\nhint: add --tls, or set ZK_TLS=1; ZK_TLS=0 means no TLS\n";

/// All tools, at a server that would be glad to speak plain text.
fn tools(server: &FakeServer, scratch: &Scratch) -> [Tool; 5] {
    let tool = |name: &str, args: &[&str]| {
        Tool::new(name).cwd(scratch.path()).env("ZKHOST", server.addr().to_string()).args(args)
    };
    [
        tool("zkjoin", &["/farm", "conf.json"]),
        tool("zkexport", &["/farm", "farm.json"]),
        tool("zkexport", &["--once", "/farm", "once.json"]),
        tool("zkctl", &["-t", "5s", "ls", "/"]),
        tool("zkexec", &["-e", "true"]),
    ]
}

#[test]
fn what_has_no_effect_without_tls_is_wrong_usage_in_all_tools() {
    let (server, scratch) = (FakeServer::start(), Scratch::new());
    for (option, name) in OPTIONS {
        let wanted = format!(": {option} without --tls{HINT}");
        for tool in tools(&server, &scratch) {
            let variants = [
                tool.clone().args([option, "zk1"]),
                tool.clone().args([option, "zk1"]).env("ZK_TLS", ""),
                // ZK_TLS=0 excuses what the environment sets, not what was typed.
                tool.clone().args([option, "zk1"]).env("ZK_TLS", "0"),
                tool.clone().args([option, "zk1"]).env("ZK_TLS", "0").env(name, "zk2"),
                tool.clone().env(name, "zk1"),
                tool.env(name, "zk1").env("ZK_TLS", ""),
            ];
            for variant in variants {
                variant.run().code(2).stdout_is("").stderr_has(&wanted);
            }
        }
    }
    assert_eq!(server.connections_accepted(), 0, "nothing was sent");
}

#[test]
fn a_certificate_without_its_key_and_a_key_without_its_certificate_are_wrong_usage() {
    let (server, scratch) = (FakeServer::start(), Scratch::new());
    let ours = Authority::new("farm").issue(&["client"]);
    let files = [scratch.write("cert", ours.cert), scratch.write("key", ours.key)];
    for (one, other) in [(1, 2), (2, 1)] {
        let ((option, name), file) = (OPTIONS[one], files[one - 1].display().to_string());
        let wanted = format!(": {option} without {}\nhint: ", OPTIONS[other].0);
        for tool in tools(&server, &scratch) {
            for on in [tool.clone().arg("--tls"), tool.env("ZK_TLS", "1")] {
                on.clone().args([option, &file]).run().code(2).stderr_has(&wanted);
                on.clone().env(name, &file).run().code(2).stderr_has(&wanted);
                // An empty variable is not the other half.
                let empty = on.args([option, &file]).env(OPTIONS[other].1, "");
                empty.run().code(2).stderr_has(&wanted);
            }
        }
    }
    assert_eq!(server.connections_accepted(), 0, "nothing was sent");
}

#[test]
fn an_environment_for_tls_is_of_no_effect_where_it_is_switched_off() {
    for off in ["0", "no", "false", "OFF"] {
        let scratch = Scratch::new();
        let (server, mut tool) = (FakeServer::start(), Tool::new("zkctl").args(["ls", "/"]));
        for (_, name) in OPTIONS {
            tool = tool.env(name, "zk1");
        }
        let tool = tool.env("ZKHOST", server.addr().to_string()).env("ZK_TLS", off);
        tool.cwd(scratch.path()).run().ok();
    }
}
