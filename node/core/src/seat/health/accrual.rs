//! The phi accrual detector over the times between answers.

use std::collections::VecDeque;

use crate::seat::timing::BootMs;

/// Times between answers that are remembered.
const WINDOW: usize = 100;

/// Floor of the deviation, as a share of the interval between probes: half of one. On a quiet loopback all answers come
/// in time, and the first that a scheduler holds up would else look like death.
const DEVIATION_SHARE: f64 = 0.5;

/// Largest φ told: beyond it a double can't tell the probability from 0.
const PHI_MAX: f64 = 300.0;

#[derive(Debug, Clone)]
pub(super) struct Accrual {
    last: BootMs,
    has_heard: bool,
    between_ms: VecDeque<u64>,
    expected_ms: f64,
}

impl Accrual {
    pub(super) fn new(now: BootMs, probe_ms: u64) -> Self {
        Self { last: now, has_heard: false, between_ms: VecDeque::new(), expected_ms: as_f64(probe_ms) }
    }

    /// The time until the first answer is none between answers: the connection had to be made first. Counted as one, it
    /// would make the detector slow for as long as it is remembered.
    pub(super) fn heard(&mut self, now: BootMs) {
        if self.has_heard {
            if self.between_ms.len() == WINDOW {
                self.between_ms.pop_front();
            }
            self.between_ms.push_back(now.since_ms(self.last));
        }
        (self.last, self.has_heard) = (now, true);
    }

    pub(super) fn silent_ms(&self, now: BootMs) -> u64 {
        now.since_ms(self.last)
    }

    /// `−log10(1 − F(t))`, F being the normal distribution, by the logistic approximation of Bowling, Khasawneh,
    /// Kaewkuekool and Cho (2009): `1 − F ≈ 1 / (1 + e^(y (1.5976 + 0.070566 y²)))`, y in deviations from the mean.
    pub(super) fn phi(&self, now: BootMs) -> f64 {
        let (mean, deviation) = self.mean_and_deviation();
        let y = (as_f64(self.silent_ms(now)) - mean) / deviation;
        let exponent = y * (0.070_566 * y).mul_add(y, 1.597_6);
        // ln(1 + e^x) is x itself where e^x would overflow.
        let nats = if exponent > 700.0 { exponent } else { exponent.exp().ln_1p() };
        (nats / std::f64::consts::LN_10).min(PHI_MAX)
    }

    fn mean_and_deviation(&self) -> (f64, f64) {
        let floor = self.expected_ms * DEVIATION_SHARE;
        if self.between_ms.is_empty() {
            return (self.expected_ms, floor);
        }
        let count = as_f64(self.between_ms.len() as u64);
        let mean = self.between_ms.iter().map(|ms| as_f64(*ms)).sum::<f64>() / count;
        let variance = self.between_ms.iter().map(|ms| (as_f64(*ms) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt().max(floor))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and counts here are far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
