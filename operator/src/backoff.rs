//! Growing pauses between attempts, spread by chance so that many who failed together do not return together.

use std::time::Duration;

/// Doubles from a shortest to a longest pause.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins at `shortest` and never passes `longest`.
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, next: shortest }
    }

    /// The pause before the next attempt: between half of the step and all of it. `fraction` is from 0 to 1.
    pub fn pause(&mut self, fraction: f64) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.longest);
        step.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
    }

    /// After a success the next failure is a new one.
    pub fn reset(&mut self) {
        self.next = self.shortest;
    }
}

/// `period`, shortened by up to a fifth. `fraction` is from 0 to 1.
pub fn jittered(period: Duration, fraction: f64) -> Duration {
    period.mul_f64(1.0 - fraction.clamp(0.0, 1.0) / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let pauses: Vec<_> = (0..4).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.pause(0.0), Duration::from_millis(50));
    }

    #[test]
    fn jitter_only_shortens() {
        let period = Duration::from_secs(10);
        assert_eq!(jittered(period, 0.0), period);
        assert_eq!(jittered(period, 1.0), Duration::from_secs(8));
    }
}
