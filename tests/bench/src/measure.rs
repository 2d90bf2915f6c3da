//! Samples and what is told of them: the median, with the quartiles as its spread.

use serde::Serialize;

/// A median with its quartiles.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// A quarter of the samples are below.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// A quarter of the samples are above.
    pub high: f64,
}

impl Spread {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    /// Of one number that is exact.
    pub fn exactly(value: f64) -> Self {
        Self { low: value, median: value, high: value }
    }
}

/// One thing measured of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which table it stands in.
    pub section: &'static str,
    /// What was measured.
    pub what: String,
    /// Of whom.
    pub who: String,
    /// In which unit.
    pub unit: &'static str,
    /// The value.
    pub value: Spread,
    /// The ratio to whom it stands against, pair by pair of samples.
    pub ratio: Option<(String, Spread)>,
}

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// In the order of measuring.
    pub rows: Vec<Row>,
    /// What is printed of it, in Markdown.
    pub table: String,
}

impl Results {
    /// Adds what was measured of several contenders in turns; the ratios are to the last.
    pub fn add(
        &mut self,
        section: &'static str,
        what: &str,
        unit: &'static str,
        samples: &[(String, Vec<f64>)],
    ) {
        let last = samples.len() - 1;
        let (against, theirs) = &samples[last];
        for (number, (who, own)) in samples.iter().enumerate() {
            let ratios: Vec<_> = own.iter().zip(theirs).map(|(own, theirs)| own / theirs).collect();
            let ratio = (number < last).then(|| (against.clone(), Spread::of(&ratios)));
            let (what, who) = (what.to_owned(), who.clone());
            self.rows.push(Row { section, what, who, unit, value: Spread::of(own), ratio });
        }
    }

    /// Adds what is the same however often it is measured.
    pub fn add_exact(
        &mut self,
        section: &'static str,
        what: &str,
        who: &str,
        unit: &'static str,
        value: f64,
    ) {
        let (what, who) = (what.to_owned(), who.to_owned());
        let value = Spread::exactly(value);
        self.rows.push(Row { section, what, who, unit, value, ratio: None });
    }
}
