//! The Prometheus text format, as far as the suites read it.

use std::collections::BTreeMap;

/// Samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads a scrape; comments and lines of another form are passed over.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(Sample::parse).collect())
    }

    /// Sum of all samples of a name, whatever their labels. Zero when there are none.
    pub fn sum(&self, name: &str) -> f64 {
        self.with(name, &[])
    }

    /// Sum of the samples of a name that carry these labels.
    pub fn with(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let carries = |sample: &&Sample| {
            labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|other| other == value))
        };
        self.0.iter().filter(|sample| sample.name == name).filter(carries).map(|sample| sample.value).sum()
    }

    /// Whether there is a sample of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }

    /// How many samples begin with this name: one for each combination of labels.
    pub fn samples(&self, name: &str) -> usize {
        self.0.iter().filter(|sample| sample.name == name).count()
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split("\",");
        let labels = labels.filter_map(|label| label.split_once("=\""));
        let labels = labels.map(|(key, value)| (key.to_owned(), value.trim_end_matches('"').to_owned()));
        Some(Self { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_are_summed_by_name_and_labels() {
        let text = "# HELP a text\na_total{x=\"1\",y=\"p q\"} 2\na_total{x=\"2\",y=\"p q\"} 3\nb 0.5\n# EOF\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a_total"), 5.0);
        assert_eq!(metrics.with("a_total", &[("x", "2")]), 3.0);
        assert_eq!(metrics.with("a_total", &[("y", "p q"), ("x", "1")]), 2.0);
        assert_eq!((metrics.sum("b"), metrics.sum("c")), (0.5, 0.0));
        assert_eq!((metrics.samples("a_total"), metrics.has("c")), (2, false));
    }
}
