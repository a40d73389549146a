//! Checkpoints: strict, versioned, atomic.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::differences::{Limit, Settings, changed_once, compare, hypers, resume};
use super::entries::{Entries, fail};
use super::fit::size;
use super::group::assign;
use super::precision::Precision;
use super::settle::has_own_scalars;
use super::{LossScale, Optimizer, State};
use crate::chain::Chain;
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::engine::codec::Packing;
use crate::error::Error;
use crate::hyper::Hyper;
use crate::schedule::Schedule;

/// The format's version; raised when an older reader would misunderstand a newer file.
const VERSION: u32 = 3;
/// Where in the safetensors metadata the header stands.
const HEADER: &str = "thalweg";

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    steps: u64,
    refused_in_a_row: u64,
    /// Since version 2, as all that has a default.
    #[serde(default)]
    precision: Precision,
    #[serde(default)]
    accumulated: f64,
    #[serde(default)]
    loss_scale: Option<LossScale>,
    /// Unknown of files that are older.
    #[serde(default)]
    settings: Option<Settings>,
    groups: Vec<GroupHeader>,
    params: Vec<ParamHeader>,
}

impl Header {
    /// Whether its numbers can be those of an optimizer: a later step relies on them.
    fn check(&self) -> Result<(), Error> {
        // A formula sees counts as `f64`, and one more must be another number.
        const MOST: u64 = 1 << 53;
        let calm = self.loss_scale.as_ref().map_or(0, LossScale::calm);
        let all =
            [("steps", self.steps), ("refused_in_a_row", self.refused_in_a_row), ("calm", calm)];
        let own = self.params.iter().map(|p| ("t", p.t));
        if let Some((name, n)) = all.into_iter().chain(own).find(|(_, n)| *n >= MOST) {
            return Err(fail(format!("{name} = {n} is no count of steps; it must be below 2^53")));
        }
        if !(self.accumulated >= 0.0 && self.accumulated.is_finite()) {
            return Err(fail(format!("accumulated = {} is outside [0, ∞)", self.accumulated)));
        }
        match self.loss_scale.as_ref().and_then(LossScale::wrong) {
            Some((name, value, range)) => Err(fail(format!("{name} = {value} is outside {range}"))),
            None => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct GroupHeader {
    name: String,
    pub(super) hypers: Vec<(String, Schedule)>,
    slots: Vec<String>,
    /// What the chain is made of; unknown of files that are older.
    #[serde(default)]
    formula: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ParamHeader {
    name: String,
    group: String,
    shape: Vec<usize>,
    t: u64,
    frozen: bool,
    /// The parameter's format, if it is not the optimizer's number type.
    #[serde(default)]
    format: Option<String>,
    /// Whether the format is not known yet, the state being an import.
    #[serde(default, rename = "unmet", skip_serializing_if = "std::ops::Not::not")]
    format_unknown: bool,
    /// Whether gradients are accumulated for it.
    #[serde(default)]
    summed: bool,
}

/// What [`Optimizer::load`] did.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it says which hyper-parameters differ"]
pub struct Loaded {
    /// Parameters whose state was restored.
    pub params: usize,
    /// Formulas, hyper-parameters, settings of the optimizer and frozen parameters that differ from the
    /// saved ones, as `group.name: saved … , here … ` sentences. The ones here stay in force.
    pub differences: Vec<String>,
}

impl<E: Element> Optimizer<E> {
    /// The whole state as bytes of a safetensors file: `parameter/slot` tensors in the format they
    /// are kept in (8-bit codes as `U8` with `parameter/slot@scale`), scalars in `F64` as
    /// `parameter/@block.scalar` or `@group/@block.scalar`, and a JSON header. Blocks are numbered from 0
    /// in the order of the chain, however it is grouped into tuples.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a value cannot be written in the format.
    pub fn save_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![];
        for state in &self.states {
            for (k, slot) in self.slot_names(state.group, state.value).iter().enumerate() {
                let name = format!("{}/{slot}", state.name);
                let dtype = dtype::<E>(state.slots.packing(k));
                tensors.push((name, dtype, state.shape.clone(), bytes_of(&state.slots, k)));
                let scales = state.slots.scales(k);
                if !scales.is_empty() {
                    let bytes = scales.iter().flat_map(|v| v.to_le_bytes()).collect();
                    let name = format!("{}/{slot}@scale", state.name);
                    tensors.push((name, Dtype::F32, vec![scales.len()], bytes));
                }
            }
            if let Some(sum) = state.sum.as_ref().filter(|_| state.summed) {
                let name = format!("{}/@sum", state.name);
                tensors.push((name, dtype::<E>(None), state.shape.clone(), bytes_of(sum, 0)));
            }
        }
        self.each_scalar(&mut |name, value| {
            tensors.push((name, Dtype::F64, vec![], value.to_le_bytes().to_vec()));
        });
        let header = serde_json::to_string(&self.header()).map_err(|e| fail(e.to_string()))?;
        let views: Vec<(&String, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
            })
            .collect::<Result<_, _>>()
            .map_err(|e| fail(e.to_string()))?;
        let metadata = HashMap::from([(HEADER.to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))
    }

    /// Saves to a file: written beside it, flushed to the disk, then renamed over it, so that a
    /// crash leaves either the old file or the new one.
    ///
    /// # Errors
    /// [`Error::Io`] with the path, [`Error::Checkpoint`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let bytes = self.save_bytes()?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { action, path, source }
        };
        let written = File::create(&beside)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
        let renamed = written
            .map_err(io("writing", &beside))
            .and_then(|()| std::fs::rename(&beside, path).map_err(io("renaming to", path)));
        if let Err(error) = renamed {
            // The failure that matters is the first one.
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // The rename itself lasts only once its directory is on the disk. Not all systems can.
        File::open(folder)
            .and_then(|d| d.sync_all())
            .or_else(|e| if cfg!(unix) { Err(io("flushing", folder)(e)) } else { Ok(()) })
    }

    /// Restores what [`save_bytes`](Self::save_bytes) wrote. The groups must be the same (names,
    /// slots); how their chains are grouped into tuples does not matter. The hyper-parameters may differ,
    /// which is reported, but for those that are read [once](crate::HyperSpec::once). A parameter that the
    /// file does not have starts anew when it is met: see
    /// [`StepReport::first_met`](super::StepReport::first_met) and [`unmet`](Self::unmet).
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if anything is missing, superfluous, of another shape or number type,
    /// or of a newer version, if a hyper-parameter that is read once has another value here, or if what a
    /// plateau had reached leads out of the range here; then the optimizer is unchanged.
    pub fn load_bytes(&mut self, bytes: &[u8]) -> Result<Loaded, Error> {
        let header = read_header(bytes)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| fail(e.to_string()))?;
        let mut entries = Entries::new(&tensors);
        if header.precision != self.precision {
            let (then, now) = (&header.precision, &self.precision);
            return Err(fail(format!("was saved with {then:?}, but here it is {now:?}")));
        }
        if header.loss_scale.is_some() != self.loss_scale.is_some() {
            let with = if header.loss_scale.is_some() { "with" } else { "without" };
            return Err(fail(format!("was saved {with} a loss scale, other than here")));
        }
        let (chains, mut differences) = self.match_groups(&header)?;
        let mut max_norm = self.max_norm.clone();
        let saved = header.settings.as_ref();
        if let Some(Limit::Schedule(then)) = saved.and_then(|s| s.max_norm.as_ref()) {
            max_norm.resume(then);
        }
        // A plateau goes on from numbers of the file, which may be any.
        max_norm.check().map_err(|e| fail(e.to_string()))?;
        differences.extend(self.settings(&max_norm).compare(saved));
        let (mut states, mut index) = (vec![], HashMap::new());
        for param in &header.params {
            if index.insert(param.name.clone(), states.len()).is_some() {
                return Err(fail(format!("lists parameter {:?} twice", param.name)));
            }
            let state = self.restore(param, header.version, &mut entries)?;
            differences.extend(frozen_otherwise(param, &state));
            states.push(state);
        }
        let mut group_scalars = vec![];
        for group in &self.groups {
            let mut values: Vec<Vec<f64>> =
                group.chain.stages().iter().map(|s| s.first_scalars()).collect();
            let first_blocks = group.chain.first_blocks();
            for (k, stage) in group.chain.stages().iter().enumerate() {
                if stage.scope().is_of_group() {
                    let block = first_blocks[k];
                    for (value, scalar) in values[k].iter_mut().zip(stage.scalars()) {
                        let name = format!("@{}/@{block}.{}", group.name, scalar.name);
                        *value = entries.scalar(name)?;
                    }
                }
            }
            group_scalars.push(values);
        }
        entries.all_used()?;
        for ((group, values), chain) in self.groups.iter_mut().zip(group_scalars).zip(chains) {
            group.scalars = values;
            group.chain = chain;
        }
        self.max_norm = max_norm;
        self.steps = header.steps;
        self.refused_in_a_row = header.refused_in_a_row;
        self.accumulated = header.accumulated;
        if let (Some(here), Some(saved)) = (&mut self.loss_scale, &header.loss_scale) {
            differences.extend(here.differences(saved));
            here.resume(saved);
        }
        self.index = index;
        self.states = states;
        self.cast.clear();
        Ok(Loaded { params: header.params.len(), differences })
    }

    /// The chains with their plateaus where the saved ones were, and what differs.
    fn match_groups(&self, header: &Header) -> Result<(Vec<Chain>, Vec<String>), Error> {
        let (mut chains, mut differences) = (vec![], vec![]);
        for group in &self.groups {
            let saved = header.groups.iter().find(|g| g.name == group.name);
            let saved = saved.ok_or_else(|| fail(format!("has no group {:?}", group.name)))?;
            if saved.slots != group.chain.slots() {
                let (now, then) = (group.chain.slots(), &saved.slots);
                let name = &group.name;
                return Err(fail(format!(
                    "group {name:?} remembers {then:?}, but the chain here remembers {now:?}"
                )));
            }
            let mut chain = group.chain.clone();
            if let Some(what) = changed_once(saved, &chain) {
                return Err(fail(format!("group {:?}: {what}", group.name)));
            }
            resume(&mut chain, saved);
            chain.check().map_err(|e| fail(format!("group {:?}: {e}", group.name)))?;
            let now = formula(&chain);
            if let Some(then) = saved.formula.as_ref().filter(|then| **then != now) {
                let name = &group.name;
                differences.push(format!(
                    "{name}: saved by `{then}`, here `{now}`, which goes on with the same slots"
                ));
            }
            differences.extend(compare(&group.name, saved, &chain));
            chains.push(chain);
        }
        let known = |g: &GroupHeader| self.groups.iter().any(|h| h.name == g.name);
        match header.groups.iter().find(|g| !known(g)) {
            Some(extra) => Err(fail(format!("has a group {:?} that is not here", extra.name))),
            None => Ok((chains, differences)),
        }
    }

    /// [`load_bytes`](Self::load_bytes) from a file.
    ///
    /// # Errors
    /// [`Error::Io`] with the path, and those of `load_bytes`.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<Loaded, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            action: "reading",
            path: path.to_owned(),
            source,
        })?;
        self.load_bytes(&bytes)
    }

    fn settings(&self, max_norm: &Hyper) -> Settings {
        Settings {
            max_norm: Limit::of(max_norm),
            accumulation: self.accumulation,
            non_finite: self.non_finite,
        }
    }

    fn header(&self) -> Header {
        Header {
            version: VERSION,
            steps: self.steps,
            refused_in_a_row: self.refused_in_a_row,
            precision: self.precision,
            accumulated: self.accumulated,
            loss_scale: self.loss_scale.clone(),
            settings: Some(self.settings(&self.max_norm)),
            groups: self
                .groups
                .iter()
                .map(|g| GroupHeader {
                    name: g.name.clone(),
                    hypers: hypers(&g.chain),
                    slots: g.chain.slots(),
                    formula: Some(formula(&g.chain)),
                })
                .collect(),
            params: self
                .states
                .iter()
                .map(|s| ParamHeader {
                    name: s.name.clone(),
                    group: self.groups[s.group].name.clone(),
                    shape: s.shape.clone(),
                    t: s.t,
                    frozen: s.frozen,
                    format: s.value.map(|packing| packing.name().to_owned()),
                    format_unknown: s.format_unknown,
                    summed: s.summed,
                })
                .collect(),
        }
    }

    fn each_scalar(&self, see: &mut dyn FnMut(String, f64)) {
        let blocks: Vec<Vec<usize>> = self.groups.iter().map(|g| g.chain.first_blocks()).collect();
        for state in &self.states {
            for (k, stage) in self.groups[state.group].chain.stages().iter().enumerate() {
                if has_own_scalars(stage.as_ref()) {
                    let block = blocks[state.group][k];
                    for (scalar, value) in stage.scalars().iter().zip(&state.scalars[k]) {
                        see(format!("{}/@{block}.{}", state.name, scalar.name), *value);
                    }
                }
            }
        }
        for (group, blocks) in self.groups.iter().zip(&blocks) {
            for (k, stage) in group.chain.stages().iter().enumerate() {
                if stage.scope().is_of_group() {
                    let block = blocks[k];
                    for (scalar, value) in stage.scalars().iter().zip(&group.scalars[k]) {
                        see(format!("@{}/@{block}.{}", group.name, scalar.name), *value);
                    }
                }
            }
        }
    }

    /// The state of one parameter from the file.
    fn restore(
        &self,
        param: &ParamHeader,
        version: u32,
        entries: &mut Entries<'_>,
    ) -> Result<State<E>, Error> {
        let group =
            assign(&self.groups, &param.name, &param.shape).map_err(|e| fail(e.to_string()))?;
        let here = &self.groups[group].name;
        if *here != param.group {
            let (name, saved) = (&param.name, &param.group);
            return Err(fail(format!("{name:?} is of group {saved:?}, but of {here:?} here")));
        }
        let len = size(&param.shape);
        let too_large =
            || fail(format!("{:?}: the shape {:?} is too large", param.name, param.shape));
        let len = len.filter(|n| *n <= isize::MAX as usize).ok_or_else(too_large)?;
        let chain = &self.groups[group].chain;
        let value = match &param.format {
            None => None,
            Some(name) => Some(Packing::named(name).ok_or_else(|| {
                fail(format!("{:?} is of a format {name:?} that is not known here", param.name))
            })?),
        };
        let storage = self.groups[group].storage;
        let formats = self.precision.formats(storage, &chain.slot_list(), len, value);
        // All are looked up before memory is taken: the shape in the header may be nonsense.
        let (mut values, mut scales) = (vec![], vec![]);
        for (slot, format) in self.slot_names(group, value).iter().zip(&formats) {
            let name = format!("{}/{slot}", param.name);
            values.push(entries.get(name, dtype::<E>(*format), &param.shape)?);
            let scaled = format.is_some_and(Packing::scaled) && len > 0;
            scales.push(if scaled {
                let blocks = [len.div_ceil(crate::engine::kernel::BLOCK)];
                entries.get(format!("{}/{slot}@scale", param.name), Dtype::F32, &blocks)?
            } else {
                &[]
            });
        }
        let summed = if param.summed {
            Some(entries.get(format!("{}/@sum", param.name), dtype::<E>(None), &param.shape)?)
        } else {
            None
        };
        let mut slots = Slots::new(&formats, len);
        for (k, (values, scales)) in values.into_iter().zip(scales).enumerate() {
            if version < 3 && formats[k] == Some(Packing::F16Rest) {
                // What was cut off of an f16 number was written as it is.
                let mut old = Slots::<E>::new(&[Some(Packing::F16)], len);
                set_bytes(&mut old, 0, values);
                slots.set(k, self.isa, &old.values(0, self.isa));
                continue;
            }
            set_bytes(&mut slots, k, values);
            let (scales, _) = scales.as_chunks();
            for (scale, bytes) in slots.scales_mut(k).iter_mut().zip(scales) {
                *scale = f32::from_le_bytes(*bytes);
            }
        }
        let sum = summed.map(|bytes| {
            let mut sum = Slots::new(&[None], len);
            set_bytes(&mut sum, 0, bytes);
            sum
        });
        let mut scalars: Vec<Vec<f64>> = vec![];
        if chain.stages().iter().any(|s| has_own_scalars(s.as_ref())) {
            for (stage, block) in chain.stages().iter().zip(chain.first_blocks()) {
                let mut values = stage.first_scalars();
                if has_own_scalars(stage.as_ref()) {
                    for (value, scalar) in values.iter_mut().zip(stage.scalars()) {
                        let name = format!("{}/@{block}.{}", param.name, scalar.name);
                        *value = entries.scalar(name)?;
                    }
                }
                scalars.push(values);
            }
        }
        Ok(State {
            name: param.name.clone(),
            shape: param.shape.clone(),
            len,
            group,
            t: param.t,
            frozen: self.asked_frozen(&param.name, &param.shape).unwrap_or(param.frozen),
            value,
            format_unknown: param.format_unknown,
            unmet: true,
            slots,
            sum,
            summed: param.summed,
            scalars,
        })
    }
}

/// What there is to say if patterns given here count more than the flag of a file.
fn frozen_otherwise<E>(saved: &ParamHeader, state: &State<E>) -> Option<String> {
    let word = |frozen: bool| if frozen { "frozen" } else { "not frozen" };
    let (then, now) = (word(saved.frozen), word(state.frozen));
    (then != now).then(|| format!("{}: saved {then}, here {now}", saved.name))
}

fn read_header(bytes: &[u8]) -> Result<Header, Error> {
    let (_, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|e| fail(format!("not readable: {e}")))?;
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|m| m.get(HEADER))
        .ok_or_else(|| fail("has no thalweg header; was it written by something else?"))?;
    let unreadable = |e: serde_json::Error| fail(format!("header: {e}"));
    let Version { version } = serde_json::from_str(header).map_err(unreadable)?;
    if version > VERSION {
        return Err(fail(format!("is of version {version}; this library reads up to {VERSION}")));
    }
    let header: Header = serde_json::from_str(header).map_err(unreadable)?;
    header.check()?;
    Ok(header)
}

/// The one thing every version of the header has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The building blocks of a chain by name: rules, and what completes them.
fn formula(chain: &Chain) -> String {
    fn list(blocks: &[crate::hyper::Block]) -> String {
        let one = |block: &crate::hyper::Block| {
            let parts: Vec<_> = block.parts.iter().map(|(_, part)| part.clone()).collect();
            match parts[..] {
                [] => block.name().to_owned(),
                _ => format!("{}<{}>", block.name(), list(&parts)),
            }
        };
        blocks.iter().map(one).collect::<Vec<_>>().join(", ")
    }
    list(&crate::hyper::Hypers::blocks(chain))
}

pub(super) fn dtype<E: Element>(packing: Option<Packing>) -> Dtype {
    match packing {
        None if E::DTYPE == "F64" => Dtype::F64,
        None => Dtype::F32,
        Some(Packing::Bf16) => Dtype::BF16,
        Some(Packing::F16 | Packing::F16Rest) => Dtype::F16,
        Some(Packing::Signed | Packing::Unsigned) => Dtype::U8,
    }
}

/// The bytes of a slot, least significant first.
fn bytes_of<E: Element>(slots: &Slots<E>, k: usize) -> Vec<u8> {
    let Some(values) = slots.slot(k) else { return slots.raw(k).to_vec() };
    let mut bytes = vec![];
    values.iter().for_each(|v| v.to_bytes(&mut bytes));
    bytes
}

/// Sets a slot to what [`bytes_of`] gave.
fn set_bytes<E: Element>(slots: &mut Slots<E>, k: usize, bytes: &[u8]) {
    match slots.slot_mut(k) {
        Some(slot) => slot.copy_from_slice(&E::from_bytes(bytes)),
        None => slots.raw_mut(k).copy_from_slice(bytes),
    }
}
