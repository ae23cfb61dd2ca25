//! Whether viewers should be sent here. Pure.

use std::time::Duration;

use proxima_edge_core::limits;

/// What readiness depends on.
#[derive(Clone, Debug, Default)]
pub struct ReadyFacts {
    /// Started without a control port: nobody will ever confirm.
    pub alone: bool,
    /// There is a valid configuration.
    pub configured: bool,
    /// An operator has confirmed that it is the current one.
    pub confirmed: bool,
    /// Operators connected at this moment.
    pub operators: usize,
    /// Uptime at which there was no operator any more: the start, or when the last one left.
    pub alone_since: Duration,
    /// Has been ready without an operator; stays so, since nothing got worse.
    pub ready_alone: bool,
}

/// The answer of `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The configuration is known to be current.
    Ready,
    /// No operator can be asked; the last known configuration is better than none.
    ReadyWithoutOperator,
    /// The process is ending.
    Draining,
    /// There is no valid configuration.
    NotConfigured,
    /// There is one, but an operator may yet say that it is out of date.
    NotConfirmed,
}

impl Readiness {
    /// Whether viewers should be sent here.
    pub fn is_ready(self) -> bool {
        match self {
            Self::Ready | Self::ReadyWithoutOperator => true,
            Self::Draining | Self::NotConfigured | Self::NotConfirmed => false,
        }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::ReadyWithoutOperator => "ready: no operator has connected, the boot copy is served",
            Self::Draining => "not ready: shutting down",
            Self::NotConfigured => "not ready: no valid configuration yet",
            Self::NotConfirmed => "not ready: the operator has not yet confirmed the configuration",
        }
    }
}

/// Judges the facts at `now`, an uptime.
pub fn judge(facts: &ReadyFacts, draining: bool, now: Duration) -> Readiness {
    if draining {
        Readiness::Draining
    } else if !facts.configured {
        Readiness::NotConfigured
    } else if facts.alone || facts.confirmed {
        Readiness::Ready
    } else if facts.ready_alone || (facts.operators == 0 && now.saturating_sub(facts.alone_since) >= limits::BOOT_GRACE)
    {
        Readiness::ReadyWithoutOperator
    } else {
        Readiness::NotConfirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = limits::BOOT_GRACE;

    #[test]
    fn readiness_table() {
        let configured = ReadyFacts { configured: true, ..ReadyFacts::default() };
        let just_before = GRACE - Duration::from_millis(1);
        for (name, facts, now, expected) in [
            ("nothing", ReadyFacts::default(), GRACE * 9, Readiness::NotConfigured),
            ("boot copy, early", configured.clone(), just_before, Readiness::NotConfirmed),
            ("boot copy, grace over", configured.clone(), GRACE, Readiness::ReadyWithoutOperator),
            (
                "operator connected, not confirmed",
                ReadyFacts { operators: 1, ..configured.clone() },
                GRACE * 9,
                Readiness::NotConfirmed,
            ),
            (
                "operator left a moment ago",
                ReadyFacts { alone_since: GRACE, ..configured.clone() },
                GRACE + just_before,
                Readiness::NotConfirmed,
            ),
            ("confirmed", ReadyFacts { confirmed: true, operators: 1, ..configured.clone() }, GRACE, Readiness::Ready),
            ("confirmed, operator gone", ReadyFacts { confirmed: true, ..configured.clone() }, GRACE, Readiness::Ready),
            (
                "was ready alone, operator came",
                ReadyFacts { ready_alone: true, operators: 1, ..configured.clone() },
                GRACE,
                Readiness::ReadyWithoutOperator,
            ),
            ("serve", ReadyFacts { alone: true, ..configured }, Duration::ZERO, Readiness::Ready),
        ] {
            assert_eq!(judge(&facts, false, now), expected, "{name}");
            assert_eq!(judge(&facts, true, now), Readiness::Draining, "{name}");
        }
    }
}
