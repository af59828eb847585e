//! The order of the contenders.
//!
//! **Invariant.** Who comes before whom is decided by names alone, and by the same
//! rule as the Ruby gem's: the number at the end, whatever stands before it. So
//! every member of a group sees the same order.

use std::cmp::Ordering;

/// What a contender wants, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A turn of its own.
    Exclusive,
    /// A turn together with others of this kind: the gem has such locks too.
    Shared,
    /// Nobody knows; it stands in line like the others.
    Foreign,
}

/// A contender's name, and where that puts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    name: String,
    kind: Kind,
    number: u32,
}

impl Contender {
    /// Reads the name of a child of a group's directory; `None` if it is no
    /// contender, since it does not end in a number that a server gives.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let head = name.trim_end_matches(|character: char| character.is_ascii_digit());
        let digits = &name[head.len()..];
        let (kind, sign) = match (head.get(..2), head.get(2..)) {
            (Some("ex"), Some(rest)) => (Kind::Exclusive, rest),
            (Some("sh"), Some(rest)) => (Kind::Shared, rest),
            _ => (Kind::Foreign, ""),
        };
        // The server counts in 32 bits with a sign, and goes on below zero.
        let number: i64 = digits.parse().ok()?;
        let number = if sign == "-" { -number } else { number };
        let number = i32::try_from(number).ok()?.cast_unsigned();
        Some(Self { name: name.to_owned(), kind, number })
    }

    /// The name of the znode.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it wants.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl Ord for Contender {
    fn cmp(&self, other: &Self) -> Ordering {
        // Two with the same number were made by hand. Some order has to be.
        self.number.cmp(&other.number).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Contender {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All contenders of a group, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue(Vec<Contender>);

impl Queue {
    /// Takes the contenders out of the names of a directory's children.
    pub fn of<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut places: Vec<Contender> =
            names.into_iter().filter_map(|name| Contender::parse(name.as_ref())).collect();
        places.sort_unstable();
        Self(places)
    }

    /// All places, in order.
    #[must_use]
    pub fn places(&self) -> &[Contender] {
        &self.0
    }

    /// Is that one of them?
    #[must_use]
    pub fn contains(&self, place: &Contender) -> bool {
        self.0.binary_search(place).is_ok()
    }

    /// Those that come before it, the nearest last.
    #[must_use]
    pub fn before(&self, place: &Contender) -> &[Contender] {
        &self.0[..self.0.partition_point(|other| other < place)]
    }

    /// Tells of each place in order whether it is its turn, by its own rule:
    /// `holders` says how many turns at once it believes in.
    pub fn turns<'a>(
        &'a self,
        holders: impl Fn(&Contender) -> u32 + 'a,
    ) -> impl Iterator<Item = (&'a Contender, bool)> {
        let mut is_shareable = true;
        self.0.iter().zip(0_u32..).map(move |(place, ahead)| {
            let is_turn = match place.kind {
                Kind::Shared => is_shareable,
                Kind::Exclusive | Kind::Foreign => ahead < holders(place),
            };
            is_shareable &= place.kind != Kind::Exclusive;
            (place, is_turn)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_at_the_end_is_the_place_whatever_stands_before_it() {
        let names = [
            "ex-0000000001",
            "sh0000000007",
            "backup-0000000003",
            "ex0000000010",
            "ex-2147483648",
            "ex2147483647",
            "ex0000000009",
            "4",
            "ex5",
            "6ü6",
        ];
        let line = Queue::of(names);
        let order: Vec<&str> = line.places().iter().map(Contender::name).collect();
        assert_eq!(
            order,
            [
                "backup-0000000003",
                "4",
                "ex5",
                "6ü6",
                "sh0000000007",
                "ex0000000009",
                "ex0000000010",
                "ex2147483647",
                "ex-2147483648",
                "ex-0000000001",
            ]
        );
    }

    #[test]
    fn names_without_a_number_of_a_server_are_no_contenders() {
        let huge = "9".repeat(100_000);
        for name in
            ["", "ex", "sh", "ex-", "ex-foo", "ex1x", "ex2147483648", "ex-2147483649", "ex٣", &huge]
        {
            assert_eq!(Contender::parse(name), None, "{name:.20}");
        }
    }

    #[test]
    fn equal_numbers_have_an_order_all_the_same() {
        let (a, b) = (Contender::parse("ex7").unwrap(), Contender::parse("ex0000000007").unwrap());
        assert!(b < a);
        let line = Queue::of(["ex7", "ex0000000007"]);
        assert_eq!(line.before(&a), [b]);
        assert!(line.contains(&a));
        assert!(!line.contains(&Contender::parse("sh7").unwrap()));
    }

    #[test]
    fn turns_are_by_everybodys_own_rule() {
        let turns = |names: &[&str], holders: u32| -> Vec<bool> {
            Queue::of(names).turns(|_| holders).map(|(_, is_turn)| is_turn).collect()
        };
        assert_eq!(turns(&["ex1", "ex2", "ex3"], 1), [true, false, false]);
        assert_eq!(turns(&["ex1", "ex2", "ex3"], 2), [true, true, false]);
        assert_eq!(turns(&["sh1", "sh2", "ex3", "sh4"], 1), [true, true, false, false]);
        assert_eq!(turns(&["x1", "sh2", "ex3"], 1), [true, true, false]);
    }
}
