//! Writes the series of a metric to an encoder.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};

use super::families::Family;
use crate::figures::HistogramTotals;

/// The series of a metric: the values of its labels, and its number.
pub(super) type Samples<'a, const N: usize> = Vec<([&'a str; N], u64)>;

/// Where metrics are written to.
pub(super) struct Output<'a>(pub(super) DescriptorEncoder<'a>);

impl Output<'_> {
    pub(super) fn counters<const N: usize>(
        &mut self,
        family: &Family,
        samples: &Samples<'_, N>,
    ) -> fmt::Result {
        self.each(family, samples, |encoder, count| encoder.encode_counter::<NoLabelSet, _, f64>(count, None))
    }

    pub(super) fn gauges<const N: usize>(
        &mut self,
        family: &Family,
        samples: &[([&str; N], f64)],
    ) -> fmt::Result {
        self.each(family, samples, |encoder, number| encoder.encode_gauge(number))
    }

    pub(super) fn histograms<const N: usize>(
        &mut self,
        family: &Family,
        samples: &[([&str; N], HistogramTotals)],
    ) -> fmt::Result {
        self.each(family, samples, |encoder, totals| {
            encoder.encode_histogram::<NoLabelSet>(totals.sum, totals.count(), &totals.buckets, None)
        })
    }

    /// Writes a counter without labels; nothing but its description if the system does not have it.
    pub(super) fn counter(
        &mut self,
        family: &Family,
        number: Option<impl EncodeCounterValue>,
    ) -> fmt::Result {
        let mut encoder = self.begin(family)?;
        number.map_or(Ok(()), |number| encoder.encode_counter::<NoLabelSet, _, f64>(&number, None))
    }

    /// Writes a gauge without labels; nothing but its description if the system does not have it.
    pub(super) fn gauge(&mut self, family: &Family, number: Option<impl EncodeGaugeValue>) -> fmt::Result {
        let mut encoder = self.begin(family)?;
        number.map_or(Ok(()), |number| encoder.encode_gauge(&number))
    }

    fn begin(&mut self, family: &Family) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.0.encode_descriptor(family.base(), family.help, family.unit(), family.kind.metric_type())
    }

    fn each<const N: usize, T>(
        &mut self,
        family: &Family,
        samples: &[([&str; N], T)],
        write: impl Fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
    ) -> fmt::Result {
        debug_assert_eq!(family.labels.len(), N, "{}", family.name);
        let mut encoder = self.begin(family)?;
        for (values, number) in samples {
            let labels: Vec<_> = family.labels.iter().copied().zip(values.iter().copied()).collect();
            write(&mut encoder.encode_family(&labels)?, number)?;
        }
        Ok(())
    }
}
