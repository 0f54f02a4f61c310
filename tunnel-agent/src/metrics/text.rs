//! The text format 0.0.4 of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::{Display, Write};

use crate::tally::histogram::Snapshot;

/// What `Content-Type` says.
pub(crate) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric counts.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Labels and their values.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics that are being written.
#[derive(Default)]
pub(crate) struct Text {
    written: String,
    name: &'static str,
}

impl Text {
    /// The samples that follow are of this metric.
    pub(crate) fn metric(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.written, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value of the metric.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The metric with one value and no labels.
    pub(crate) fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.sample(&[], value);
    }

    /// One histogram of the metric.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, of: &Snapshot) {
        for (bound, count) in &of.buckets {
            self.line("_bucket", labels, Some(&bound.to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), of.count);
        self.line("_sum", labels, None, of.sum);
        self.line("_count", labels, None, of.count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let _ = write!(self.written, "{}{suffix}", self.name);
        let mut before = '{';
        let bound = bound.map(|bound| ("le", bound));
        for (name, value) in labels.iter().copied().chain(bound) {
            let _ = write!(self.written, "{before}{name}=\"");
            for c in value.chars() {
                match c {
                    '\n' => self.written.push_str("\\n"),
                    '"' | '\\' => self.written.extend(['\\', c]),
                    c => self.written.push(c),
                }
            }
            self.written.push('"');
            before = ',';
        }
        let close = if before == ',' { "}" } else { "" };
        let _ = writeln!(self.written, "{close} {value}");
    }

    pub(crate) fn end(self) -> String {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::histogram::Histogram;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        let mut text = Text::default();
        text.metric("a_total", Kind::Counter, "back\\slash\nline");
        text.sample(&[("chain", "a\"b\\c\nd"), ("x", "ü")], 7);
        text.single("b", Kind::Gauge, "one", 0.5);
        assert_eq!(
            text.end(),
            "# HELP a_total back\\\\slash\\nline\n# TYPE a_total counter\n\
             a_total{chain=\"a\\\"b\\\\c\\nd\",x=\"ü\"} 7\n\
             # HELP b one\n# TYPE b gauge\nb 0.5\n"
        );
    }

    #[test]
    fn a_histogram_counts_up() {
        let times = Histogram::default();
        [1, 30, 30, 3_000_000].into_iter().for_each(|millis| times.took(Duration::from_millis(millis)));
        let mut text = Text::default();
        text.metric("t", Kind::Histogram, "times");
        text.histogram(&[("c", "m")], &times.snapshot());
        let text = text.end();
        for line in [
            "t_bucket{c=\"m\",le=\"0.001\"} 1\n",
            "t_bucket{c=\"m\",le=\"0.025\"} 1\n",
            "t_bucket{c=\"m\",le=\"0.05\"} 3\n",
            "t_bucket{c=\"m\",le=\"30\"} 3\n",
            "t_bucket{c=\"m\",le=\"+Inf\"} 4\n",
            "t_sum{c=\"m\"} 3000.061\n",
            "t_count{c=\"m\"} 4\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
