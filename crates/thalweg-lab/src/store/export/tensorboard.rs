//! TensorBoard event files: records framed with lengths and checksums, each a protocol-buffer `Event`.

use std::path::Path;

use thalweg::QUANTILES;

use crate::diagnosis::Probe;
use crate::store::Kept;

/// The CRC-32C (Castagnoli) of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

/// The checksum as TensorFlow records carry it: rotated and shifted, so that checksums of data that hold
/// checksums stay useful.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A record: length, its checksum, the data, their checksum, all little-endian.
fn frame(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

/// A protocol-buffer message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn doubles(self, field: u64, values: &[f64]) -> Self {
        let packed: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(field, &packed)
    }
}

/// The value of a hyper-parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// The bins of a histogram.
struct Bins<'b> {
    /// Where the first begins.
    low: f64,
    /// Where each ends, and the next begins.
    limits: &'b [f64],
    counts: &'b [f64],
    /// Of the values and of their squares, if they are known.
    sums: Option<[f64; 2]>,
}

/// An event file in memory.
pub struct Events(Vec<u8>);

impl Default for Events {
    fn default() -> Self {
        let mut events = Events(Vec::new());
        events.record(Message::default().double(1, 0.0).bytes(3, b"brain.Event:2"));
        events
    }
}

impl Events {
    /// The bytes of the file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn record(&mut self, event: Message) {
        frame(&event.0, &mut self.0);
    }

    fn summary(&mut self, step: usize, seconds: f64, value: Message) {
        let summary = Message::default().message(1, value);
        let event = Message::default().double(1, seconds).integer(2, step as u64);
        self.record(event.message(5, summary));
    }

    /// A number at a step; `seconds` become the wall time, counted from 1970.
    pub fn scalar(&mut self, tag: &str, step: usize, seconds: f64, value: f64) {
        let value = Message::default().bytes(1, tag.as_bytes()).float(2, value as f32);
        self.summary(step, seconds, value);
    }

    /// The distribution of the finite ones of `values`, in thirty bins of equal width; nothing if there
    /// are none.
    pub fn histogram(&mut self, tag: &str, step: usize, seconds: f64, values: &[f64]) {
        const BINS: usize = 30;
        let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if values.is_empty() {
            return;
        }
        let width = if high > low { (high - low) / BINS as f64 } else { 1.0 };
        let limits: Vec<f64> = (1..=BINS).map(|i| low + i as f64 * width).collect();
        let mut counts = vec![0.0; BINS];
        for v in &values {
            counts[(((v - low) / width) as usize).min(BINS - 1)] += 1.0;
        }
        let sums = [values.iter().sum(), values.iter().map(|v| v * v).sum()];
        let bins = Bins { low, limits: &limits, counts: &counts, sums: Some(sums) };
        self.bins(tag, step, seconds, &bins);
    }

    /// What quantiles say of the distribution of `count` values: how many lie between one and the next, and
    /// nothing of those beyond the outermost. `levels` are the shares below each of `quantiles`. Sums are not
    /// known, and left out; so is all of it if a quantile is not finite.
    pub fn between_quantiles<const N: usize>(
        &mut self,
        tag: &str,
        step: usize,
        seconds: f64,
        (levels, quantiles): (&[f64; N], &[f64; N]),
        count: f64,
    ) {
        if quantiles.iter().any(|q| !q.is_finite()) {
            return;
        }
        let (mut limits, mut counts, mut held) = (vec![], vec![], 0.0);
        for (q, level) in quantiles.windows(2).zip(levels.windows(2)) {
            // What is held by a single value goes into the next bin that has a width.
            held += (level[1] - level[0]) * count;
            if q[1] > q[0] {
                limits.push(q[1]);
                counts.push(std::mem::take(&mut held));
            }
        }
        match counts.last_mut() {
            Some(last) => *last += held,
            None => (limits, counts) = (vec![quantiles[N - 1]], vec![held]),
        }
        let bins = Bins { low: quantiles[0], limits: &limits, counts: &counts, sums: None };
        self.bins(tag, step, seconds, &bins);
    }

    fn bins(&mut self, tag: &str, step: usize, seconds: f64, bins: &Bins<'_>) {
        let mut histogram = Message::default()
            .double(1, bins.low)
            .double(2, bins.limits.last().copied().unwrap_or(bins.low))
            .double(3, bins.counts.iter().sum());
        if let Some([sum, squares]) = bins.sums {
            histogram = histogram.double(4, sum).double(5, squares);
        }
        let histogram = histogram.doubles(6, bins.limits).doubles(7, bins.counts);
        let value = Message::default().bytes(1, tag.as_bytes()).message(5, histogram);
        self.summary(step, seconds, value);
    }

    /// The hyper-parameters of this run. Runs of one `group` (the seeds of a configuration) are shown as
    /// one.
    pub fn hyper_parameters(&mut self, group: &str, settings: &[(&str, Setting)]) {
        self.session(0, 0.0, group, settings);
    }

    fn session(&mut self, step: usize, seconds: f64, group: &str, settings: &[(&str, Setting)]) {
        let mut start = Message::default();
        for (name, setting) in settings {
            let value = match setting {
                Setting::Number(number) => Message::default().double(2, *number),
                Setting::Text(text) => Message::default().bytes(3, text.as_bytes()),
            };
            let entry = Message::default().bytes(1, name.as_bytes()).message(2, value);
            start = start.message(1, entry);
        }
        let content = Message::default().message(3, start.bytes(4, group.as_bytes()));
        let plugin = Message::default().bytes(1, b"hparams").bytes(2, &content.0);
        // The reader wants a tensor: an empty one of type float.
        let tensor = Message::default().integer(1, 1).message(2, Message::default());
        let value = Message::default()
            .bytes(1, b"_hparams_/session_start_info")
            .message(8, tensor)
            .message(9, Message::default().message(1, plugin));
        self.summary(step, seconds, value);
    }
}

/// The event file of a run: losses, metric, test result and probes.
pub fn run(kept: &Kept, probes: &[Probe]) -> Vec<u8> {
    let mut events = Events::default();
    let text = |text: &str| Setting::Text(text.to_owned());
    let mut settings = vec![
        ("task", text(&kept.task)),
        ("optimizer", text(&kept.optimizer)),
        ("phase", text(&kept.phase)),
        ("seed", Setting::Number(kept.seed as f64)),
    ];
    settings.extend(kept.hypers.iter().map(|(name, value)| (&name[..], Setting::Number(*value))));
    let group = format!("{}/{}/t{}/{}", kept.task, kept.optimizer, kept.trial, kept.phase);
    events.hyper_parameters(&group, &settings);
    for p in &kept.points {
        if let Some(loss) = p.train_loss {
            events.scalar("loss/train", p.step, p.seconds, loss);
        }
        events.scalar("loss/validation", p.step, p.seconds, p.validation.loss);
        if let Some(metric) = p.validation.metric {
            events.scalar("metric/validation", p.step, p.seconds, metric);
        }
    }
    if let Some(best) = kept.best_point.and_then(|i| kept.points.get(i)) {
        let test = [("loss/test", kept.test_loss), ("metric/test", kept.test_metric)];
        for (tag, value) in test {
            if let Some(value) = value {
                events.scalar(tag, best.step, best.seconds, value);
            }
        }
    }
    for probe in probes {
        let seconds = kept.seconds_at(probe.step);
        for (place, key, value) in probe.numbers() {
            events.scalar(&format!("{key}/{place}"), probe.step, seconds, value);
        }
        for layer in &probe.layers {
            let Some(rates) = layer.rates else { continue };
            let tag = format!("effective_rate_log10/{}", layer.parameter);
            // Rates lie decades apart; quantiles of the logarithm are the logarithms of theirs.
            let logs = rates.map(f64::log10);
            events.between_quantiles(
                &tag,
                probe.step,
                seconds,
                (&QUANTILES, &logs),
                layer.coordinates as f64,
            );
        }
    }
    events.into_bytes()
}

/// The event file of an optimizer's tuning trials on a task: how their validation losses are spread.
pub fn trials(runs: &[&Kept]) -> Vec<u8> {
    let mut events = Events::default();
    let losses: Vec<f64> = runs.iter().map(|r| r.validation_loss()).collect();
    events.histogram("trials/validation_loss", 0, 0.0, &losses);
    events.into_bytes()
}

/// Writes one directory per run, flat, as TensorBoard, Aim and trackio read it.
///
/// # Errors
/// If a file cannot be written.
pub fn write(directory: &Path, name: &str, events: &[u8]) -> std::io::Result<()> {
    let directory = directory.join(name);
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("events.out.tfevents.0000000000.thalweg"), events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The first record of every event file, but for its time of 0.
    #[test]
    fn the_first_record_names_the_version() {
        let bytes = Events::default().into_bytes();
        assert_eq!(bytes[..8], 24u64.to_le_bytes());
        assert_eq!(bytes[12..23], [0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 13]);
        assert_eq!(&bytes[23..36], b"brain.Event:2");
        assert_eq!(bytes[36..], masked(&bytes[12..36]).to_le_bytes());
        assert_eq!(bytes[8..12], masked(&bytes[..8]).to_le_bytes());
    }

    #[test]
    fn a_scalar_is_these_bytes() {
        let mut events = Events::default();
        let start = events.0.len();
        events.scalar("a", 300, 1.5, 0.25);
        let data = &events.0[start + 12..events.0.len() - 4];
        let mut expected = vec![0x09];
        expected.extend(1.5f64.to_le_bytes());
        expected.extend([0x10, 0xac, 0x02, 0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15]);
        expected.extend(0.25f32.to_le_bytes());
        assert_eq!(data, expected);
    }

    #[test]
    fn bins_between_quantiles_hold_what_lies_between_them() {
        let find = |quantiles: [f64; 4]| {
            let mut events = Events(Vec::new());
            events.between_quantiles("q", 3, 2.5, (&[0.1, 0.25, 0.5, 0.9], &quantiles), 40.0);
            events.0
        };
        let packed = |field: u8, values: &[f64]| {
            let mut bytes = vec![field << 3 | 2, 8 * values.len() as u8];
            values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
            bytes
        };
        let has = |events: &[u8], bytes: &[u8]| events.windows(bytes.len()).any(|w| w == bytes);
        let spread = find([-4.0, -3.0, -2.0, 1.0]);
        assert!(has(&spread, &packed(6, &[-3.0, -2.0, 1.0])));
        assert!(has(&spread, &packed(7, &[6.0, 10.0, 16.0])));
        // What is one value is one bin, and what is one value at an end is in the bin beside it.
        let one = find([-3.0; 4]);
        assert!(has(&one, &packed(6, &[-3.0])) && has(&one, &packed(7, &[32.0])));
        let low = find([-4.0, -4.0, -2.0, 1.0]);
        assert!(has(&low, &packed(6, &[-2.0, 1.0])) && has(&low, &packed(7, &[16.0, 16.0])));
        let high = find([-4.0, -3.0, 1.0, 1.0]);
        assert!(has(&high, &packed(6, &[-3.0, 1.0])) && has(&high, &packed(7, &[6.0, 26.0])));
        assert!(find([f64::NEG_INFINITY, -3.0, -2.0, 1.0]).is_empty());
    }

    /// The bytes of `testdata/generate/lab_events.py`, which TensorBoard's own classes wrote.
    #[test]
    fn events_are_those_of_tensorboard() {
        let mut events = Events(Vec::new());
        events.scalar("a", 300, 1.5, 0.25);
        events.histogram("h", 7, 0.5, &[1.0, 1.0, f64::INFINITY, 4.0]);
        events.session(1, 2.0, "g", &[("lr", Setting::Number(0.01))]);
        let golden = include_str!("../../../../../testdata/tensorboard.hex").trim();
        let hex: String = events.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
    }
}
