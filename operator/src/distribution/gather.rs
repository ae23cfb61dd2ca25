//! Stage one: reads manifests into documents, and tells Distributions from everything else.
//!
//! Reads, never judges a Distribution: what is refused here are files that cannot be read and documents that nobody
//! could judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kube::{Resource, ResourceExt};
use proxima_crds::conditions::Reason;
use serde_json::Value;

use super::manifest::{Document, parse_documents};
use super::references::references;
use super::validate::{Gathered, Problem, ServiceName, Services, Settings, Source};
use crate::args::ServiceSelector;
use crate::limits;

/// The API group whose documents are ours.
const GROUP: &str = "proxima.dev";
/// The version that this build reads.
const API_VERSION: &str = "proxima.dev/v1alpha1";
/// The kind that this build reads.
const KIND: &str = "Distribution";
/// The kind of other groups that Distributions refer to.
const CONFIG_MAP: &str = "ConfigMap";
/// Namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Identity of a namespaced object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectName {
    /// Of an object as the API server gives it.
    pub fn of<K: Resource>(object: &K) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Where Services are on this machine, as the command line said it.
#[derive(Clone, Debug, Default)]
pub struct LocalServices {
    /// Addresses, `HOST:PORT`.
    pub addresses: Vec<(ServiceSelector, String)>,
    /// DNS domain of Services.
    pub cluster_domain: String,
}

/// All that the files say.
#[derive(Debug, Default)]
pub struct Gathering {
    /// Distributions, to be judged, by identity.
    pub distributions: BTreeMap<ObjectName, Gathered>,
    /// Documents of other API groups that no Distribution refers to, in the order of their places.
    pub skipped: Vec<Skipped>,
    /// What cannot even be judged.
    pub problems: Vec<Located>,
    /// What was read, to tell whether anything changed since.
    pub texts: Vec<Result<String, String>>,
    /// ConfigMaps, each as often as it is described.
    config_maps: BTreeMap<ObjectName, Vec<ConfigMap>>,
}

/// A ConfigMap, which matters only when a Distribution refers to it.
#[derive(Debug)]
struct ConfigMap {
    source: Source,
    data: BTreeMap<String, String>,
}

/// A document that is somebody else's.
#[derive(Clone, Debug, PartialEq)]
pub struct Skipped {
    /// Where it stands.
    pub source: Source,
    /// Its `apiVersion` and `kind`.
    pub kind: String,
}

/// A problem and where it is.
#[derive(Clone, Debug)]
pub struct Located {
    /// The Distribution that has it; absent where the whole file has.
    pub object: Option<ObjectName>,
    /// The file as named on the command line.
    pub file: String,
    /// First line of the document, where the problem itself knows none.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Located {
    /// `FILE:LINE: FIELD: MESSAGE`, the form that editors jump to.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Problems of reading name the place themselves, column included.
        if self.problem.reason != Reason::SyntaxError {
            write!(formatter, "{}:{}: ", self.file, self.problem.line.unwrap_or(self.line))?;
        }
        if !self.problem.field.is_empty() {
            write!(formatter, "{}: ", self.problem.field)?;
        }
        formatter.write_str(&self.problem.message)
    }
}

/// Reads `files` and sorts what they say.
pub fn gather(files: &[PathBuf], services: &LocalServices) -> Gathering {
    let mut gathering = Gathering::default();
    for path in files {
        let file = path.display().to_string();
        let text = read(path).map_err(|error| format!("cannot read {file}: {error}"));
        let documents = match &text {
            Ok(text) => parse_documents(&file, text),
            Err(message) => Err(file_problem(message.clone())),
        };
        gathering.texts.push(text);
        match documents {
            Ok(documents) => documents.into_iter().for_each(|document| gathering.add(document, services)),
            Err(problem) => gathering.problems.push(Located { object: None, file, line: 1, problem }),
        }
    }
    gathering.resolve_config_maps();
    gathering
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(limits::MANIFEST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limits::MANIFEST_BYTES {
        let message = format!("it is larger than {} MiB", limits::MANIFEST_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

fn file_problem(message: String) -> Problem {
    Problem { reason: Reason::SyntaxError, field: String::new(), message, line: None }
}

impl Gathering {
    fn add(&mut self, document: Document, services: &LocalServices) {
        let text = |field: &str| document.value.get(field).and_then(Value::as_str);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            let field = if text("apiVersion").is_none() { "apiVersion" } else { "kind" };
            let message = format!("every document needs one as text; a Distribution has {API_VERSION:?} and {KIND:?}");
            return self.refuse(document.source, Reason::MissingField, (field, message));
        };
        if (api_version, kind) == ("v1", CONFIG_MAP) {
            let data = strings(document.value.get("data"));
            let described = self.config_maps.entry(object_name(&document.value)).or_default();
            return described.push(ConfigMap { source: document.source, data });
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if group != GROUP {
            let kind = format!("{api_version} {kind}");
            return self.skipped.push(Skipped { source: document.source, kind });
        }
        if (api_version, kind) != (API_VERSION, KIND) {
            let message = format!("{api_version} {kind} is unknown; this version reads {API_VERSION} {KIND}");
            return self.refuse(document.source, Reason::UnknownKind, ("kind", message));
        }
        self.add_distribution(document, services);
    }

    fn add_distribution(&mut self, document: Document, services: &LocalServices) {
        let object = object_name(&document.value);
        if let Some(first) = self.distributions.get(&object) {
            let Source { file, line, .. } = &first.source;
            let message = format!("{object} is already described at {file}:{line}; give one of them another name");
            let problem = problem_of(Reason::DuplicateObject, "metadata.name", message);
            let Source { file, line, .. } = document.source;
            self.problems.push(Located { object: Some(object), file, line, problem });
            return;
        }
        let settings = services.settings_for(&object.namespace);
        let Document { source, text, value } = document;
        self.distributions.insert(object, Gathered { source, value, text, settings });
    }

    /// Hands each Distribution the ConfigMaps that it refers to. All others are somebody else's documents.
    fn resolve_config_maps(&mut self) {
        let mut used = BTreeSet::new();
        for (object, gathered) in &mut self.distributions {
            for name in references(&gathered.value).config_maps {
                let object = ObjectName { namespace: object.namespace.clone(), name };
                if let Some(described) = self.config_maps.get(&object) {
                    gathered.settings.ca_bundles.insert(object.name.clone(), described[0].data.clone());
                    used.insert(object);
                }
            }
        }
        for (object, mut described) in std::mem::take(&mut self.config_maps) {
            if !used.contains(&object) {
                let skipped = |ConfigMap { source, .. }| Skipped { source, kind: format!("v1 {CONFIG_MAP}") };
                self.skipped.extend(described.into_iter().map(skipped));
                continue;
            }
            let Source { file, line, .. } = described.remove(0).source;
            for ConfigMap { source, .. } in described {
                let message = format!("ConfigMap {object} is already described at {file}:{line}; remove one");
                self.refuse(source, Reason::DuplicateObject, ("metadata.name", message));
            }
        }
        self.skipped.sort_by(|one, other| one.source.cmp(&other.source));
    }

    fn refuse(&mut self, source: Source, reason: Reason, (field, message): (&str, String)) {
        let problem = problem_of(reason, field, message);
        self.problems.push(Located { object: None, file: source.file, line: source.line, problem });
    }
}

fn problem_of(reason: Reason, field: &str, message: String) -> Problem {
    Problem { reason, field: field.to_owned(), message, line: None }
}

/// Members of a mapping that are text.
fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Identity as far as the document says it; whether the names are good is judged later.
fn object_name(value: &Value) -> ObjectName {
    let text = |field| value.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
    ObjectName {
        namespace: text("namespace").unwrap_or(DEFAULT_NAMESPACE).to_owned(),
        name: text("name").unwrap_or_default().to_owned(),
    }
}

impl LocalServices {
    /// A bare name means the Service of that name in the namespace of whoever asks; a full one wins over it.
    fn settings_for(&self, namespace: &str) -> Settings {
        let (bare, full): (Vec<_>, Vec<_>) = self.addresses.iter().partition(|(who, _)| who.namespace.is_none());
        let services = bare.into_iter().chain(full).map(|(who, address)| {
            let namespace = who.namespace.clone().unwrap_or_else(|| namespace.to_owned());
            (ServiceName { namespace, name: who.name.clone() }, address.clone())
        });
        Settings {
            cluster_domain: self.cluster_domain.clone(),
            services: Services::Local(services.collect()),
            ca_bundles: BTreeMap::new(),
            addresses: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn gathered(text: &str) -> Gathering {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.yaml");
        fs::write(&file, text).unwrap();
        gather(&[file], &LocalServices::default())
    }

    fn distribution(name: &str) -> String {
        format!("apiVersion: proxima.dev/v1alpha1\nkind: Distribution\nmetadata: {{name: {name}}}\n")
    }

    fn problem(gathering: &Gathering) -> (Reason, String) {
        let [located] = &gathering.problems[..] else { panic!("{:?}", gathering.problems) };
        let text = located.to_string();
        let place = text.find("m.yaml").expect("the file is named");
        (located.problem.reason, text[place..].to_owned())
    }

    #[test]
    fn documents_of_other_groups_are_skipped_and_named() {
        let gathering = gathered(&format!("apiVersion: v1\nkind: Service\n---\n{}", distribution("shop")));
        assert_eq!(gathering.skipped.iter().map(|skipped| skipped.kind.as_str()).collect::<Vec<_>>(), ["v1 Service"]);
        let names: Vec<_> = gathering.distributions.keys().map(ObjectName::to_string).collect();
        assert_eq!(names, ["default/shop"]);
        assert!(gathering.problems.is_empty());
    }

    fn trusting(name: &str, config_map: &str) -> String {
        let tls = format!("{{caBundleRef: {{name: {config_map}}}}}");
        format!("{}spec: {{origins: [{{http: {{tls: {tls}}}}}]}}\n", distribution(name))
    }

    fn config_map(name: &str, namespace: &str, text: &str) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{ca.crt: {text}, n: 1}}\n"
        )
    }

    #[test]
    fn a_config_map_is_read_for_those_who_refer_to_it_wherever_it_stands() {
        let documents = [
            trusting("shop", "ours"),
            config_map("ours", "web", "wrong"),
            config_map("ours", "default", "right"),
            config_map("others", "default", "x"),
            distribution("plain"),
        ];
        let gathering = gathered(&documents.join("---\n"));
        assert!(gathering.problems.is_empty(), "{:?}", gathering.problems);
        let bundles: Vec<_> =
            gathering.distributions.values().map(|gathered| gathered.settings.ca_bundles.clone()).collect();
        let data = BTreeMap::from([("ca.crt".to_owned(), "right".to_owned())]);
        assert_eq!(bundles, [BTreeMap::new(), BTreeMap::from([("ours".to_owned(), data)])]);
        let skipped: Vec<_> =
            gathering.skipped.iter().map(|skipped| (skipped.kind.as_str(), skipped.source.document)).collect();
        assert_eq!(skipped, [("v1 ConfigMap", 2), ("v1 ConfigMap", 4)]);
    }

    #[test]
    fn a_config_map_described_twice_is_refused_when_somebody_refers_to_it() {
        let twice = format!("{}---\n{}", config_map("ours", "default", "a"), config_map("ours", "default", "b"));
        assert!(gathered(&format!("{}---\n{twice}", distribution("shop"))).problems.is_empty());
        let (reason, text) = problem(&gathered(&format!("{}---\n{twice}", trusting("shop", "ours"))));
        assert_eq!(reason, Reason::DuplicateObject);
        assert!(text.contains("metadata.name: ConfigMap default/ours is already described at "), "{text}");
    }

    #[test]
    fn a_kind_or_version_of_ours_that_is_unknown_is_refused() {
        for (text, what) in [
            ("apiVersion: proxima.dev/v1alpha1\nkind: Distributon", "v1alpha1 Distributon is unknown"),
            ("apiVersion: proxima.dev/v9\nkind: Distribution", "v9 Distribution is unknown"),
        ] {
            let (reason, text) = problem(&gathered(text));
            assert_eq!(reason, Reason::UnknownKind);
            assert!(text.starts_with("m.yaml:1: kind: ") && text.contains(what), "{text}");
        }
    }

    #[test]
    fn a_document_without_a_kind_is_refused_at_its_line() {
        let (reason, text) = problem(&gathered(&format!("{}---\nspec: {{}}\n", distribution("shop"))));
        assert_eq!(reason, Reason::MissingField);
        assert!(text.starts_with("m.yaml:4: apiVersion: "), "{text}");
    }

    #[test]
    fn one_object_described_twice_is_refused_and_the_first_one_named() {
        let gathering = gathered(&format!("{}---\n{}", distribution("shop"), distribution("shop")));
        let (reason, text) = problem(&gathering);
        assert_eq!(reason, Reason::DuplicateObject);
        assert!(text.starts_with("m.yaml:4: metadata.name: default/shop is already described at "), "{text}");
        assert!(text.contains("m.yaml:1; give"), "{text}");
        assert_eq!(gathering.problems[0].object.as_ref().map(ObjectName::to_string).as_deref(), Some("default/shop"));
    }

    #[test]
    fn the_same_name_in_two_namespaces_is_two_objects() {
        let other = distribution("shop").replace("{name: shop}", "{name: shop, namespace: web}");
        let gathering = gathered(&format!("{}---\n{other}", distribution("shop")));
        let names: Vec<_> = gathering.distributions.keys().map(ObjectName::to_string).collect();
        assert_eq!(names, ["default/shop", "web/shop"]);
    }

    #[test]
    fn a_syntax_error_names_file_and_line_once() {
        let (reason, text) = problem(&gathered("apiVersion: v1\nkind: [\n"));
        assert_eq!(reason, Reason::SyntaxError);
        assert_eq!(text.matches("m.yaml").count(), 1, "{text}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let gathering = gather(&[PathBuf::from("/no/such/m.yaml")], &LocalServices::default());
        assert!(gathering.problems[0].to_string().starts_with("cannot read /no/such/m.yaml: "));
    }

    #[test]
    fn a_bare_service_name_means_the_distributions_namespace_and_a_full_one_wins() {
        let who = |namespace: Option<&str>| ServiceSelector {
            namespace: namespace.map(str::to_owned),
            name: "api".to_owned(),
        };
        let services = LocalServices {
            addresses: vec![(who(Some("web")), "full:1".to_owned()), (who(None), "bare:1".to_owned())],
            cluster_domain: "cluster.local".to_owned(),
        };
        let address = |namespace: &str| {
            let name = ServiceName { namespace: namespace.to_owned(), name: "api".to_owned() };
            let Services::Local(addresses) = services.settings_for(namespace).services else { panic!("local") };
            addresses[&name].clone()
        };
        assert_eq!((address("web").as_str(), address("shop").as_str()), ("full:1", "bare:1"));
    }
}
