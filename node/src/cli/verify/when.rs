//! Times for people who compare proofs: the day and second in UTC, not in the reader's zone.

const DAY_S: u64 = 24 * 3600;

/// Seconds since 1970 at which the year 10000 begins: later times are shown as a number.
const YEAR_10000_S: u64 = 253_402_300_800;

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub(in crate::cli) fn time(ms: u64) -> String {
    let s = ms / 1000;
    if s >= YEAR_10000_S {
        return format!("{ms} ms since 1970");
    }
    let (year, day) = year_of(s / DAY_S);
    let (month, day) = month_of(year, day);
    let (hour, minute, second) = (s / 3600 % 24, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The year of a day since 1970, and the day in it. At most some thousand rounds, for a line of output.
fn year_of(mut day: u64) -> (u64, u64) {
    let mut year = 1970;
    loop {
        let days = if is_leap(year) { 366 } else { 365 };
        if day < days {
            return (year, day);
        }
        day -= days;
        year += 1;
    }
}

/// Month and day, both from 1, of a day in a year.
fn month_of(year: u64, mut day: u64) -> (u64, u64) {
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (month, day + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (YEAR_10000_S - 1, "9999-12-31T23:59:59Z"),
            (YEAR_10000_S, "253402300800000 ms since 1970"),
        ] {
            assert_eq!(time(s * 1000), text);
        }
    }
}
