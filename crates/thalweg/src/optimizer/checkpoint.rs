//! Checkpoints: strict, versioned, atomic.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::group::assign;
use super::step::has_own_scalars;
use super::{Optimizer, State};
use crate::chain::Chain;
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::error::Error;
use crate::hyper::Hypers;
use crate::part::Scope;
use crate::schedule::Schedule;

/// The format's version; raised when an older reader would misunderstand a newer file.
const VERSION: u32 = 1;
/// Where in the safetensors metadata the header stands.
const HEADER: &str = "thalweg";

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    steps: u64,
    refused_in_a_row: u64,
    groups: Vec<GroupHeader>,
    params: Vec<ParamHeader>,
}

#[derive(Serialize, Deserialize)]
struct GroupHeader {
    name: String,
    hypers: Vec<(String, Schedule)>,
    slots: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct ParamHeader {
    name: String,
    group: String,
    shape: Vec<usize>,
    t: u64,
    frozen: bool,
}

/// What [`Optimizer::load`] did.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it says which hyper-parameters differ"]
pub struct Loaded {
    /// Parameters whose state was restored.
    pub params: usize,
    /// Hyper-parameters that differ from the saved ones, as
    /// `group.name: saved … , here … ` sentences. The ones here stay in force.
    pub differences: Vec<String>,
}

impl<E: Element> Optimizer<E> {
    /// The whole state as bytes of a safetensors file: `parameter/slot` tensors, scalars in `F64`
    /// as `parameter/@stage.scalar` or `@group/@stage.scalar`, and a JSON header.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a value cannot be written in the format.
    pub fn save_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![];
        for state in &self.states {
            for (k, slot) in self.groups[state.group].chain.slots().iter().enumerate() {
                let mut bytes = vec![];
                state.slots.slot(k).iter().for_each(|v| v.to_bytes(&mut bytes));
                let name = format!("{}/{slot}", state.name);
                tensors.push((name, dtype::<E>(), state.shape.clone(), bytes));
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
    /// slots); the hyper-parameters may differ, which is reported.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if anything is missing, superfluous, of another shape or number type,
    /// or of a newer version; then the optimizer is unchanged.
    pub fn load_bytes(&mut self, bytes: &[u8]) -> Result<Loaded, Error> {
        let header = read_header(bytes)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| fail(e.to_string()))?;
        let mut entries = Entries { tensors: &tensors, used: HashSet::new() };
        let (chains, differences) = self.match_groups(&header)?;
        let (mut states, mut index) = (vec![], HashMap::new());
        for param in &header.params {
            if index.insert(param.name.clone(), states.len()).is_some() {
                return Err(fail(format!("lists parameter {:?} twice", param.name)));
            }
            states.push(self.restore(param, &mut entries)?);
        }
        let mut group_scalars = vec![];
        for group in &self.groups {
            let mut values: Vec<Vec<f64>> =
                group.chain.stages().iter().map(|s| s.first_scalars()).collect();
            for (k, stage) in group.chain.stages().iter().enumerate() {
                if stage.scope() == Scope::Group {
                    for (value, scalar) in values[k].iter_mut().zip(stage.scalars()) {
                        *value = entries.scalar(format!("@{}/@{k}.{}", group.name, scalar.name))?;
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
        self.steps = header.steps;
        self.refused_in_a_row = header.refused_in_a_row;
        self.index = index;
        self.states = states;
        self.order.clear();
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
            resume(&mut chain, saved);
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

    fn header(&self) -> Header {
        Header {
            version: VERSION,
            steps: self.steps,
            refused_in_a_row: self.refused_in_a_row,
            groups: self
                .groups
                .iter()
                .map(|g| GroupHeader {
                    name: g.name.clone(),
                    hypers: hypers(&g.chain),
                    slots: g.chain.slots(),
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
                })
                .collect(),
        }
    }

    fn each_scalar(&self, see: &mut dyn FnMut(String, f64)) {
        for state in &self.states {
            for (k, stage) in self.groups[state.group].chain.stages().iter().enumerate() {
                if has_own_scalars(stage.as_ref()) {
                    for (scalar, value) in stage.scalars().iter().zip(&state.scalars[k]) {
                        see(format!("{}/@{k}.{}", state.name, scalar.name), *value);
                    }
                }
            }
        }
        for group in &self.groups {
            for (k, stage) in group.chain.stages().iter().enumerate() {
                if stage.scope() == Scope::Group {
                    for (scalar, value) in stage.scalars().iter().zip(&group.scalars[k]) {
                        see(format!("@{}/@{k}.{}", group.name, scalar.name), *value);
                    }
                }
            }
        }
    }

    /// The state of one parameter from the file.
    fn restore(&self, param: &ParamHeader, entries: &mut Entries<'_>) -> Result<State<E>, Error> {
        let group =
            assign(&self.groups, &param.name, &param.shape).map_err(|e| fail(e.to_string()))?;
        let here = &self.groups[group].name;
        if *here != param.group {
            let (name, saved) = (&param.name, &param.group);
            return Err(fail(format!("{name:?} is of group {saved:?}, but of {here:?} here")));
        }
        let len = param.shape.iter().try_fold(1usize, |n, k| n.checked_mul(*k));
        let too_large =
            || fail(format!("{:?}: the shape {:?} is too large", param.name, param.shape));
        let len = len.filter(|n| *n <= isize::MAX as usize).ok_or_else(too_large)?;
        let chain = &self.groups[group].chain;
        // All are looked up before memory is taken: the shape in the header may be nonsense.
        let values: Vec<&[u8]> = chain
            .slots()
            .iter()
            .map(|slot| entries.get(format!("{}/{slot}", param.name), dtype::<E>(), &param.shape))
            .collect::<Result<_, _>>()?;
        let mut slots = Slots::new(values.len(), len);
        for (slot, bytes) in slots.each_mut().into_iter().zip(values) {
            slot.copy_from_slice(&E::from_bytes(bytes));
        }
        let mut scalars: Vec<Vec<f64>> = vec![];
        if chain.stages().iter().any(|s| has_own_scalars(s.as_ref())) {
            for (k, stage) in chain.stages().iter().enumerate() {
                let mut values = stage.first_scalars();
                if has_own_scalars(stage.as_ref()) {
                    for (value, scalar) in values.iter_mut().zip(stage.scalars()) {
                        *value = entries.scalar(format!("{}/@{k}.{}", param.name, scalar.name))?;
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
            frozen: param.frozen,
            slots,
            scalars,
        })
    }
}

fn fail(what: impl Into<String>) -> Error {
    Error::Checkpoint(what.into())
}

/// The tensors of a file, each to be asked for once.
struct Entries<'a> {
    tensors: &'a SafeTensors<'a>,
    used: HashSet<String>,
}

impl<'a> Entries<'a> {
    /// The bytes of a tensor that must be there, of this type and shape.
    fn get(&mut self, name: String, want: Dtype, wanted: &[usize]) -> Result<&'a [u8], Error> {
        let tensor =
            self.tensors.tensor(&name).map_err(|_| fail(format!("lacks the tensor {name:?}")))?;
        if tensor.dtype() != want || tensor.shape() != wanted {
            let (is, shape) = (tensor.dtype(), tensor.shape());
            return Err(fail(format!("{name:?} is {is:?} {shape:?}, not {want:?} {wanted:?}")));
        }
        self.used.insert(name);
        Ok(tensor.data())
    }

    fn scalar(&mut self, name: String) -> Result<f64, Error> {
        let bytes = self.get(name, Dtype::F64, &[])?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    fn all_used(&self) -> Result<(), Error> {
        let mut extra: Vec<&str> = self.tensors.names();
        extra.retain(|name| !self.used.contains(*name));
        extra.sort_unstable();
        match extra.first() {
            None => Ok(()),
            Some(first) => Err(fail(format!(
                "holds tensors that belong to no parameter or slot here: {first:?} and {} more",
                extra.len() - 1
            ))),
        }
    }
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
    serde_json::from_str(header).map_err(unreadable)
}

/// The one thing every version of the header has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

pub(super) fn dtype<E: Element>() -> Dtype {
    if E::DTYPE == "F64" { Dtype::F64 } else { Dtype::F32 }
}

fn hypers(chain: &impl Hypers) -> Vec<(String, Schedule)> {
    let mut all = vec![];
    chain.each(&mut |h| all.push((h.spec().name.to_owned(), h.schedule().clone())));
    all
}

/// The place of each name among its equals: the second `eps` is `("eps", 1)`.
fn labels<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut labels: Vec<(&str, usize)> = vec![];
    for name in names {
        let before = labels.iter().filter(|l| l.0 == name).count();
        labels.push((name, before));
    }
    labels
}

/// The saved hyper-parameter with this label.
fn saved_as<'a>(saved: &'a GroupHeader, label: (&str, usize)) -> Option<&'a Schedule> {
    let mut equals = saved.hypers.iter().filter(|(name, _)| name == label.0);
    equals.nth(label.1).map(|(_, schedule)| schedule)
}

/// Lets plateau schedules go on where the saved ones were.
fn resume(chain: &mut Chain, saved: &GroupHeader) {
    let names: Vec<&'static str> = chain.hypers().iter().map(|h| h.spec().name).collect();
    let mut labels = labels(names.iter().copied()).into_iter();
    chain.each_mut(&mut |hyper| {
        if let Some(then) = labels.next().and_then(|label| saved_as(saved, label)) {
            hyper.resume(then);
        }
    });
}

fn compare(group: &str, saved: &GroupHeader, chain: &Chain) -> Vec<String> {
    let mut differences = vec![];
    let here = hypers(chain);
    let here_labels = labels(here.iter().map(|(name, _)| name.as_str()));
    for (label, (name, now)) in here_labels.iter().zip(&here) {
        match saved_as(saved, *label) {
            Some(then) if then == now => {}
            Some(then) => {
                let (then, now) = (show(then), show(now));
                differences.push(format!("{group}.{name}: saved {then}, here {now}"));
            }
            None => differences.push(format!("{group}.{name}: not saved, here {}", show(now))),
        }
    }
    let saved_labels = labels(saved.hypers.iter().map(|(name, _)| name.as_str()));
    for (label, (name, then)) in saved_labels.iter().zip(&saved.hypers) {
        if !here_labels.contains(label) {
            differences.push(format!("{group}.{name}: saved {}, not here", show(then)));
        }
    }
    differences
}

fn show(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Constant(value) => value.to_string(),
        other => format!("{other:?}"),
    }
}
