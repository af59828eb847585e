//! Records that are larger than they look.

use super::*;
use farm_harness::{eventually, holds_for};

const TOO_MANY: &str = "it holds no record: more than 10000 values";

#[test]
fn a_hostile_record_is_left_out_by_name_and_the_rest_is_in_the_file() {
    let mut fixture = Fixture::new("hostile_records");
    fixture.host("good", "{\"n\":1}");
    fixture.host("changes", "{\"n\":2}");
    fixture.host("many", &fields(70_000));
    fixture.host(
        "blanks",
        &format!("{{\"a\":{}0{}}}", "[".repeat(120), ",0".repeat(5_000) + &"]".repeat(120)),
    );
    for n in 0..20 {
        fixture.host(&format!("objects{n}"), &list_of("{\"\":0}", ZNODE_BYTES - 100));
    }
    let running = fixture.tool("zkexport", &["/farm", "db", "-f", "dir"]).spawn();
    wait_log(&running, "the file is current; file=db hosts=2", 1);
    assert_eq!(count(&fixture.scratch.join("db")), 4);
    fixture.host("changes", &list_of("[]", ZNODE_BYTES - 100));
    wait_log(&running, &format!("keeping its last record: {TOO_MANY}; host=changes"), 1);
    fixture.host("good", "{\"n\":3}");
    eventually("the good one changes", || match fixture.scratch.read("db/good/n")?.as_str() {
        "3" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(fixture.scratch.read("db/changes/n").unwrap(), "2");
    assert_memory(&running, 128);
    let log = stop(running, 0);
    for line in [
        format!("leaving it out: {TOO_MANY}; host=many farm=/farm"),
        format!("leaving it out: {TOO_MANY}; host=objects19 farm=/farm"),
        "it holds no record: indented, it would be more than 4 times as long; host=blanks"
            .to_owned(),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line} in {log}");
    }
    for (file, format) in [("farm.json", "json"), ("farm.yaml", "yaml"), ("farm.php", "php")] {
        fixture.tool("zkexport", &["--once", "/farm", file, "-f", format]).run().ok();
        let text = fixture.scratch.read(file).unwrap();
        assert!(text.len() < 300 && text.contains("good"), "{text}");
    }
}

#[test]
fn memory_follows_the_bytes_of_a_farm_whatever_the_shape_of_its_records() {
    const HOSTS: usize = 40;
    let mut fixture = Fixture::new("dense_records");
    let dense = list_of("{\"\":0}", 35_000);
    for n in 0..HOSTS {
        fixture.host(&format!("h{n:03}"), &dense);
    }
    // 1.4 megabytes of data, 64 KiB per host, and what sixteen threads parse at once.
    for args in
        [&["/farm", "farm.json"][..], &["/farm", "farm.yaml"], &["/farm", "db", "-f", "dir"]]
    {
        let running = fixture.tool("zkexport", args).spawn();
        wait_log(&running, "hosts=40", 1);
        // All of it is rendered again.
        fixture.host("h000", "{}");
        wait_log(&running, "changed=1", 1);
        fixture.host("h000", &dense);
        wait_log(&running, "changed=1", 2);
        assert_memory(&running, 112);
        stop(running, 0);
    }
    let differ = fixture.tool("zkexport", &["-n", "/farm", "farm.json"]).run();
    differ.ok().stdout_is("");
    fixture.tool("zkctl", &["check", "/farm", "--min-hosts", "1"]).run().ok();
    let listed = fixture.tool("zkctl", &["ls", "/farm", "--json", "--fields", "b"]).run();
    assert_eq!(listed.ok().text().matches("\"name\"").count(), HOSTS);
}

#[test]
fn zkctl_names_what_it_can_t_show_and_shows_the_rest() {
    let mut fixture = Fixture::new("zkctl_bounds");
    fixture.host("good", "{\"n\":1}");
    fixture.host("many", &fields(70_000));
    let listed = fixture.tool("zkctl", &["ls", "/farm", "--fields", "n"]).run();
    let text = listed.ok().stderr_has("/farm/many holds no record: more than 10000 values").text();
    assert_eq!(text.lines().collect::<Vec<_>>(), ["good                 n=1", "many"]);
    let got = fixture.tool("zkctl", &["get", "/farm/many", "f1"]).run();
    got.code(65).stderr_has("zkctl: /farm/many holds no record: more than 10000 values\n");
    let raw = fixture.tool("zkctl", &["get", "--raw", "/farm/many"]).run();
    assert_eq!(raw.ok().text(), fields(70_000));
    fixture.host("full", &fields(10_000));
    fixture.tool("zkctl", &["set", "/farm/full", "f0", "y"]).run().ok();
    let set = fixture.tool("zkctl", &["set", "/farm/full", "one", "more"]).run();
    set.code(65).stderr_has("zkctl: cannot write /farm/full: more than 10000 values\n");
}

#[test]
fn zkjoin_leaves_alone_a_config_that_is_too_large_whatever_it_is() {
    let fixture = Fixture::new("large_configs");
    let sparse = fs::File::create(fixture.scratch.join("sparse.json")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    fixture.scratch.write("values.json", fields(30_000));
    fixture.scratch.write("values.yaml", list_of("{'': 0}", 900_000));
    fixture.scratch.write("bomb.yaml", "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: [*d, *d, *d, *d, *d, *d, *d, *d]\n");
    fs::create_dir(fixture.scratch.join("files")).unwrap();
    for n in 0..=10_000 {
        fixture.scratch.write(format!("files/{n}"), "");
    }
    for (conf, why) in [
        ("sparse.json", "sparse.json is too large for a config: more than 1000000 bytes"),
        ("values.json", "cannot understand values.json: more than 10000 values"),
        ("values.yaml", "cannot understand values.yaml: more than 10000 values"),
        ("bomb.yaml", "cannot understand bomb.yaml: more than 10000 values"),
        ("files", "files is too large for a config: more than 10000 files and directories"),
    ] {
        let running = fixture.tool("zkjoin", &["--name", conf, "/farm", conf]).spawn();
        wait_log(&running, "joined; ", 1);
        assert_memory(&running, 64);
        let log = stop(running, 0);
        assert_eq!(log.matches(why).count(), 1, "{why} in {log}");
    }
}

#[test]
fn a_record_that_grows_too_large_by_a_merge_is_not_published() {
    let mut fixture = Fixture::new("merged_too_large");
    fixture.scratch.write("conf.json", "{\"a\":1}");
    let running = fixture.tool("zkjoin", &["--name", "host", "/farm", "conf.json"]).spawn();
    // Its own first write of the config is over.
    eventually("the hostname", || {
        let conf = fixture.scratch.read("conf.json").unwrap_or_default();
        if conf.contains("hostname") { Ok(()) } else { Err(conf) }
    });
    // Each side is small enough, both together are not.
    let mut remote = json!({"a": 1});
    (0..6_000).for_each(|n| remote[format!("r{n}")] = json!(n));
    // The config can't be read meanwhile, so nothing is written to it before the local edit.
    fixture.scratch.write("conf.json", "{");
    wait_log(&running, "the config is left alone", 1);
    fixture.zk.set("/farm/host", remote.to_string()).unwrap();
    fixture.scratch.write("conf.json", fields(6_000));
    wait_log(
        &running,
        "the record is not published; path=/farm/host why=\"more than 10000 values\"",
        1,
    );
    wait_log(&running, "cannot write conf.json: the record has more than 10000 values", 1);
    let conf = fixture.scratch.read("conf.json").unwrap();
    assert!(conf.contains("\"f5999\"") && !conf.contains("\"r0\""), "{conf}");
    let version = fixture.zk.get("/farm/host").unwrap().stat.version;
    // A save within a second of ours might have been made without having seen it.
    holds_for(Duration::from_millis(1500), "nothing is written", || {
        match fixture.zk.get("/farm/host").map(|znode| znode.stat.version) {
            Ok(found) if found == version => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_memory(&running, 64);
    // With fewer fields it goes on.
    fixture.scratch.write("conf.json", "{\"a\":2}");
    eventually("the znode", || {
        let znode = fixture.zk.get("/farm/host").map_err(|error| format!("{error:?}"))?;
        let record: serde_json::Value = serde_json::from_str(&znode.text()).unwrap();
        if record["a"] == 2 {
            Ok(())
        } else {
            Err(znode.text().chars().take(80).collect::<String>())
        }
    });
    stop(running, 0);
}
