//! Judging, where it holds up nobody and is not repeated.
//!
//! Running all rules over a large Distribution takes a processor for a while, and a Distribution is looked at whenever
//! anything around it changes, far more often than what its judgement is made from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::gather::GatheredObject;
use crate::distribution::gather::ObjectName;
use crate::distribution::validate::{Problem, Settings, Validated, validate};

/// What the judgement of one Distribution was.
pub type Verdict = Arc<Result<Validated, Vec<Problem>>>;

/// The judging itself came to no end: a fault of the operator, with this object.
#[derive(Debug, thiserror::Error)]
#[error("the operator failed while it judged the object; this is a bug")]
pub struct NotJudged;

/// The newest judgement of each Distribution.
#[derive(Default)]
pub struct Judgements(Mutex<BTreeMap<ObjectName, Judgement>>);

/// A judgement, and all that it was made from: name and namespace are its key.
struct Judgement {
    uid: String,
    generation: i64,
    settings: Settings,
    verdict: Verdict,
}

impl Judgements {
    /// Judges what was gathered, unless the same was judged before.
    pub async fn judge(&self, gathered: &GatheredObject) -> Result<Verdict, NotJudged> {
        if let Some(verdict) = self.known(gathered) {
            return Ok(verdict);
        }
        let document = gathered.document.clone();
        let judging = tokio::task::spawn_blocking(move || validate(&document));
        let verdict = Arc::new(judging.await.map_err(|_| NotJudged)?);
        let judgement = Judgement {
            uid: gathered.uid.clone(),
            generation: gathered.generation,
            settings: gathered.document.settings.clone(),
            verdict: Arc::clone(&verdict),
        };
        self.all().insert(gathered.name.clone(), judgement);
        Ok(verdict)
    }

    fn known(&self, gathered: &GatheredObject) -> Option<Verdict> {
        let all = self.all();
        let known = all.get(&gathered.name).filter(|known| {
            known.uid == gathered.uid
                && known.generation == gathered.generation
                && known.settings == gathered.document.settings
        })?;
        Some(Arc::clone(&known.verdict))
    }

    /// The Distribution is gone.
    pub fn forget(&self, name: &ObjectName) {
        self.all().remove(name);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Judgement>> {
        // Judgements are replaced whole, so what a panicking thread left is consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::validate::Services;
    use crate::run::gather::tests::gathered;

    #[tokio::test]
    async fn the_same_is_judged_once_and_whatever_changed_anew() {
        let judgements = Judgements::default();
        let first = judgements.judge(&gathered("shop", 1)).await.unwrap();
        assert!(first.is_ok(), "{first:?}");
        assert!(Arc::ptr_eq(&first, &judgements.judge(&gathered("shop", 1)).await.unwrap()));
        let mut poorer = gathered("shop", 1);
        Arc::make_mut(&mut poorer.document).settings.services = Services::Cluster(BTreeMap::new());
        assert!(judgements.judge(&poorer).await.unwrap().is_err(), "its Service is gone");
        assert!(judgements.judge(&gathered("shop", 1)).await.unwrap().is_ok(), "its Service is back");
        for other in [gathered("shop", 2), GatheredObject { uid: "v".to_owned(), ..gathered("shop", 2) }] {
            let before = judgements.judge(&gathered("shop", 1)).await.unwrap();
            assert!(!Arc::ptr_eq(&before, &judgements.judge(&other).await.unwrap()));
        }
        judgements.forget(&gathered("shop", 1).name);
        assert!(judgements.all().is_empty());
    }
}
