//! A child that works after all, although its member has refused the content.

use super::shared::member;
use super::*;
use Action as A;
use Event as E;

#[test]
fn it_takes_back_its_refusal_of_what_others_confirmed() {
    let mut fixture = member(options());
    fixture.raw(E::Wanted(2));
    fixture.hear(2, Some(Verdict::Confirmed));
    fixture.raw(E::Granted);
    fixture.raw(E::Reread(2));
    assert_eq!(fixture.raw(E::Staged), [A::Try(2.version())]);
    assert_eq!(fixture.raw(E::Tried(Tried::Allowed)), [A::Install]);
    fixture.raw(E::Installed);
    fixture.come_up();
    fixture.now += 30 * SECOND;
    assert_eq!(fixture.raw(E::Tick), [refuse(2), A::Alert(AlertReason::Config)]);
    // Its own refusal has not come back yet.
    assert_eq!(fixture.raw(E::Healthy), [A::Confirm(2.version())]);
    assert_eq!(fixture.raw(E::Recorded), [A::MarkGood, A::GiveBack]);
}

#[test]
fn it_takes_back_its_refusal_though_it_is_skipped_or_has_lost_the_lock() {
    let fail_late = || {
        let mut fixture = member(options());
        fixture.come_to_the_try(2);
        fixture.raw(E::Tried(Tried::Allowed));
        fixture.raw(E::Installed);
        fixture.come_up();
        fixture.now += 30 * SECOND;
        assert_eq!(fixture.raw(E::Tick), [refuse(2), A::Alert(AlertReason::Config)]);
        fixture
    };
    let mut fixture = fail_late();
    let skipped = Some(2.version());
    assert_eq!(fixture.order(Orders { skipped, ..Orders::default() }), [A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Skipped);
    assert_eq!(fixture.raw(E::Healthy), [A::Confirm(2.version())]);
    assert_eq!(fixture.raw(E::Recorded), [A::MarkGood]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);

    let mut fixture = fail_late();
    assert_eq!(fixture.raw(E::PermitLost), [A::Ask]);
    assert_eq!(fixture.raw(E::Granted), [A::Reread]);
    assert_eq!(fixture.raw(E::Healthy), [A::MarkGood, A::Confirm(2.version())]);
    assert_eq!(fixture.raw(E::PermitLost), [A::Unstage, A::Confirm(2.version())]);
    assert_eq!(fixture.raw(E::Recorded), []);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}
