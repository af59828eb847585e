//! Names of hosts that a shell would act on.

use super::*;

/// Names that ZooKeeper accepts.
const HOSTILE: [&str; 12] = [
    "*",
    "-rf",
    "`touch hacked`",
    "$(touch hacked)",
    "a;touch hacked",
    "a b",
    "[a-z]*",
    "~",
    "it's",
    "x>hacked",
    "{a,b}",
    "a\u{202e}b",
];

#[test]
fn a_command_gets_only_names_that_no_shell_takes_for_something_else() {
    let mut fixture = ExportFixture::with_farm("names_in_commands");
    let plain = ["::1", "10.0.0.1:8080", "db-01.example.com", "m\u{fc}nchen"];
    // Not even `eval` finds anything to do.
    let command = "for list in \"$ZK_ADDED\" \"$ZK_REMOVED\" \"$ZK_CHANGED\"; do \
                   eval \"set -- x $list\"; shift; echo \"$*\" >> ran; done; \
                   echo \"$ZK_COUNT ${ZK_TRUNCATED-whole}\" >> ran";
    let running = fixture.start(&["db.json", "-w", "1s:20s", "-c", command]);
    let start = "1.2.3.4 1.2.3.5\n\n\n2 whole\n";
    fixture.wait_for_text("ran", start);
    fixture.scratch.write("file", "");
    fixture.host(plain[0], &json!({}));
    let first = format!("{start}::1\n\n\n3 whole\n");
    fixture.wait_for_text("ran", &first);
    for name in HOSTILE.iter().chain(&plain) {
        fixture.host(name, &json!({}));
    }
    let mut added = plain[1..].to_vec();
    added.sort_unstable();
    let second = format!("{first}{}\n\n\n18 1\n", added.join(" "));
    fixture.wait_for_text("ran", &second);
    // The file has them all.
    let farm = fixture.json();
    assert!(HOSTILE.iter().all(|name| farm.get(name).is_some()), "{farm}");
    fixture.host("*", &json!({"a": 1}));
    let third = format!("{second}\n\n\n18 1\n");
    fixture.wait_for_text("ran", &third);
    fixture.remove("-rf");
    fixture.wait_for_text("ran", &format!("{third}\n\n\n17 1\n"));
    assert!(!fixture.scratch.join("hacked").exists());
    stop(running);
}
