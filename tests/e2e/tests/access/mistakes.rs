//! Error messages about invalid credentials and access lists, which must not show secrets.

use super::{PASSWORD, assert_no_secret, auth_file, good_auth, readers};
use farm_harness::{FakeServer, Scratch, Tool};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_bad_file_is_an_end_that_names_the_line() {
    let scratch = Scratch::new();
    let good = format!("digest:a:{PASSWORD}\n");
    let table = [
        (format!("{good}\n{PASSWORD}\n"), "line 3: it does not begin with digest:"),
        (format!("{good}digest::{PASSWORD}"), "line 2: the user is missing"),
        (format!("{good}digest:{PASSWORD}\0"), "line 2: it has a control character"),
        (String::new(), "it holds no credentials"),
    ];
    for (text, expected) in table {
        let file = auth_file(&scratch, "auth", &text);
        for tool in readers(&scratch) {
            let output = tool.arg("--auth-file").arg(&file).run();
            output.code(78).stdout_is("").stderr_has(expected).stderr_has("/auth");
            assert!(output.stderr.lines().count() <= 2, "{output}");
            assert_no_secret(&output.stderr);
        }
    }
    for tool in readers(&scratch) {
        tool.env("ZK_AUTH_FILE", scratch.join("nowhere")).run().code(78).stderr_has("/nowhere");
    }
    let check = Tool::new("zkctl").args(["check", "/db", "--auth-file", "/nowhere"]);
    check.run().code(3).stdout_has("UNKNOWN: cannot read the credentials");
}

#[test]
fn a_bad_list_is_wrong_usage_that_names_the_piece() {
    let scratch = Scratch::new();
    let plain = format!("world:anyone:r,digest:bob:{PASSWORD}:cdrwa");
    for (acl, expected) in [
        ("world:anyone:r,auth::rx", "\"auth::rx\""),
        ("everybody", "\"everybody\""),
        (&plain, "never the password"),
    ] {
        for tool in readers(&scratch) {
            let output = tool.args(["--acl", acl]).run();
            output.code(2).stdout_is("").stderr_has("--acl").stderr_has(expected);
            assert_no_secret(&output.stderr);
        }
    }
}

#[test]
fn a_creator_without_credentials_is_an_end_with_a_hint() {
    let scratch = Scratch::new();
    for acl in ["creator", "creator+read", "auth::r"] {
        for tool in readers(&scratch) {
            let output = tool.args(["--acl", acl]).run();
            output.code(78).stderr_has("needs credentials").stderr_has("hint: ");
            output.stderr_has("--auth-file");
        }
    }
}

#[test]
fn a_file_that_everybody_can_read_draws_a_warning() {
    let server = FakeServer::start();
    let scratch = Scratch::new();
    server.put("/db", b"");
    let file = good_auth(&scratch);
    let list = Tool::new("zkctl").args(["ls", "/db"]).env("ZKHOST", server.addr().to_string());
    let list = list.env("ZK_AUTH_FILE", &file);
    for (mode, is_warned) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let output = list.run();
        assert_eq!(output.ok().stderr.contains("everybody can read"), is_warned, "{mode:o}");
        assert_no_secret(&output.stderr);
    }
}

#[test]
fn help_shows_neither_the_file_nor_what_it_holds() {
    let scratch = Scratch::new();
    let file = good_auth(&scratch);
    for name in ["zkjoin", "zkexport", "zkctl"] {
        for help in ["-h", "--help"] {
            let output = Tool::new(name).env("ZK_AUTH_FILE", &file).arg(help).run();
            output.ok().stdout_has("--auth-file").stdout_has("ZK_AUTH_FILE").stdout_has("--acl");
            let text = output.text();
            assert!(!text.contains(file.to_str().unwrap()), "{text}");
            assert_no_secret(&text);
        }
    }
}
