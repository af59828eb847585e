//! The output formats of `zkctl` for programs.

use super::{CtlFixture, json};
use farm_harness::Create;
use serde_json::{Value, json};

const AWKWARD: &str = r#"{"a":"x\ty\nz\\","b":{"c":1.50,"d":[1,"2"]},"n":null}"#;

fn farm(test_name: &str) -> CtlFixture {
    let mut fixture = CtlFixture::new(test_name);
    fixture.create("/db", "");
    fixture.create("/db/10.0.0.1", r#"{"n":10,"on":true}"#);
    fixture.create("/db/10.0.0.2", AWKWARD);
    fixture.create("/db/broken", "nonsense");
    let up = fixture.zk.create_as("/db/up", r#"{"n":"9"}"#, Create::Ephemeral);
    assert!(up.is_ok(), "{up:?}");
    fixture
}

#[test]
fn json_has_the_records_with_their_metadata() {
    let mut fixture = farm("json_has_the_records_with_their_metadata");
    fixture.zk.set("/db/up", r#"{"n":"9","again":1}"#).unwrap();
    let output = fixture.run(&["ls", "/db", "--json"]);
    let all = json(&output.ok().stdout);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 4, "{output}");
    for row in all {
        let path = format!("/db/{}", row["name"].as_str().unwrap());
        assert_eq!((&row["path"], &row["v"]), (&json!(path), &json!(1)));
        let znode = fixture.zk.get(&path).unwrap();
        let stat = json!({
            "version": znode.stat.version,
            "mzxid": znode.stat.mzxid,
            "mtime": znode.stat.mtime_ms,
            "ephemeral": znode.stat.ephemeral_owner != 0,
        });
        assert_eq!(row["stat"], stat);
        if path == "/db/broken" {
            assert_eq!(row["data"], Value::Null);
            assert!(row["error"].as_str().unwrap().contains("holds no record"), "{row}");
        } else {
            assert_eq!(row["data"], json(&znode.data));
            assert_eq!(row.get("error"), None);
        }
    }
    // Numbers keep their notation.
    output.stdout_has("\"c\": 1.50");

    let lines = fixture.run(&["ls", "/db", "-o", "jsonl"]);
    let rows: Vec<Value> = lines.ok().text().lines().map(json).collect();
    assert_eq!(&rows, all);
    let lines = fixture.run(&["-0", "ls", "/db", "-o", "jsonl"]).ok().text();
    let rows: Vec<Value> = lines.split_terminator('\0').map(json).collect();
    assert_eq!(&rows, all);
    let kept = fixture.run(&["ls", "/db", "--json", "-F", "n<10", "--fields", "n,gone"]);
    assert_eq!(json(&kept.ok().stdout)[0]["data"], json!({"n": "9"}));
}

#[test]
fn rows_stay_rows_in_tsv() {
    let fixture = farm("rows_stay_rows_in_tsv");
    let list = |more: &[&str]| {
        let fields = ["ls", "/db", "-o", "tsv", "--fields", "a,n,b.c,b"];
        fixture.tool(&fields).args(more).run().ok().text()
    };
    let rows = "10.0.0.1\t\t10\t\t\n\
                10.0.0.2\tx\\ty\\nz\\\\\tnull\t1.50\t{\"c\":1.50,\"d\":[1,\"2\"]}\n\
                broken\t\t\t\t\n\
                up\t\t9\t\t\n";
    assert_eq!(list(&[]), rows);
    assert_eq!(list(&["--header"]), format!("name\ta\tn\tb.c\tb\n{rows}"));
    assert_eq!(list(&["-0"]), rows.replace('\n', "\0"));
    fixture.run(&["ls", "/db", "-o", "tsv"]).ok().stdout_is("10.0.0.1\n10.0.0.2\nbroken\nup\n");
    let record = "a\tx\\ty\\nz\\\\\nb.c\t1.50\nb.d\t[1,\"2\"]\nn\tnull\n";
    fixture.run(&["get", "/db/10.0.0.2", "-o", "tsv"]).ok().stdout_is(record);
}

#[test]
fn lists_are_sorted_by_a_field_with_numbers_as_numbers() {
    let fixture = farm("lists_are_sorted_by_a_field_with_numbers_as_numbers");
    let names = |sort: &str| fixture.run(&["ls", "/db", "--sort", sort]).ok().text();
    assert_eq!(names("n"), "up\n10.0.0.1\n10.0.0.2\nbroken\n");
    assert_eq!(names("name"), "10.0.0.1\n10.0.0.2\nbroken\nup\n");
    assert_eq!(names("a"), "10.0.0.2\n10.0.0.1\nbroken\nup\n");
}

#[test]
fn everything_below_is_listed_with_relative_paths() {
    let mut fixture = farm("everything_below_is_listed_with_relative_paths");
    fixture.create("/db-2/x", "{}");
    fixture.create("/db/10.0.0.1/deep/er", "{}");
    let all = "db\ndb/10.0.0.1\ndb/10.0.0.1/deep\ndb/10.0.0.1/deep/er\n\
               db/10.0.0.2\ndb/broken\ndb/up\ndb-2\ndb-2/x\n";
    fixture.run(&["ls", "/", "-R"]).ok().stdout_is(all).stderr_is("");
    fixture.run(&["ls", "-R", "-0", "/"]).ok().stdout_is(all.replace('\n', "\0"));
    let row = json(fixture.run(&["ls", "/", "-R", "-o", "jsonl", "-F", "on"]).ok().stdout.clone());
    assert_eq!((&row["name"], &row["path"]), (&json!("db/10.0.0.1"), &json!("/db/10.0.0.1")));
}

#[test]
fn long_lines_tell_the_kind_and_the_size() {
    let fixture = farm("long_lines_tell_the_kind_and_the_size");
    let text = fixture.run(&["ls", "/db", "-l", "--fields", "n"]).ok().text();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    let bytes = AWKWARD.len().to_string();
    assert_eq!(lines[1][..4], ["persistent", "0", &bytes, "0"]);
    assert_eq!(lines[1][5..], ["10.0.0.2", "n=null"]);
    assert_eq!((lines[3][0], lines[3][5]), ("ephemeral", "up"));
    assert!(lines[3][4].starts_with("20") && lines[3][4].ends_with('Z'), "{text}");
}

#[test]
fn get_gives_values_records_bytes_and_metadata() {
    let mut fixture = farm("get_gives_values_records_bytes_and_metadata");
    fixture.create("/bytes", b"\xff\0\n");
    let host = "/db/10.0.0.2";
    let get = |more: &[&str]| fixture.tool(&["get", host]).args(more).run();
    assert_eq!(json(&get(&["--json"]).ok().stdout), json(AWKWARD));
    get(&["-o", "jsonl"]).ok().stdout_is(format!("{AWKWARD}\n"));
    assert_eq!(get(&["-o", "yaml"]).ok().text(), get(&[]).ok().text());
    get(&["a"]).ok().stdout_is("x\ty\nz\\\n");
    get(&["a", "-0"]).ok().stdout_is("x\ty\nz\\\0");
    get(&["a", "--json"]).ok().stdout_is("\"x\\ty\\nz\\\\\"\n");
    get(&["b.c", "--json"]).ok().stdout_is("1.50\n");
    get(&["gone", "--default", "0", "-o", "json"]).ok().stdout_is("\"0\"\n");
    get(&["gone", "--json"]).code(1).stdout_is("");
    get(&["--raw"]).ok().stdout_is(AWKWARD);

    fixture.run(&["get", "/bytes", "--raw"]).ok().stdout_is(b"\xff\0\n").stderr_is("");
    fixture.run(&["get", "/bytes", "--json"]).code(65).stdout_is("");
    fixture.run(&["get", "/nothing", "--raw"]).code(1).stdout_is("");
    let stat = json(&fixture.run(&["get", "/bytes", "--stat", "--json"]).ok().stdout);
    let znode = fixture.zk.get("/bytes").unwrap();
    assert_eq!(stat["data_length"], json!(3));
    assert_eq!(stat["czxid"], json!(znode.stat.czxid));
    assert_eq!(stat["ephemeral"], json!(false));
    fixture.run(&["get", "/bytes", "--stat"]).ok().stdout_has("data_length: 3\n");
}
