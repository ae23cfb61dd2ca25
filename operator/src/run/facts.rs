//! What is known of one kind of object: the operator's side of a watch.
//!
//! Unlike a plain store it holds what the operator needs of an object rather than the object, and tells what an event
//! changed, so that only those concerned are looked at again.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;

use crate::distribution::gather::ObjectName;

/// Facts about every object of a kind, by name.
#[derive(Debug)]
pub struct Facts<F> {
    current: BTreeMap<ObjectName, F>,
    /// Collected while the watch lists all objects again; takes the place of `current` when the list is complete.
    incoming: Option<BTreeMap<ObjectName, F>>,
    is_synced: bool,
    is_refused: bool,
}

/// An object that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<F> {
    /// Its name.
    pub name: ObjectName,
    /// What was known of it.
    pub before: Option<F>,
    /// What is known of it now.
    pub after: Option<F>,
}

impl<F> Default for Facts<F> {
    fn default() -> Self {
        Self { current: BTreeMap::new(), incoming: None, is_synced: false, is_refused: false }
    }
}

impl<F: Clone + PartialEq> Facts<F> {
    /// Takes in an event of the watch, and tells what changed. An object without facts is none of ours.
    pub fn observe(&mut self, event: Event<(ObjectName, Option<F>)>) -> Vec<Change<F>> {
        match event {
            Event::Apply((name, facts)) => self.set(name, facts).into_iter().collect(),
            Event::Delete((name, _)) => self.set(name, None).into_iter().collect(),
            Event::Init => {
                self.incoming = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply((name, facts)) => {
                if let (Some(incoming), Some(facts)) = (&mut self.incoming, facts) {
                    incoming.insert(name, facts);
                }
                Vec::new()
            }
            Event::InitDone => {
                let incoming = self.incoming.take().unwrap_or_default();
                self.is_synced = true;
                self.replace_all(incoming)
            }
        }
    }

    fn set(&mut self, name: ObjectName, after: Option<F>) -> Option<Change<F>> {
        let before = match &after {
            Some(facts) => self.current.insert(name.clone(), facts.clone()),
            None => self.current.remove(&name),
        };
        (before != after).then_some(Change { name, before, after })
    }

    fn replace_all(&mut self, incoming: BTreeMap<ObjectName, F>) -> Vec<Change<F>> {
        let gone: Vec<_> = self.current.keys().filter(|name| !incoming.contains_key(name)).cloned().collect();
        let gone: Vec<_> = gone.into_iter().filter_map(|name| self.set(name, None)).collect();
        let come = incoming.into_iter().filter_map(|(name, facts)| self.set(name, Some(facts)));
        come.chain(gone).collect()
    }

    /// Whether all objects were listed once.
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// They may not be listed, or there is no such kind: what is not known stays so.
    pub fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Whether it makes sense to go on: all objects were listed once, or that was refused.
    pub fn is_settled(&self) -> bool {
        self.is_synced || self.is_refused
    }

    /// What is known of one object.
    pub fn get(&self, name: &ObjectName) -> Option<&F> {
        self.current.get(name)
    }

    /// All objects of a namespace.
    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a ObjectName, &'a F)> {
        let first = ObjectName { namespace: namespace.to_owned(), name: String::new() };
        self.current.range(first..).take_while(move |(name, _)| name.namespace == namespace)
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (&ObjectName, &F)> {
        self.current.iter()
    }

    /// Learns of a write before the watch tells of it.
    pub fn note(&mut self, name: ObjectName, facts: F) {
        self.current.insert(name, facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        let (namespace, name) = text.split_once('/').expect("NAMESPACE/NAME");
        ObjectName { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn object(text: &str, facts: u32) -> (ObjectName, Option<u32>) {
        (name(text), Some(facts))
    }

    fn changed(changes: Vec<Change<u32>>) -> Vec<(String, Option<u32>, Option<u32>)> {
        changes.into_iter().map(|change| (change.name.to_string(), change.before, change.after)).collect()
    }

    fn listed(facts: &mut Facts<u32>, objects: &[(&str, u32)]) -> Vec<(String, Option<u32>, Option<u32>)> {
        facts.observe(Event::Init);
        for (text, value) in objects {
            assert!(facts.observe(Event::InitApply(object(text, *value))).is_empty());
        }
        changed(facts.observe(Event::InitDone))
    }

    #[test]
    fn a_first_list_tells_of_every_object_and_a_second_one_of_differences() {
        let mut facts = Facts::default();
        assert!(!facts.is_synced());
        let first = listed(&mut facts, &[("a/x", 1), ("a/y", 2)]);
        assert_eq!(first, [("a/x".to_owned(), None, Some(1)), ("a/y".to_owned(), None, Some(2))]);
        assert!(facts.is_synced());
        let second = listed(&mut facts, &[("a/y", 3), ("b/z", 4)]);
        let expected = [("a/y", Some(2), Some(3)), ("b/z", None, Some(4)), ("a/x", Some(1), None)];
        assert_eq!(second, expected.map(|(name, before, after)| (name.to_owned(), before, after)));
        assert_eq!(listed(&mut facts, &[("a/y", 3), ("b/z", 4)]), []);
    }

    #[test]
    fn a_refused_list_is_not_an_empty_one() {
        let mut facts = Facts::<u32>::default();
        assert!(!facts.is_settled());
        facts.refuse();
        assert!(facts.is_settled() && !facts.is_synced());
        listed(&mut facts, &[]);
        assert!(facts.is_synced());
    }

    #[test]
    fn until_a_list_is_complete_the_old_objects_stand() {
        let mut facts = Facts::default();
        listed(&mut facts, &[("a/x", 1)]);
        facts.observe(Event::Init);
        assert_eq!(facts.get(&name("a/x")), Some(&1));
    }

    #[test]
    fn an_event_that_changes_no_fact_tells_nothing() {
        let mut facts = Facts::default();
        assert_eq!(changed(facts.observe(Event::Apply(object("a/x", 1)))).len(), 1);
        assert_eq!(changed(facts.observe(Event::Apply(object("a/x", 1)))), []);
        assert_eq!(changed(facts.observe(Event::Delete(object("a/x", 1)))).len(), 1);
        assert_eq!(changed(facts.observe(Event::Delete(object("a/x", 1)))), []);
    }

    #[test]
    fn objects_of_a_namespace_are_found_among_others() {
        let mut facts = Facts::default();
        listed(&mut facts, &[("a/x", 1), ("ab/x", 2), ("b/x", 3), ("b/y", 4)]);
        let of = |namespace| facts.in_namespace(namespace).map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!((of("a"), of("ab"), of("b"), of("c")), (vec![1], vec![2], vec![3, 4], vec![]));
    }
}
