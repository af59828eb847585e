//! The hosts in which two farms differ.

use farm_core::model::{Farm, HostName};

/// What changed from one farm to the next, by name, each list sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) added: Vec<HostName>,
    pub(crate) removed: Vec<HostName>,
    pub(crate) changed: Vec<HostName>,
}

impl Difference {
    pub(crate) fn between(before: &Farm, after: &Farm) -> Self {
        let mut difference = Self::default();
        for (name, record) in after {
            match before.get(name.as_str()) {
                None => difference.added.push(name.clone()),
                Some(old) if old != record => difference.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|(name, _)| after.get(name.as_str()).is_none());
        difference.removed.extend(gone.map(|(name, _)| name.clone()));
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::model::{FieldPath, Record, Value};

    fn farm(hosts: &[(&str, &str)]) -> Farm {
        let record = |text: &str| {
            let mut record = Record::new();
            record.set(&FieldPath::parse("x").unwrap(), Value::from(text)).unwrap();
            record
        };
        hosts.iter().map(|(name, text)| (HostName::parse(name).unwrap(), record(text))).collect()
    }

    fn texts(names: &[HostName]) -> Vec<&str> {
        names.iter().map(HostName::as_str).collect()
    }

    #[test]
    fn every_host_is_in_one_list_or_none() {
        let before = farm(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
        let after = farm(&[("b", "2"), ("c", "1"), ("e", "1"), ("f", "1")]);
        let difference = Difference::between(&before, &after);
        assert_eq!(texts(&difference.added), ["e", "f"]);
        assert_eq!(texts(&difference.removed), ["a", "d"]);
        assert_eq!(texts(&difference.changed), ["b"]);
        assert_eq!(Difference::between(&after, &after), Difference::default());
    }
}
