//! Where texts find room: how wide they are, and which row of labels they go to.

/// The width of a character of the usual fonts, compared with their size. A bit too wide: fonts
/// differ, and texts must not overlap with any of them.
const CHAR_WIDTH: f64 = 0.62;
/// The least distance between two labels of a row.
const GAP: f64 = 10.0;

/// At most how wide a text is.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * CHAR_WIDTH
}

/// The row of each label, which begin and end at these places: the first one with room for it.
pub(super) fn rows(labels: impl IntoIterator<Item = (f64, f64)>) -> Vec<usize> {
    let mut ends = Vec::<f64>::new();
    let row_of = |(start, end): (f64, f64)| {
        let row = ends.iter().position(|taken| taken + GAP <= start).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(end);
        } else {
            ends[row] = end;
        }
        row
    };
    labels.into_iter().map(row_of).collect()
}

/// The least of the steps 1, 2, 5, 10, 20 … seconds that keeps the ticks of an axis this far apart.
pub(super) fn tick_seconds(pixels_per_second: f64, distance: f64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [unit, 2 * unit, 5 * unit] {
            if step as f64 * pixels_per_second >= distance || step >= 1_000_000 {
                return step;
            }
        }
        unit *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_share_a_row_unless_they_would_touch() {
        assert_eq!(rows([(0.0, 50.0), (60.0, 90.0), (95.0, 120.0), (130.0, 140.0)]), [0, 0, 1, 0]);
        assert_eq!(rows([(0.0, 50.0), (5.0, 55.0), (9.0, 59.0)]), [0, 1, 2]);
    }

    #[test]
    fn ticks_keep_their_distance() {
        assert_eq!(tick_seconds(100.0, 60.0), 1);
        assert_eq!(tick_seconds(30.0, 60.0), 2);
        assert_eq!(tick_seconds(13.0, 60.0), 5);
        assert_eq!(tick_seconds(1.0, 60.0), 100);
        assert_eq!(tick_seconds(0.0, 60.0), 1_000_000);
    }
}
