//! Dates and times of directory entries: two seconds, from 1980 to 2107, taken as UTC.
//!
//! Microsoft's "FAT: General Overview", section "Date and Time Formats". FAT knows no time zone; neither does this.

use fstree::Timestamp;

/// 1980-01-01T00:00:00Z and 2107-12-31T23:59:58Z in seconds since 1970.
const RANGE: (i64, i64) = (315_532_800, 4_354_819_198);

/// A date and a time as they stand in a directory entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DosTime {
    pub(crate) date: u16,
    pub(crate) time: u16,
}

impl DosTime {
    /// Returns the time at or before `time`, or the nearest one that FAT can tell.
    pub(crate) fn from_timestamp(time: Timestamp) -> Self {
        let secs = time.secs.clamp(RANGE.0, RANGE.1);
        let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let date = ((year - 1980) << 9) | (month << 5) | day;
        let time = ((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2);
        let narrow = |it: i64| u16::try_from(it).expect("fields of a clamped time fit 16 bits");
        Self {
            date: narrow(date),
            time: narrow(time),
        }
    }

    /// Returns the time; fields out of range, such as the zeros of an unset date, count as the nearest in range.
    pub(crate) fn timestamp(self) -> Timestamp {
        let (date, time) = (i64::from(self.date), i64::from(self.time));
        let days = days(
            1980 + (date >> 9),
            ((date >> 5) & 15).clamp(1, 12),
            (date & 31).max(1),
        );
        let second =
            (time >> 11).min(23) * 3600 + ((time >> 5) & 63).min(59) * 60 + (time & 31).min(29) * 2;
        Timestamp::from_secs(days * 86_400 + second)
    }
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // A year that begins in March has its leap day last, so months before it need no correction.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// Returns year, month and day of a number of days since 1970-01-01.
fn civil(since_epoch: i64) -> (i64, i64, i64) {
    let mut year = 1970 + since_epoch.div_euclid(366);
    while days(year + 1, 1, 1) <= since_epoch {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days(year, *month, 1) <= since_epoch)
        .unwrap_or(1);
    (year, month, since_epoch - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (secs, date, time) in [
            (0, 0x0021, 0),
            (315_532_800, 0x0021, 0),
            (951_782_399, 0x285C, 0xBF7D),   // 2000-02-28T23:59:59Z
            (951_782_400, 0x285D, 0),        // 2000-02-29
            (1_709_251_199, 0x585D, 0xBF7D), // 2024-02-29T23:59:59Z
            (1_735_689_600, 0x5A21, 0),      // 2025-01-01
            (4_354_819_198, 0xFF9F, 0xBF7D),
            (i64::MAX, 0xFF9F, 0xBF7D),
            (i64::MIN, 0x0021, 0),
        ] {
            assert_eq!(
                DosTime::from_timestamp(Timestamp::from_secs(secs)),
                DosTime { date, time },
                "{secs}"
            );
        }
    }

    #[test]
    fn every_day_comes_back() {
        for day in 0..46_751 {
            let time = Timestamp::from_secs(RANGE.0 + day * 86_400 + 86_398);
            assert_eq!(DosTime::from_timestamp(time).timestamp(), time);
        }
        assert_eq!(
            DosTime {
                date: 0,
                time: 0xFFFF
            }
            .timestamp()
            .secs,
            RANGE.0 + 86_398
        );
    }
}
