//! The order of the contenders.
//!
//! **Invariant.** The order depends on the names alone, by the rule of the Ruby gem: the number at
//! the end of the name counts, and the text before it does not. So every member of a group sees
//! the same order.

use std::cmp::Ordering;

/// The kind of lock that a contender wants, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An exclusive lock.
    Exclusive,
    /// A lock shared with others of this kind, as the gem has too.
    Shared,
    /// Unknown; it counts in the queue like the others.
    Foreign,
}

/// A contender's name, and its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    name: String,
    kind: Kind,
    number: u32,
}

impl Contender {
    /// Parses the name of a child of a group's directory; `None` if it is not a contender because
    /// it does not end in a sequence number.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let head = name.trim_end_matches(|character: char| character.is_ascii_digit());
        let digits = &name[head.len()..];
        let (kind, sign) = match (head.get(..2), head.get(2..)) {
            (Some("ex"), Some(rest)) => (Kind::Exclusive, rest),
            (Some("sh"), Some(rest)) => (Kind::Shared, rest),
            _ => (Kind::Foreign, ""),
        };
        // The server counts with a signed 32-bit number, which overflows below zero.
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

    /// The kind of lock that it wants.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl Ord for Contender {
    fn cmp(&self, other: &Self) -> Ordering {
        // Two with the same number were made by hand; any fixed order will do.
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
    /// Collects the contenders among the children of a directory.
    pub fn of<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut contenders: Vec<Contender> =
            names.into_iter().filter_map(|name| Contender::parse(name.as_ref())).collect();
        contenders.sort_unstable();
        Self(contenders)
    }

    /// All contenders, in order.
    #[must_use]
    pub fn places(&self) -> &[Contender] {
        &self.0
    }

    /// Whether the contender is in the queue.
    #[must_use]
    pub fn contains(&self, contender: &Contender) -> bool {
        self.0.binary_search(contender).is_ok()
    }

    /// The contenders before this one, the nearest last.
    #[must_use]
    pub fn before(&self, contender: &Contender) -> &[Contender] {
        &self.0[..self.0.partition_point(|other| other < contender)]
    }

    /// For each contender in order, whether it is its turn by its own rule: `holders` is how many
    /// members at once it lets hold a permit.
    pub fn turns<'a>(
        &'a self,
        holders: impl Fn(&Contender) -> u32 + 'a,
    ) -> impl Iterator<Item = (&'a Contender, bool)> {
        let mut is_shareable = true;
        self.0.iter().zip(0_u32..).map(move |(contender, ahead)| {
            let is_turn = match contender.kind {
                Kind::Shared => is_shareable,
                Kind::Exclusive | Kind::Foreign => ahead < holders(contender),
            };
            is_shareable &= contender.kind != Kind::Exclusive;
            (contender, is_turn)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_at_the_end_is_the_order_whatever_precedes_it() {
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
        let queue = Queue::of(names);
        let order: Vec<&str> = queue.places().iter().map(Contender::name).collect();
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
    fn names_without_a_sequence_number_are_no_contenders() {
        let huge = "9".repeat(100_000);
        for name in
            ["", "ex", "sh", "ex-", "ex-foo", "ex1x", "ex2147483648", "ex-2147483649", "ex٣", &huge]
        {
            assert_eq!(Contender::parse(name), None, "{name:.20}");
        }
    }

    #[test]
    fn equal_numbers_are_ordered_by_name() {
        let (a, b) = (Contender::parse("ex7").unwrap(), Contender::parse("ex0000000007").unwrap());
        assert!(b < a);
        let queue = Queue::of(["ex7", "ex0000000007"]);
        assert_eq!(queue.before(&a), [b]);
        assert!(queue.contains(&a));
        assert!(!queue.contains(&Contender::parse("sh7").unwrap()));
    }

    #[test]
    fn each_contender_has_its_turn_by_its_own_rule() {
        let turns = |names: &[&str], holders: u32| -> Vec<bool> {
            Queue::of(names).turns(|_| holders).map(|(_, is_turn)| is_turn).collect()
        };
        assert_eq!(turns(&["ex1", "ex2", "ex3"], 1), [true, false, false]);
        assert_eq!(turns(&["ex1", "ex2", "ex3"], 2), [true, true, false]);
        assert_eq!(turns(&["sh1", "sh2", "ex3", "sh4"], 1), [true, true, false, false]);
        assert_eq!(turns(&["x1", "sh2", "ex3"], 1), [true, true, false]);
    }
}
