//! Links to files of credentials and certificates, and to what `zkctl put` stores.

use super::{good_auth, readers};
use farm_harness::{Ensemble, Scratch, Tool};
use std::os::unix::fs::symlink;

const REFUSED: &str = "belongs to another user (uid 65534)";
const HINT: &str = "\nhint: name the file itself";

#[test]
fn credentials_behind_a_link_of_another_user_are_not_read() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can make the links of others.
        return;
    }
    let scratch = Scratch::new();
    let link = scratch.link_of_nobody(good_auth(&scratch), "link");
    for tool in readers(&scratch) {
        let output = tool.arg("--auth-file").arg(&link).run();
        output.code(77).stdout_is("").stderr_has(REFUSED).stderr_has(HINT);
    }
    for option in ["--tls-ca", "--tls-cert"] {
        let tls = Tool::new("zkctl").args(["ls", "/", "--tls", option]).arg(&link);
        let tls = if option == "--tls-cert" { tls.arg("--tls-key").arg(&link) } else { tls };
        let output = tls.run();
        output.code(77).stdout_is("").stderr_has(REFUSED).stderr_has(HINT);
    }
    let put = Tool::new("zkctl").args(["put", "/a"]).arg(&link).run();
    put.code(77).stdout_is("").stderr_has(REFUSED).stderr_has(HINT);
}

#[test]
fn credentials_behind_a_link_of_ours_or_a_descriptor_are_read() {
    let chroot = Ensemble::shared().chroot("linked_credentials");
    let scratch = Scratch::new();
    let auth = good_auth(&scratch);
    symlink(&auth, scratch.join("link")).unwrap();
    let servers = chroot.connect_string();
    let tool = |file: &str| {
        let set = ["set", "--create", "--acl", "creator", "/a", "a", "1"];
        Tool::new("zkctl").args(["-H", &servers, "--auth-file", file]).args(set)
    };
    tool("link").cwd(scratch.path()).run().ok();
    // As a shell passes the output of a command.
    let script =
        format!("exec \"$0\" -H {servers} --auth-file /dev/fd/3 get /a a 3<'{}'", auth.display());
    let get = Tool::program("sh").args(["-c", &script]).arg(Tool::path_of("zkctl"));
    get.run().ok().stdout_is("1\n");
    let piped =
        Tool::new("zkctl").args(["-H", &servers, "--auth-file", "/dev/stdin", "get", "/a", "a"]);
    piped.stdin(std::fs::read(&auth).unwrap()).run().ok().stdout_is("1\n");
}
