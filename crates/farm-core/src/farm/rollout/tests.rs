mod live;

use super::*;
use crate::model::Record;
use std::num::NonZeroU32;

fn trial(id: &str) -> Trial {
    Trial { id: id.to_owned(), token: format!("{id}-1") }
}

fn tried(found: Option<&VersionRecord>, id: &str) -> VersionRecord {
    let (outcome, record) = begin_try(found, &trial(id), Some(1));
    assert!(matches!(outcome, TryOutcome::Allowed { .. }), "{outcome:?}");
    record.expect("it is counted")
}

#[test]
fn two_turns_without_an_outcome_are_all() {
    let first = tried(None, "a");
    assert_eq!((first.verdict, first.tries), (Verdict::Trying, 1));
    // The same turn again, after a lost reply.
    let again = begin_try(Some(&first), &trial("a"), Some(2));
    assert_eq!(again, (TryOutcome::Allowed { round: 0 }, None));
    let second = tried(Some(&first), "b");
    assert_eq!(second.triers().collect::<Vec<_>>(), ["a", "b"]);
    let (outcome, third) = begin_try(Some(&second), &trial("c"), Some(3));
    let third = third.unwrap();
    assert_eq!((outcome, third.verdict), (TryOutcome::Refused, Verdict::Refused));
    assert_eq!(third.reason.as_deref(), Some("2 turns on it had no outcome (a, b)"));
    assert_eq!(begin_try(Some(&third), &trial("d"), None), (TryOutcome::Refused, None));
    // A restarted zkexec of the same member is another turn.
    let other = Trial { id: "a".to_owned(), token: "a-2".to_owned() };
    assert_eq!(begin_try(Some(&first), &other, None).1.unwrap().tries, 2);
}

#[test]
fn a_turn_that_touched_nothing_does_not_count() {
    let both = tried(Some(&tried(None, "a")), "b");
    let one = untouched(Some(&both), &trial("a")).unwrap();
    assert_eq!((one.tries, one.triers().collect::<Vec<_>>()), (1, vec!["b"]));
    assert_eq!(untouched(Some(&one), &trial("a")), None);
    assert_eq!(untouched(None, &trial("a")), None);
    let refused = refuse(Some(&one), &trial("b"), 0, "it ended", None).unwrap();
    assert_eq!(untouched(Some(&refused), &trial("b")), None);
}

#[test]
fn a_refusal_ends_by_a_retry_or_by_the_one_that_refused() {
    let confirmed = confirm(Some(&tried(None, "a")), &trial("a"), Some(2)).unwrap();
    assert_eq!((confirmed.verdict, confirmed.tries), (Verdict::Confirmed, 0));
    assert_eq!(confirm(Some(&confirmed), &trial("b"), Some(3)), None);
    assert_eq!(begin_try(Some(&confirmed), &trial("b"), None).1, None);
    // The fifth member can fail where four did not.
    let refused = refuse(Some(&confirmed), &trial("e"), 0, "it ended with 3", Some(4)).unwrap();
    assert_eq!(refused.reason.as_deref(), Some("it ended with 3"));
    assert_eq!(refuse(Some(&refused), &trial("f"), 0, "me too", None), None);
    assert_eq!(confirm(Some(&refused), &trial("a"), None), None);
    assert_eq!(confirm(Some(&refused), &trial("e"), None).unwrap().verdict, Verdict::Confirmed);
    let again = retry(&refused, "operator", Some(5)).unwrap();
    assert_eq!((again.verdict, again.tries, again.round), (Verdict::Trying, 0, 1));
    assert_eq!(retry(&again, "operator", None), None);
    assert_eq!(retry(&confirmed, "operator", None), None);
}

#[test]
fn a_late_refusal_does_not_undo_a_retry() {
    let refused = refuse(Some(&tried(None, "a")), &trial("a"), 0, "bad", None).unwrap();
    let again = retry(&refused, "operator", None).unwrap();
    // b tried it before, and tells only now.
    assert_eq!(refuse(Some(&again), &trial("b"), 0, "bad", None), None);
    assert!(refuse(Some(&again), &trial("b"), 1, "bad", None).is_some());
    assert_eq!(begin_try(Some(&again), &trial("b"), None).0, TryOutcome::Allowed { round: 1 });
    // Late good news harms nobody.
    assert!(confirm(Some(&again), &trial("b"), None).is_some());
}

#[test]
fn a_refusal_without_a_try_is_written_too() {
    // A check refuses the content before anything is tried.
    let refused = refuse(None, &trial("a"), 0, "the check refuses it", None).unwrap();
    assert_eq!((refused.verdict, refused.tries), (Verdict::Refused, 0));
}

#[test]
fn records_are_read_back() {
    let record = tried(Some(&tried(None, "a")), "b");
    let refused = refuse(Some(&record), &trial("b"), 0, "no\nway", Some(7)).unwrap();
    let again = retry(&refused, "operator", Some(8)).unwrap();
    for record in [record, refused, again] {
        assert_eq!(VersionRecord::read(&record.bytes()), Some(record));
    }
    let text = String::from_utf8(tried(None, "a").bytes()).unwrap();
    let expected = r#"{"at":1,"by":"a","trials":[{"id":"a","token":"a-1"}],"tries":1,"v":1,"verdict":"trying"}"#;
    assert_eq!(text, expected);
    for odd in ["", "[]", "{}", r#"{"verdict":"perhaps"}"#, r#"{"verdict":7}"#, "\u{0}"] {
        assert_eq!(VersionRecord::read(odd.as_bytes()), None, "{odd}");
    }
    let odd = br#"{"verdict":"trying","tries":-1,"trials":[7,{"id":1}],"round":"x"}"#;
    assert_eq!(VersionRecord::read(odd).unwrap().tries, 0);
}

#[test]
fn a_member_is_read_back() {
    let version = |text: &str| text.parse::<Version>().ok();
    let path = |text: &str| crate::session::ZnodePath::parse(text).unwrap();
    let member = MemberRecord {
        host: Some("db-1".to_owned()),
        pid: Some(4711),
        state: Some(MemberState::OffHours),
        since_ms: Some(5),
        sources: Some(vec![Source::Znode(path("/conf/app")), Source::Tree(path("/conf/d"))]),
        versions: MemberVersions {
            wanted: version("0123456789ab"),
            running: version("aaaaaaaaaaaa"),
            confirmed: None,
        },
        restarted: Some(3),
        is_healthy: Some(false),
        reason: Some("it ended with 3".to_owned()),
        waits_for: Some("hours".to_owned()),
        holders: NonZeroU32::new(2),
    };
    assert_eq!(MemberRecord::read(&member.bytes("db-1.2")), member);
    let text = String::from_utf8(member.bytes("db-1.2")).unwrap();
    assert!(text.contains(r#""name":"db-1.2""#) && text.contains(r#""v":1"#), "{text}");
    for odd in ["", "7", r#"{"state":"dancing","pid":-1,"wanted":"x","n":0}"#] {
        assert_eq!(MemberRecord::read(odd.as_bytes()), MemberRecord::default(), "{odd}");
    }
    let unknown = br#"{"sources":[{"kind":"znode","path":"/a"},{"kind":"moon","path":"/b"}]}"#;
    assert_eq!(MemberRecord::read(unknown).sources, None);
}

#[test]
fn control_keeps_what_it_does_not_know() {
    let map = serde_json::json!({"paused": true, "later": [1], "restart": 2, "why": "x"});
    let mut record = Record::from_map(map.as_object().unwrap().clone());
    let mut control = Control::of(&record);
    assert!(control.is_paused && control.restart == 2 && control.skip.is_empty());
    control.is_paused = false;
    control.why = None;
    control.skip.insert("a".to_owned(), "0123456789ab".parse().unwrap());
    control.write_to(&mut record);
    let map = record.as_map();
    assert_eq!(map["later"], serde_json::json!([1]));
    assert_eq!((&map["v"], map.contains_key("why")), (&1.into(), false));
    assert_eq!(Control::of(&record), control);
    assert_eq!(Control::of(&Record::new()), Control::default());
}

#[test]
fn a_version_names_the_znodes_of_a_subtree() {
    let path = |text: &str| crate::session::ZnodePath::parse(text).unwrap();
    let leaves = |all: &[(&str, &str)]| {
        let leaf = |(name, bytes): &(&str, &str)| ((*name).to_owned(), bytes.as_bytes().into());
        SourceBytes::Tree(std::sync::Arc::new(all.iter().map(leaf).collect()))
    };
    let bytes = |text: &str| SourceBytes::Bytes(text.as_bytes().into());
    let (tree, znode) = (Source::Tree(path("/t")), Source::Znode(path("/t/a")));
    let (x, one) = (leaves(&[("a", "1"), ("b/c", "2")]), bytes("1"));
    let version = |all: &[(&Source, &SourceBytes)]| version_of(all.iter().copied());
    assert_eq!(version(&[(&tree, &x), (&znode, &one)]), version(&[(&znode, &one), (&tree, &x)]));
    // The same bytes at the same path count twice if they are mirrored in two ways.
    assert_ne!(version(&[(&tree, &x), (&znode, &one)]), version(&[(&tree, &x)]));
    let whole = Source::Tree(path("/"));
    let nested = leaves(&[("t/a", "1"), ("t/b/c", "2")]);
    assert_eq!(version(&[(&whole, &nested)]), version(&[(&tree, &x)]));
    assert_eq!(version(&[(&tree, &leaves(&[]))]), version(&[(&tree, &SourceBytes::Absent)]));
    assert_ne!(version(&[(&znode, &bytes(""))]), version(&[(&znode, &SourceBytes::Absent)]));
}
