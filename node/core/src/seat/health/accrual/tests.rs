//! The detector against values of the normal distribution.

use super::*;

/// `−log10(1 − F(y))` for y deviations beyond the mean, from tables of the normal distribution.
const TABLE: [(f64, f64); 4] = [(0.0, 0.301), (1.0, 0.799_5), (2.0, 1.643), (3.0, 2.869_7)];

#[test]
fn it_is_near_the_normal_distribution() {
    let mut accrual = Accrual::new(BootMs(0), 1_000);
    accrual.heard(BootMs(1_000));
    for (deviations, phi) in TABLE {
        let now = BootMs(2_000 + (deviations * 500.0) as u64);
        assert!((accrual.phi(now) - phi).abs() < 0.05, "{deviations}: {}", accrual.phi(now));
    }
}

#[test]
fn it_grows_with_silence_and_stays_finite() {
    let accrual = Accrual::new(BootMs(0), 100);
    let phis: Vec<_> = (0..20).map(|n| accrual.phi(BootMs(n * 50))).collect();
    assert!(phis.windows(2).all(|pair| pair[0] < pair[1] || pair[1] >= PHI_MAX));
    assert!((accrual.phi(BootMs(u64::MAX)) - PHI_MAX).abs() < f64::EPSILON);
}
