use super::*;
use farm_harness::Scratch;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    us() == 0
}

/// The path that a path leads to, below `top`.
fn end(top: &Path, path: &str) -> io::Result<PathBuf> {
    let Resolved { path, name, .. } = resolve(&top.join(path))?;
    let whole = name.map_or_else(|| path.clone(), |name| path.join(name));
    Ok(whole.strip_prefix(top).unwrap_or(&whole).to_owned())
}

fn link_of(error: &io::Error) -> &UnsafeLink {
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    UnsafeLink::of(error).unwrap()
}

#[test]
fn a_link_is_followed_by_its_owner_and_by_who_may_write_beside_it() {
    let path = || PathBuf::from("/d/link");
    let (of_other, among) = ("of other", "among others");
    // us, the owner of the link, of its directory, whether others may write there
    for (us, link_owner, folder_owner, is_writable, refused) in [
        (0, 0, 0, false, None),
        // Our own directory is ours, whoever else may write there.
        (0, 0, 0, true, None),
        (0, 7, 0, false, Some(of_other)),
        (0, 7, 0, true, Some(of_other)),
        (0, 0, 7, false, Some(among)),
        (0, 7, 7, false, Some(of_other)),
        (7, 7, 7, true, None),
        (7, 0, 7, true, None),
        (7, 0, 0, false, None),
        (7, 7, 0, false, None),
        (7, 0, 0, true, Some(among)),
        // Directly in /tmp.
        (7, 7, 0, true, Some(among)),
        (7, 7, 8, false, Some(among)),
        (7, 0, 8, false, Some(among)),
        (7, 8, 7, false, Some(of_other)),
        (7, 8, 0, true, Some(of_other)),
    ] {
        let facts = Facts { us, link_owner, folder_owner, is_writable };
        let expected = match refused {
            None => Ok(()),
            Some("of other") => Err(UnsafeLink::OfOther { path: path(), owner: link_owner }),
            Some(_) => Err(UnsafeLink::AmongOthers { path: path(), owner: link_owner }),
        };
        assert_eq!(facts.check(path), expected, "{facts:?}");
    }
}

#[test]
fn a_path_leads_where_the_kernel_says() {
    let scratch = Scratch::new();
    let top = scratch.path().canonicalize().unwrap();
    scratch.write("v1/deep/conf", "x");
    let links = [
        ("data", "v1"),
        ("conf", "data/deep/conf"),
        ("again", "./conf"),
        ("up", "v1/deep/../.."),
        ("v1/deep/back", "../../data/./deep"),
        ("dangling", "v1/none"),
        ("lost", "none/conf"),
        ("through", "v1/deep/conf/x"),
        ("loop", "other"),
        ("other", "loop"),
    ];
    for (name, target) in links {
        symlink(target, top.join(name)).unwrap();
    }
    symlink(top.join("data/deep"), top.join("absolute")).unwrap();
    for (path, expected) in [
        ("v1/deep/conf", "v1/deep/conf"),
        ("conf", "v1/deep/conf"),
        ("again", "v1/deep/conf"),
        ("data/deep/../new", "v1/new"),
        ("absolute/../deep//conf/", "v1/deep/conf"),
        ("v1/deep/back/conf", "v1/deep/conf"),
        ("dangling", "v1/none"),
        ("up", ""),
        ("data/.", "v1"),
        ("data/deep/..", "v1"),
    ] {
        assert_eq!(end(&top, path).unwrap(), Path::new(expected), "{path}");
    }
    for (path, errno) in [
        ("none/conf", Errno::ENOENT),
        ("lost", Errno::ENOENT),
        ("v1/deep/conf/x", Errno::ENOTDIR),
        ("through", Errno::ENOTDIR),
        ("loop", Errno::ELOOP),
        ("loop/x", Errno::ELOOP),
        (&"x".repeat(300), Errno::ENAMETOOLONG),
    ] {
        let error = end(&top, path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno as i32), "{path}");
    }
    assert_eq!(end(Path::new("/"), "..").unwrap(), Path::new(""));
    assert_eq!(resolve(Path::new("a")).unwrap().path, Path::new(""));
    assert_eq!(resolve(Path::new("src/../a")).unwrap().path, Path::new(""));
    assert_eq!(resolve(Path::new("../../a")).unwrap().path, Path::new("../.."));
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let scratch = Scratch::new();
    scratch.write("0", "x");
    for n in 1..=41 {
        symlink((n - 1).to_string(), scratch.join(n.to_string())).unwrap();
    }
    assert_eq!(end(scratch.path(), "40").unwrap(), Path::new("0"));
    assert_eq!(end(scratch.path(), "41").unwrap_err().raw_os_error(), Some(Errno::ELOOP as i32));
}

#[test]
fn links_of_others_and_links_among_theirs_are_named_and_not_followed() {
    if !is_root() {
        // Only root can make links of others.
        return;
    }
    let scratch = Scratch::new();
    let top = scratch.path();
    scratch.write("secret/conf", "root's");
    for dir in ["user", "shared"] {
        fs::create_dir(top.join(dir)).unwrap();
    }
    scratch.write("user/plain/conf", "the user's");
    for path in ["user", "user/plain", "user/plain/conf"] {
        chown(top.join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(top.join("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
    let links = [
        ("user/theirs", NOBODY),
        ("user/ours", 0),
        ("shared/theirs", NOBODY),
        ("shared/ours", 0),
        ("theirs", NOBODY),
    ];
    for (name, owner) in links {
        let path = top.join(name);
        symlink(top.join("secret"), &path).unwrap();
        lchown(&path, Some(owner), Some(owner)).unwrap();
        symlink(&path, top.join(format!("to-{}", name.replace('/', "-")))).unwrap();
    }
    for (name, owner) in links {
        let path = top.join(name);
        // At the end, on the way, and behind another link.
        let ways =
            [name.to_owned(), format!("{name}/conf"), format!("to-{}", name.replace('/', "-"))];
        for way in ways {
            let found = end(top, &way);
            let path = path.clone();
            if name == "shared/ours" {
                assert!(found.unwrap().starts_with("secret"), "{way}");
            } else if owner == NOBODY {
                let expected = UnsafeLink::OfOther { path, owner };
                assert_eq!(*link_of(&found.unwrap_err()), expected, "{way}");
            } else {
                let expected = UnsafeLink::AmongOthers { path, owner };
                assert_eq!(*link_of(&found.unwrap_err()), expected, "{way}");
            }
        }
    }
    // A directory that is no link is entered, whoever owns it.
    assert_eq!(end(top, "user/plain/conf").unwrap(), Path::new("user/plain/conf"));
    assert_eq!(end(top, "user/plain/../new").unwrap(), Path::new("user/new"));
    // The names that decide it end with the link.
    let Trace { names, end } = trace(&top.join("to-user-theirs"));
    let expected = [(top.to_owned(), "to-user-theirs".into()), (top.join("user"), "theirs".into())];
    assert_eq!(names, expected);
    let text = end.unwrap_err().to_string();
    let link = top.join("user/theirs");
    assert_eq!(text, format!("the link {} belongs to another user (uid 65534)", link.display()));
}

#[test]
fn a_directory_that_was_moved_does_not_lead_up_to_another_one() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.join("a/deep")).unwrap();
    fs::create_dir(scratch.join("b")).unwrap();
    let mut names = Vec::new();
    let path = scratch.join("a/deep");
    let mut walk = Walk::start(&path.join("../conf"), &mut names).unwrap();
    while walk.left.len() > 2 {
        let Some(Part::Name(name)) = walk.left.pop() else { panic!("a name") };
        assert!(walk.enter(&name).unwrap());
    }
    fs::rename(&path, scratch.join("b/deep")).unwrap();
    assert!(walk.run().unwrap_err().to_string().contains("moved"));
}

#[test]
fn an_open_file_of_ours_is_the_end_of_the_way_and_can_be_opened_only_as_such() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let number = reader.as_raw_fd().to_string();
    for path in [path.clone(), format!("/dev/fd/{number}")] {
        let resolved = resolve(Path::new(&path)).unwrap();
        assert!(resolved.path.starts_with("/proc"), "{resolved:?}");
        assert_eq!(resolved.name.as_deref(), Some(OsStr::new(&number)));
        assert!(resolve(&Path::new(&path).join("x")).is_err());
    }
    writer.write_all(b"secret").unwrap();
    drop(writer);
    let mut text = String::new();
    open(Path::new(&path), OFlag::empty()).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "secret");
    // Another link of the kernel, to a directory.
    let name = resolve(Path::new("/proc/self/cwd/conf")).unwrap().name;
    assert_eq!(name.as_deref(), Some(OsStr::new("conf")));
}

#[test]
fn a_directory_can_be_passed_without_permission_to_list_it() {
    let scratch = Scratch::new();
    scratch.write("closed/conf", "x");
    fs::set_permissions(scratch.join("closed"), fs::Permissions::from_mode(0o311)).unwrap();
    let mut text = String::new();
    let mut file = open(&scratch.join("closed/conf"), OFlag::O_NONBLOCK).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
    fs::set_permissions(scratch.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}
