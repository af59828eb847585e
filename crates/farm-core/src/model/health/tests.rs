//! Tables of allowances, sizes and verdicts.

use super::*;
use serde_json::json;

fn health(size: u64, running: usize, failed: usize) -> Health {
    let host = |number| format!("h{number:03}");
    Health::of(size, (0..running + failed).map(|number| (host(number), number < running)))
}

fn limits(critical: &str, warning: &str, hosts_min: Option<u64>) -> Limits {
    let warning = (!warning.is_empty()).then(|| Allowance::parse(warning).unwrap());
    Limits { critical: Some(Allowance::parse(critical).unwrap()), warning, hosts_min }
}

#[test]
fn allowances_are_exact() {
    for (text, size, hosts) in [
        ("10%", 17, "1.7"),
        ("10%", 20, "2"),
        ("0%", 20, "0"),
        ("33.3%", 3, "0.999"),
        ("0.1%", 3, "0.003"),
        (".5%", 100, "0.5"),
        ("5.%", 100, "5"),
        ("0.000001%", 1, "0.00000001"),
        ("250%", 2, "5"),
        ("1000000000%", HOSTS_MAX, "10000000000000000"),
        ("0", 17, "0"),
        ("03", 17, "3"),
        ("1000000000", 0, "1000000000"),
    ] {
        let allowance = Allowance::parse(text).unwrap();
        assert_eq!(allowance.of(size).to_string(), hosts, "{text} of {size}");
        assert_eq!(allowance.to_string(), text);
    }
}

#[test]
fn what_is_no_allowance_is_refused() {
    for text in [
        "",
        "%",
        ".%",
        "-1",
        "+1",
        "1.5",
        "1 %",
        " 1",
        "1e3",
        "1e3%",
        "ten",
        "1%%",
        "-5%",
        "٣",
        "1.2.3%",
        "0.0000001%",
        "1000000001",
        "99999999999999999999",
        "inf%",
        "nan",
    ] {
        let error = Allowance::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(&format!("{text:?} ")), "{error}");
    }
}

#[test]
fn the_size_is_a_whole_number_however_it_is_written() {
    for (size, wanted) in [
        (json!(17), Ok(17)),
        (json!("17"), Ok(17)),
        (json!(" 017 "), Ok(17)),
        (json!(17.0), Ok(17)),
        (json!("1e1"), Ok(10)),
        (json!(0), Ok(0)),
        (json!(null), Err(SizeError::Absent)),
        (json!(""), Err(SizeError::NoNumber)),
        (json!("many"), Err(SizeError::NoNumber)),
        (json!(-1), Err(SizeError::NoNumber)),
        (json!(1.5), Err(SizeError::NoNumber)),
        (json!("1e400"), Err(SizeError::NoNumber)),
        (json!(1_000_000_001), Err(SizeError::NoNumber)),
        (json!(true), Err(SizeError::NoNumber)),
        (json!([17]), Err(SizeError::NoNumber)),
        (json!({"a": 1}), Err(SizeError::NoNumber)),
    ] {
        let record = Record::from_map(json!({"size": size}).as_object().unwrap().clone());
        assert_eq!(farm_size(&record), wanted, "{size}");
    }
    assert_eq!(farm_size(&Record::new()), Err(SizeError::Absent));
}

#[test]
fn an_allowance_permits_what_it_says_and_no_host_more() {
    for (text, size, most) in [
        ("10%", 20, Some(2)),
        ("10%", 19, Some(1)),
        ("10%", 9, Some(0)),
        ("33.3%", 3, Some(0)),
        ("33.4%", 3, Some(1)),
        ("0", 5, Some(0)),
        ("3", 1, Some(3)),
        ("1000000000%", HOSTS_MAX, None),
    ] {
        let hosts = Allowance::parse(text).unwrap().of(size);
        assert!(hosts.permits(most.unwrap_or(u64::MAX / 2000)), "{text} of {size}");
        assert!(most.is_none_or(|most| !hosts.permits(most + 1)), "{text} of {size}");
    }
}

#[test]
fn a_running_filter_is_a_filter_or_an_error() {
    let filter_of = |value: Value| {
        let fields = json!({"running_filter": value});
        running_filter(&Record::from_map(fields.as_object().unwrap().clone()))
    };
    assert!(filter_of(json!("enabled=1")).unwrap().is_some());
    for none in [json!(null), json!(""), json!(" ")] {
        assert_eq!(filter_of(none), Ok(None));
    }
    assert_eq!(running_filter(&Record::new()), Ok(None));
    for nonsense in [json!(1), json!(true), json!(["enabled=1"]), json!({"enabled": 1})] {
        assert_eq!(filter_of(nonsense), Err(RunningFilterError::NoText));
    }
    assert!(matches!(filter_of(json!("=1")), Err(RunningFilterError::Filter(_))));
}

#[test]
fn hosts_are_counted_as_running_failing_or_missing() {
    // size of the record, running, failed: size, failing, missing
    for (recorded, running, failed, wanted) in [
        (17, 16, 0, (17, 1, 1)),
        (17, 14, 1, (17, 3, 2)),
        (2, 3, 0, (3, 0, 0)),
        (2, 2, 1, (3, 1, 0)),
        (0, 0, 0, (0, 0, 0)),
        (5, 0, 0, (5, 5, 5)),
    ] {
        let health = health(recorded, running, failed);
        let counted = (health.size(), health.failing(), health.missing());
        assert_eq!(counted, wanted, "{recorded} {running} {failed}");
        assert_eq!(health.failed().len(), failed);
        assert_eq!(health.running(), running as u64);
    }
}

#[test]
fn the_verdict_follows_the_limits() {
    // size, running; critical, warning, hosts_min
    for (size, running, critical, warning, hosts_min, wanted) in [
        (17, 17, "10%", "", None, Verdict::Ok),
        (17, 16, "10%", "", None, Verdict::Ok),
        (17, 15, "10%", "", None, Verdict::Critical),
        (20, 18, "10%", "", None, Verdict::Critical),
        (20, 19, "10%", "", None, Verdict::Ok),
        (9, 8, "10%", "", None, Verdict::Critical),
        (10, 9, "10%", "", None, Verdict::Critical),
        (11, 10, "10%", "", None, Verdict::Ok),
        (3, 2, "33.3%", "", None, Verdict::Critical),
        (3, 2, "33.4%", "", None, Verdict::Ok),
        (17, 17, "0", "0", None, Verdict::Ok),
        (17, 16, "0", "", None, Verdict::Critical),
        (17, 16, "0%", "", None, Verdict::Critical),
        (17, 16, "2", "", None, Verdict::Ok),
        (17, 15, "2", "", None, Verdict::Critical),
        (0, 0, "10%", "0", None, Verdict::Ok),
        (5, 0, "100%", "", None, Verdict::Critical),
        (5, 0, "101%", "", None, Verdict::Ok),
        (17, 16, "10%", "1", None, Verdict::Warning),
        (17, 16, "10%", "5%", None, Verdict::Warning),
        (17, 16, "10%", "6%", None, Verdict::Ok),
        (17, 15, "10%", "1", None, Verdict::Critical),
        (17, 15, "50%", "0", None, Verdict::Warning),
        (3, 3, "10%", "", Some(3), Verdict::Ok),
        (3, 3, "10%", "", Some(4), Verdict::Critical),
        (0, 0, "10%", "", Some(1), Verdict::Critical),
        (0, 0, "10%", "", Some(0), Verdict::Ok),
    ] {
        let verdict = Verdict::of(&health(size, running, 0), &limits(critical, warning, hosts_min));
        assert_eq!(
            verdict, wanted,
            "{running}/{size} -c {critical} -w {warning:?} --min-hosts {hosts_min:?}"
        );
    }
}
