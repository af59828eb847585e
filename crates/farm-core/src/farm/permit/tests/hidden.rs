//! Contenders before us that we may not read.

use super::*;
use crate::engine::Retry;

#[test]
fn a_neighbour_that_we_may_not_read_is_looked_at_every_half_minute() {
    let mut fixture = Fixture::connected(2);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex3", "ex4", "ex5"]);
    fixture.read(Presence::Hidden);
    assert_eq!(fixture.take_news(), ["waiting behind 2"]);
    for _ in 0..10 {
        let before = fixture.now;
        fixture.tick();
        assert!(
            fixture.now - before <= Retry::UNANNOUNCED_MOST
                && fixture.now - before >= Retry::UNANNOUNCED_MOST / 2
        );
        fixture.look(&["ex3", "ex4", "ex5"]);
        assert_eq!(fixture.asks(), ["read ex3 ex4 Yes"]);
        fixture.read(Presence::Hidden);
    }
    assert_eq!((fixture.asks(), fixture.take_news()), (NOBODY, NOBODY));
    // No event tells that it has gone.
    fixture.tick();
    fixture.look(&["ex4", "ex5"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
    assert_eq!(fixture.permit.deadline(), None);
    // Those that we may read have events.
    assert_eq!(Fixture::in_queue(1, &["ex4", "ex5"]).permit.deadline(), None);
}
