//! Medians and percentiles, and the clock that they are measured with.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The value below which `share` of the samples lie: 0.5 is the median. 0 without samples.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_sign_loss, reason = "a share of a length is not negative")]
    let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// The middle one.
pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 0.5)
}

/// The CPU time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{median, percentile};

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_last_percentile_is_the_largest() {
        assert!((percentile(&[3.0, 1.0, 2.0], 1.0) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_has_no_median() {
        assert!(median(&[]).abs() < f64::EPSILON);
    }
}
