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

#[test]
fn waiting_for_the_first_answer_makes_it_no_slower() {
    let mut late = Accrual::new(BootMs(0), 100);
    let mut prompt = Accrual::new(BootMs(2_900), 100);
    for at in [3_000, 3_100, 3_200, 3_300] {
        late.heard(BootMs(at));
        prompt.heard(BootMs(at));
    }
    let (late, prompt) = (late.phi(BootMs(3_700)), prompt.phi(BootMs(3_700)));
    assert!((late - prompt).abs() < f64::EPSILON && late > 8.0, "{late} {prompt}");
}
