//! Draining: the argument, the state machine, and a server with faults and other writers.

mod live;
mod steps;

use super::drainer::{Action, Ask};
use super::field::{Drained, Undrained};
use super::*;
use crate::engine::chain;
use crate::farm::EditError;
use crate::model::{SetError, Value};
use crate::session::{SessionError, ZnodePath};
use std::time::Instant;

fn drain(text: &str) -> Drain {
    Drain::parse(text).unwrap()
}

#[test]
fn znode_field_and_value_are_told_apart() {
    for (text, path, assignment) in [
        ("/db/h1:enabled=0", "/db/h1", "enabled=0"),
        ("/db/fe80::1:enabled=0", "/db/fe80::1", "enabled=0"),
        ("/db/h1:web.enabled=no:not=now", "/db/h1", "web.enabled=no:not=now"),
        ("/db/h1:enabled=/a:b", "/db/h1", "enabled=/a:b"),
        ("/db/h1:note=", "/db/h1", "note="),
        ("/db/h1:weight:=0.5", "/db/h1", "weight:=0.5"),
        ("/db/h1:tags:=[\"a=b:c\"]", "/db/h1", "tags:=[\"a=b:c\"]"),
        (r"/db/h1:a\u{3A}b=1", "/db/h1", "a:b=1"),
        ("/:enabled=0", "/", "enabled=0"),
    ] {
        let read = drain(text);
        let parsed = (read.path.as_str(), read.assignment.to_string());
        assert_eq!(parsed, (path, assignment.to_owned()), "{text}");
    }
    for (text, wanted) in [
        ("", "there is no =: the form is ZNODE:FIELD=VALUE"),
        ("/db/h1:enabled", "there is no =: the form is ZNODE:FIELD=VALUE"),
        ("/db/h1=0", "there is no colon before the field: the form is ZNODE:FIELD=VALUE"),
        ("/db/h1:=0", "there is no colon before the field: the form is ZNODE:FIELD=VALUE"),
        ("/db/h1::=0", "wrong field \"\": "),
        ("/db/h1:a..b=0", "wrong field \"a..b\": "),
        ("/db/h1:a:=yes", "the value of a is not JSON: "),
        ("db/h1:enabled=0", "db/h1"),
        (":enabled=0", ""),
        ("/db/a=b:enabled=0", "there is no colon before the field"),
    ] {
        let error = Drain::parse(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}
