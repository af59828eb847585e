//! The drawing of a rolling restart is what the recorded run renders to.

use super::fault::{Complaint, Fault};
use crate::draw::{PICTURE, RUN, render};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The complaint about the recorded run or about its drawing. A repository may have neither: then
/// no page shows it, or its link is dead.
pub(super) fn outdated(root: &Path) -> Option<Complaint> {
    let complaint = |path: &str, fault| Some(Complaint { path: path.into(), line: 0, fault });
    let read = |path| match fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::Unreadable { why: error.to_string() }),
    };
    let (recorded, picture) = match (read(RUN), read(PICTURE)) {
        (Err(fault), _) => return complaint(RUN, fault),
        (_, Err(fault)) => return complaint(PICTURE, fault),
        (Ok(None), Ok(None)) => return None,
        (Ok(recorded), Ok(picture)) => (recorded.unwrap_or_default(), picture),
    };
    match render(&recorded) {
        Err(error) => complaint(RUN, Fault::Unreadable { why: error.to_string() }),
        Ok(rendered) if picture.as_ref() == Some(&rendered) => None,
        Ok(_) => complaint(PICTURE, Fault::Outdated { source: RUN }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    const RECORDED: &str = "0\ta\trunning\tV1\tV1\tV1\t-\n1000\toperator\tput\tV2\t-\t-\t-\n\
        9000\toperator\tend\t-\t-\t-\t-\n";

    fn complaint(root: &Scratch) -> Option<String> {
        outdated(root.path()).map(|complaint| complaint.to_string())
    }

    #[test]
    fn a_drawing_of_another_run_is_outdated() {
        let root = Scratch::new();
        assert_eq!(complaint(&root), None);
        root.write(RUN, RECORDED);
        let message = format!("{PICTURE}: it is not what {RUN} renders to; run `cargo xtask draw`");
        assert_eq!(complaint(&root).as_ref(), Some(&message));
        root.write(PICTURE, render(RECORDED).unwrap());
        assert_eq!(complaint(&root), None);
        root.write(RUN, RECORDED.replace("1000", "1001"));
        assert_eq!(complaint(&root), Some(message));
    }

    #[test]
    fn a_run_that_cannot_be_read_is_named_with_its_line() {
        let root = Scratch::new();
        root.write(PICTURE, "");
        assert_eq!(complaint(&root), Some(format!("{RUN}: line 0: the run does not end")));
        root.write(RUN, RECORDED.replace("running", "dancing"));
        assert_eq!(complaint(&root), Some(format!("{RUN}: line 1: no member has this state")));
    }
}
