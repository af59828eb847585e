//! Values of `--mirror`, valid and invalid.

use super::*;
use std::path::Path;

fn spec(text: &str) -> MirrorSpec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn local_and_znode_are_parted_at_the_last_chance() {
    for (text, local, znode) in [
        ("/tmp/prefix=/prefix", "/tmp/prefix", "/prefix"),
        ("conf=/a/b", "conf", "/a/b"),
        ("a=b=/c", "a=b", "/c"),
        ("a=/b=/c", "a=/b", "/c"),
        ("a=/b=c=d", "a", "/b=c=d"),
        ("a,b=/c", "a,b", "/c"),
        ("a,optional=/c", "a,optional", "/c"),
        ("x,mode=600=/c,optional", "x,mode=600", "/c"),
        ("=/ =/c", "=/ ", "/c"),
        ("file=/", "file", "/"),
        ("it's \"x\" $(y)=/é", "it's \"x\" $(y)", "/é"),
    ] {
        let spec = spec(text);
        assert_eq!(
            (spec.local.as_path(), spec.znode.as_str()),
            (Path::new(local), znode),
            "{text}"
        );
        assert!(!spec.is_tree, "{text}");
    }
}

#[test]
fn options_come_in_any_order_and_the_check_is_all_that_is_left() {
    let spec = spec("/etc/a,b=/z,mode=640,optional,owner=0:0,check=test -s {} && x=/y,mode=1");
    assert_eq!(spec.local, Path::new("/etc/a,b"));
    assert_eq!(spec.znode.as_str(), "/z");
    assert!(spec.is_optional);
    assert_eq!(spec.options.mode, Some(FileMode::parse("640").unwrap()));
    assert_eq!(spec.options.owner, Some(Owner::parse("0:0").unwrap()));
    assert_eq!(spec.check.as_deref(), Some("test -s {} && x=/y,mode=1"));
    let plain = self::spec("a=/z");
    assert_eq!((plain.is_optional, plain.check), (false, None));
    assert_eq!(plain.options, WriteOptions::default());
    // A `,check=` before the `=/` belongs to the name.
    assert_eq!(self::spec("a,check=b=/z").local, Path::new("a,check=b"));
    assert_eq!(self::spec("a=/z,check=a,check=b").check.as_deref(), Some("a,check=b"));
}

#[test]
fn a_slash_on_both_sides_is_a_subtree() {
    for (text, local, znode) in [
        ("/etc/app/=/app/", "/etc/app", "/app"),
        ("app//=/a/b/,mode=600", "app", "/a/b"),
        ("all/=/", "all", "/"),
    ] {
        let spec = spec(text);
        assert!(spec.is_tree, "{text}");
        assert_eq!((spec.local.as_path(), spec.znode.as_str()), (Path::new(local), znode));
    }
}

#[test]
fn everything_else_is_refused_with_a_reason() {
    for (text, why) in [
        ("", "must be LOCAL=/ZNODE"),
        ("conf", "must be LOCAL=/ZNODE"),
        ("conf=", "must be LOCAL=/ZNODE"),
        ("conf=znode", "must be LOCAL=/ZNODE"),
        ("=/z", "\"\" does not name a file"),
        ("/=/z/", "\"/\" does not name a file"),
        ("//=/z/", "\"//\" does not name a file"),
        ("./=/z/", "\"./\" does not name a file"),
        ("a/..=/z", "\"a/..\" does not name a file"),
        ("a/.=/z", "\"a/.\" does not name a file"),
        ("a\0b=/z", "does not name a file"),
        ("a=/z/", "slash at the end of both"),
        ("a/=/z", "slash at the end of both"),
        ("a/=//", "is not a znode path"),
        ("a=/x//y", "empty component"),
        ("a=/x/../y", "'.' or '..'"),
        ("a=/x\u{7}", "U+0007"),
        ("a=/x,", "\"\" is not an option"),
        ("a=/x,optinal", "\"optinal\" is not an option"),
        ("a=/x,optional=1", "\"optional=1\" is not an option"),
        ("a=/x,mode", "\"mode\" is not an option"),
        ("a=/x,optional,optional", "optional is given twice"),
        ("a=/x,mode=600,mode=600", "mode is given twice"),
        ("a=/x,mode=999", "is not a mode"),
        ("a=/x,owner=no-such-user-here", "no such user"),
        ("a=/x,check=", "needs a command"),
        ("a=/x,check= ", "needs a command"),
    ] {
        let error = text.parse::<MirrorSpec>().expect_err(text).to_string();
        assert!(error.contains(why), "{text:?}: {error}");
        assert!(!error.contains('\n') && !error.contains('\0'), "{text:?}: {error}");
    }
}

#[test]
fn random_text_never_panics_and_names_stay_plain() {
    let pieces =
        ["=/", "/", "=", ",", "a", "é", "..", ".", "optional", "mode=600", ",check=", "\0"];
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text: String = (0..rng.usize(..9)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
        if let Ok(spec) = text.parse::<MirrorSpec>() {
            assert!(spec.local.file_name().is_some(), "{text:?}");
            assert!(!spec.local.as_os_str().as_encoded_bytes().contains(&0), "{text:?}");
            assert!(ZnodePath::parse(spec.znode.as_str()).is_ok(), "{text:?}");
        }
    }
}
