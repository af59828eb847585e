//! The hours in tables, around changes of the clocks, and against a walk minute by minute.

use super::*;
use std::time::UNIX_EPOCH;

fn schedule(hours: &str, zone: &str) -> Schedule {
    Schedule::new(AllowedHours::parse(hours).unwrap(), Zone::named(zone).unwrap())
}

/// A time with `Z` or an offset.
fn at(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().into()
}

fn text_of(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap().to_string()
}

#[test]
fn items_are_ranges_of_hours_and_days_and_any_of_them_is_enough() {
    // 2024-01-01 was a Monday.
    for (hours, open, closed) in [
        ("9-17", &["01T09:00", "01T16:59", "06T12:00"][..], &["01T08:59", "01T17:00"][..]),
        ("22-6", &["01T22:00", "01T23:59", "02T00:00", "02T05:59"], &["01T06:00", "01T21:59"]),
        ("0-24", &["01T00:00", "07T23:59"], &[]),
        ("0-1", &["01T00:59"], &["01T01:00", "01T23:59"]),
        ("23-24", &["01T23:00"], &["01T22:59", "02T00:00"]),
        ("23-0", &["01T23:00"], &["01T22:59", "02T00:00"]),
        ("Sat", &["06T00:00", "06T23:59"], &["05T23:59", "07T00:00"]),
        ("Mon-Fri", &["01T00:00", "05T23:59"], &["06T00:00", "07T23:59"]),
        ("Fri-Mon", &["05T00:00", "06T12:00", "07T12:00", "08T23:59"], &["02T00:00", "04T23:59"]),
        ("Sun-Sat", &["01T00:00", "04T12:00", "07T23:59"], &[]),
        ("Wed-Wed", &["03T12:00"], &["02T23:59", "04T00:00"]),
        ("saturday,SUN", &["06T12:00", "07T12:00"], &["05T12:00"]),
        ("22-6,Sat,Sun", &["06T12:00", "07T21:00", "03T23:00"], &["03T12:00", "05T06:00"]),
        (" 22 - 6 , Sat ", &["06T12:00", "02T22:00"], &["02T12:00"]),
        ("08-09,8-9", &["01T08:30"], &["01T09:00"]),
        ("9-12,14-17", &["01T11:59", "01T14:00"], &["01T12:00", "01T13:59"]),
    ] {
        let schedule = schedule(hours, "UTC");
        for (times, wanted) in [(open, true), (closed, false)] {
            for time in times {
                let now = at(&format!("2024-01-{time}:00Z"));
                assert_eq!(schedule.is_open(now), wanted, "{hours:?} at {time}");
            }
        }
    }
}

#[test]
fn errors_name_the_item_and_the_mistake() {
    for (text, wanted) in [
        ("", "a range of hours, like 22-6, or a day, like Sat, is missing"),
        ("22-6,", "a range of hours, like 22-6, or a day, like Sat, is missing"),
        (",Sat", "a range of hours, like 22-6, or a day, like Sat, is missing"),
        ("22", "\"22\" is not a range of hours: it needs a start and an end, like 22-6"),
        ("Sat,22-25", "\"25\" in \"22-25\" is not an hour: use 0 to 24, without minutes"),
        ("22-", "\"\" in \"22-\" is not an hour: use 0 to 24, without minutes"),
        ("9:30-17", "\"9:30\" in \"9:30-17\" is not an hour: use 0 to 24, without minutes"),
        ("9-+17", "\"+17\" in \"9-+17\" is not an hour: use 0 to 24, without minutes"),
        ("1-2-3", "\"2-3\" in \"1-2-3\" is not an hour: use 0 to 24, without minutes"),
        (
            "99999999999-1",
            "\"99999999999\" in \"99999999999-1\" is not an hour: use 0 to 24, without minutes",
        ),
        ("24-6", "\"24-6\" starts at 24: use 0 for midnight"),
        ("6-6", "\"6-6\" is empty: use 0-24 for the whole day"),
        ("0-0", "\"0-0\" is empty: use 0-24 for the whole day"),
        ("Funday", "\"Funday\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("Mo", "\"Mo\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("Mon-", "\"\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("Mon-6", "\"6\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("-6", "\"\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("Ｓat", "\"Ｓat\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("٢-6", "\"٢\" is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
    ] {
        assert_eq!(AllowedHours::parse(text).unwrap_err().to_string(), wanted, "{text:?}");
    }
}

#[test]
fn the_next_change_is_right_over_changes_of_the_clocks() {
    // hours, zone, start, changes in order
    for (hours, zone, from, changes) in [
        ("22-6", "UTC", "2024-03-30T12:00Z", &["2024-03-30T22:00Z", "2024-03-31T06:00Z"][..]),
        // A night of seven hours: 2:00 becomes 3:00.
        (
            "22-6",
            "Europe/Berlin",
            "2024-03-30T12:00+01",
            &["2024-03-30T22:00+01", "2024-03-31T06:00+02", "2024-03-31T22:00+02"],
        ),
        // A night of nine: 3:00 becomes 2:00.
        (
            "22-6",
            "Europe/Berlin",
            "2024-10-26T12:00+02",
            &["2024-10-26T22:00+02", "2024-10-27T06:00+01", "2024-10-27T22:00+01"],
        ),
        // The skipped hour never comes.
        (
            "2-3",
            "Europe/Berlin",
            "2024-03-30T12:00+01",
            &["2024-04-01T02:00+02", "2024-04-01T03:00+02"],
        ),
        // The range opens when the clocks jump into it, and closes when they jump out.
        (
            "3-4",
            "Europe/Berlin",
            "2024-03-30T12:00+01",
            &["2024-03-31T03:00+02", "2024-03-31T04:00+02"],
        ),
        (
            "1-3",
            "Europe/Berlin",
            "2024-03-30T12:00+01",
            &["2024-03-31T01:00+01", "2024-03-31T03:00+02"],
        ),
        // The repeated hour is one range of two hours.
        (
            "2-3",
            "Europe/Berlin",
            "2024-10-27T00:00+02",
            &["2024-10-27T02:00+02", "2024-10-27T03:00+01", "2024-10-28T02:00+01"],
        ),
        // A range that ends where the repeated hour begins ends at its first beginning.
        (
            "0-2",
            "Europe/Berlin",
            "2024-10-26T23:00+02",
            &["2024-10-27T00:00+02", "2024-10-27T02:00+02"],
        ),
        (
            "22-6",
            "America/New_York",
            "2024-03-09T12:00-05",
            &["2024-03-09T22:00-05", "2024-03-10T06:00-04"],
        ),
        (
            "1-2",
            "America/New_York",
            "2024-11-02T23:00-04",
            &["2024-11-03T01:00-04", "2024-11-03T02:00-05", "2024-11-04T01:00-05"],
        ),
        (
            "0-1",
            "America/New_York",
            "2024-11-02T23:00-04",
            &["2024-11-03T00:00-04", "2024-11-03T01:00-04", "2024-11-04T00:00-05"],
        ),
        // Days of 23 and 25 hours.
        (
            "Sun",
            "Europe/Berlin",
            "2024-03-30T12:00+01",
            &["2024-03-31T00:00+01", "2024-04-01T00:00+02"],
        ),
        (
            "Sat,Sun",
            "America/New_York",
            "2024-11-01T12:00-04",
            &["2024-11-02T00:00-04", "2024-11-04T00:00-05"],
        ),
        // Clocks that change a minute after midnight, when no hour ends.
        (
            "1-2",
            "America/St_Johns",
            "2010-03-13T12:00-03:30",
            &["2010-03-14T01:01-02:30", "2010-03-14T02:00-02:30"],
        ),
        (
            "22-0",
            "America/St_Johns",
            "2010-11-06T23:30-02:30",
            &["2010-11-07T00:00-02:30", "2010-11-06T23:01-03:30", "2010-11-07T00:00-03:30"],
        ),
        // Half an hour of summer time, and an odd offset.
        (
            "1-2",
            "Australia/Lord_Howe",
            "2024-04-06T12:00+11",
            &["2024-04-07T01:00+11", "2024-04-07T02:00+10:30"],
        ),
        (
            "2-3",
            "Australia/Lord_Howe",
            "2024-10-05T12:00+10:30",
            &["2024-10-06T02:30+11", "2024-10-06T03:00+11"],
        ),
        (
            "9-17",
            "Asia/Kathmandu",
            "2024-01-01T00:00Z",
            &["2024-01-01T03:15Z", "2024-01-01T11:15Z"],
        ),
        // A skipped Friday.
        (
            "Fri",
            "Pacific/Apia",
            "2011-12-29T12:00-10",
            &["2012-01-06T00:00+14", "2012-01-07T00:00+14"],
        ),
        ("0-24", "Europe/Berlin", "2024-03-30T12:00+01", &[]),
        ("0-12,12-0", "UTC", "2024-03-30T12:00Z", &[]),
        ("Sun-Sat", "UTC", "2024-03-30T12:00Z", &[]),
    ] {
        let schedule = schedule(hours, zone);
        let mut now = at(from);
        for wanted in changes {
            let was_open = schedule.is_open(now);
            let change = schedule.next_change(now).expect(wanted);
            assert_eq!(
                text_of(change),
                text_of(at(wanted)),
                "{hours} {zone} after {}",
                text_of(now)
            );
            assert_ne!(schedule.is_open(change), was_open);
            now = change;
        }
        if changes.is_empty() {
            assert_eq!(schedule.next_change(now), None, "{hours}");
        }
    }
}

#[test]
fn the_next_change_is_the_first_one_of_a_walk_by_minutes() {
    const DAYS_WALKED: u64 = 9;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/St_Johns",
        "Africa/Casablanca",
        "Pacific/Apia",
    ];
    let hours = ["22-6", "2-3", "0-1,3-4", "Sat,Sun", "1-2,Mon", "23-0", "Fri", "4-3", "0-24"];
    for zone in zones {
        for hours in hours {
            let schedule = schedule(hours, zone);
            // Around a change of the clocks, if there is one.
            let some_day = UNIX_EPOCH + Duration::from_secs(86_400 * random.u64(14_000..21_000));
            let some_time = Timestamp::try_from(some_day).unwrap();
            let change = Zone::named(zone).unwrap().next_transition(some_time);
            let near = change.unwrap_or(some_time).as_second() / 60 * 60;
            let before = Duration::from_secs(60 * random.u64(1..4 * 24 * 60));
            let start = UNIX_EPOCH + Duration::from_secs(near.unsigned_abs()) - before;
            let is_open = schedule.is_open(start);
            let mut minutes =
                (1..DAYS_WALKED * 24 * 60).map(|m| start + Duration::from_secs(60 * m));
            let walked = minutes.find(|&minute| schedule.is_open(minute) != is_open);
            let asked = schedule.next_change(start + Duration::from_nanos(1));
            let is_near =
                |at: &SystemTime| *at < start + Duration::from_secs((DAYS_WALKED * 24 - 1) * 3600);
            let (walked, asked) = (walked.filter(is_near), asked.filter(is_near));
            assert_eq!(
                asked.map(text_of),
                walked.map(text_of),
                "{hours} {zone} after {}, seed {seed}",
                text_of(start)
            );
        }
    }
}

#[test]
fn the_clock_is_read_at_least_every_minute() {
    let night = schedule("22-6", "UTC");
    for (now, wanted) in [
        ("2024-01-01T12:00:00Z", Duration::from_secs(60)),
        ("2024-01-01T21:59:01Z", Duration::from_secs(59)),
        ("2024-01-01T21:59:59.5Z", Duration::from_millis(500)),
        ("2024-01-01T21:59:59.999999999Z", Duration::from_millis(1)),
        ("2024-01-01T22:00:00Z", Duration::from_secs(60)),
    ] {
        assert_eq!(night.look_again(at(now)), wanted, "{now}");
    }
    assert_eq!(
        schedule("0-24", "UTC").look_again(at("2024-01-01T12:00Z")),
        Duration::from_secs(60)
    );
}

#[test]
fn a_clock_that_is_far_off_closes_and_never_panics() {
    let always = schedule("0-24", "Europe/Berlin");
    let far = UNIX_EPOCH + Duration::from_secs(1 << 45);
    assert!(!always.is_open(far));
    assert_eq!(always.next_change(far), None);
    for now in [
        UNIX_EPOCH,
        UNIX_EPOCH - Duration::from_secs(1 << 36),
        far,
        at("9999-12-30T21:59:59.999999999Z"),
        at("-009999-01-02T02:00:00Z"),
    ] {
        for hours in ["0-24", "22-6", "Sat"] {
            let schedule = schedule(hours, "Europe/Berlin");
            assert!(schedule.next_change(now).is_none_or(|change| change > now));
            assert!(schedule.look_again(now) <= Duration::from_secs(60));
        }
    }
}
