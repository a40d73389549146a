//! The file of runs: SQLite in write-ahead mode, one comparison per file.
//!
//! A run is written in one transaction when it ends, so ending the process at any moment loses the runs
//! in hand and nothing else.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, params};
use serde::de::DeserializeOwned;

use super::number::Number;
use crate::diagnosis::{Finding, Probe};
use crate::protocol::{Archive, Divergence, Job, Point, Record, Run};
use crate::tasks::Measurement;
use crate::{Error, Result, files};

/// The name of the file within a directory of results.
pub const FILE: &str = "runs.sqlite";

/// The version of the tables, kept in SQLite's `user_version`.
const LAYOUT: i64 = 2;

/// The key of the plan, line by line.
pub(super) const PLAN: &str = "plan";

/// Facts about a comparison, key and value: what decides its results, and what does not.
pub type Facts = Vec<(String, String)>;

/// An open file of runs.
pub struct Database {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Held while the file may be written; the system releases it however the process ends.
    _lock: Option<File>,
}

impl Database {
    /// Opens the runs in `directory` for a comparison that is decided by `facts`, or starts them.
    ///
    /// # Errors
    /// If another process works there, if the file holds a comparison decided by other facts, or if it
    /// cannot be read or written.
    pub fn open(directory: &Path, facts: &Facts) -> Result<Self> {
        let lock = lock(directory)?;
        let path = directory.join(FILE);
        let mut connection = Connection::open(&path).map_err(|e| broken(&path, &e))?;
        prepare(&mut connection, facts).map_err(|e| broken(&path, &e))?;
        let database = Database { connection: Mutex::new(connection), path, _lock: Some(lock) };
        database.check_layout()?;
        database.check_facts(facts)?;
        Ok(database)
    }

    /// Opens the runs in `directory`, or a file of runs itself, to read them.
    ///
    /// # Errors
    /// If there are none.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = if directory.is_dir() { directory.join(FILE) } else { directory.to_path_buf() };
        if !path.is_file() {
            return Err(Error::usage(
                format!("there are no results at {}", path.display()),
                "give the --out directory of an earlier `thalweg compare`",
            ));
        }
        // A file in write-ahead mode needs its side files even to be read.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&path, flags).map_err(|e| broken(&path, &e))?;
        let mut database = Database { connection: Mutex::new(connection), path, _lock: None };
        if !may_write(&database.path) {
            database.connection = Mutex::new(unchanging(&database.path)?);
        }
        database.check_layout()?;
        Ok(database)
    }

    /// Removes the runs in `directory`, if there are any.
    ///
    /// # Errors
    /// If another process works there, or they cannot be removed.
    pub fn remove(directory: &Path) -> Result<()> {
        if !directory.join(FILE).exists() {
            return Ok(());
        }
        let _lock = lock(directory)?;
        for suffix in ["", "-wal", "-shm"] {
            let path = directory.join(format!("{FILE}{suffix}"));
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(
                        format!("cannot remove {}: {e}", path.display()),
                        "remove it yourself, or give another --out directory",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_layout(&self) -> Result<()> {
        let version: i64 =
            self.sql(|db| db.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        if version == LAYOUT {
            return Ok(());
        }
        if version == 0 {
            return Err(Error::usage(
                format!("{} is no file of runs that `thalweg compare` wrote", self.path.display()),
                "give the --out directory of an earlier `thalweg compare`",
            ));
        }
        Err(Error::failed(
            format!("{} has layout {version}, this program reads {LAYOUT}", self.path.display()),
            "use the version of the program that wrote it, or give another --out directory",
        ))
    }

    fn check_facts(&self, facts: &Facts) -> Result<()> {
        for (key, wanted) in facts {
            let held = self.fact(key)?.unwrap_or_default();
            if held != *wanted && !(key == PLAN && same_lines(&held, wanted)) {
                let difference = match (lacking(&held, wanted), lacking(wanted, &held)) {
                    (Some(held), Some(wanted)) => {
                        format!("its {key} is `{held}`, now it is `{wanted}`")
                    }
                    (Some(held), None) => {
                        format!("its {key} has `{held}`, which is not asked for now")
                    }
                    (None, Some(wanted)) => {
                        format!("its {key} has no `{wanted}`, which is asked for now")
                    }
                    (None, None) => format!("its {key} has the same lines in another order"),
                };
                return Err(Error::usage(
                    format!("{} holds another comparison: {difference}", self.path.display()),
                    "give another --out directory, or --fresh to throw the old runs away",
                ));
            }
        }
        Ok(())
    }

    /// The value of a fact.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn fact(&self, key: &str) -> Result<Option<String>> {
        self.sql(|db| {
            let mut statement = db.prepare_cached("SELECT value FROM manifest WHERE key = ?1")?;
            statement.query_row([key], |row| row.get(0)).optional()
        })
    }

    /// All facts, by key.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn facts(&self) -> Result<Facts> {
        self.sql(|db| {
            let mut statement = db.prepare("SELECT key, value FROM manifest ORDER BY key")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Notes a fact that does not decide results, such as the command line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note(&self, key: &str, value: &str) -> Result<()> {
        self.sql(|db| {
            db.execute("INSERT OR REPLACE INTO manifest VALUES (?1, ?2)", [key, value]).map(drop)
        })
    }

    /// Does something with the connection, and names the file if that fails.
    pub(super) fn sql<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|e| broken(&self.path, &e))
    }
}

impl Archive for Database {
    fn find(&self, job: &Job) -> Result<Option<Run>> {
        let found = self.sql(|db| find(db, job))?;
        let Some((hypers, budget, run)) = found else { return Ok(None) };
        let same = hypers.len() == job.spec.hypers.len()
            && hypers
                .iter()
                .zip(&job.spec.hypers)
                .all(|(held, wanted)| held.0 == wanted.0 && held.1.to_bits() == wanted.1.to_bits());
        if same && budget == job.spec.budget {
            return Ok(Some(run));
        }
        Err(Error::failed(
            format!(
                "{}: trial {} of {} on {} was run with {hypers:?}, now it would be {:?}",
                self.path.display(),
                job.trial,
                job.spec.optimizer,
                job.spec.task.name,
                job.spec.hypers
            ),
            "start over with --fresh, and report this defect",
        ))
    }

    fn keep(&self, record: &Record) -> Result<()> {
        self.sql(|db| {
            let transaction = db.unchecked_transaction()?;
            keep(&transaction, record)?;
            transaction.commit()
        })
    }
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(".lock");
    let failed = |e: std::io::Error| {
        let problem = format!("cannot lock {}: {e}", path.display());
        Error::failed(problem, files::remedy(&e, "--out"))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::failed(
            format!("another `thalweg` is working in {}", directory.display()),
            "wait for it, or give another --out directory",
        )),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// Whether side files can be made beside the file of runs.
fn may_write(path: &Path) -> bool {
    let probe = path.with_extension("sqlite-write-test");
    let made = File::create(&probe).is_ok();
    // One that stays behind does no harm.
    let _ = std::fs::remove_file(probe);
    made
}

/// Opens a file of runs where nothing can be written: all of it must be in the file itself.
pub(super) fn unchanging(path: &Path) -> Result<Connection> {
    // SQLite adds to the whole name, whatever it ends with.
    let mut side = path.as_os_str().to_owned();
    side.push("-wal");
    if std::fs::metadata(side).is_ok_and(|file| file.len() > 0) {
        return Err(Error::failed(
            format!(
                "{} was left in the middle of its work, in a directory you may not write to",
                path.display()
            ),
            "copy the directory to a place where you may write, and give the copy",
        ));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let escaped: String = path
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '%' | '?' | '#' => format!("%{:02x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
        .map_err(|e| broken(path, &e))
}

/// Makes the tables and notes the facts, all or nothing, if the file is new.
fn prepare(db: &mut Connection, facts: &Facts) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    // After a loss of power the last runs may be missing; the file is never damaged.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        let transaction = db.transaction()?;
        transaction.execute_batch(include_str!("schema.sql"))?;
        for (key, value) in facts {
            transaction.execute("INSERT INTO manifest VALUES (?1, ?2)", [key, value])?;
        }
        transaction.pragma_update(None, "user_version", LAYOUT)?;
        transaction.commit()?;
    }
    Ok(())
}

type Found = (Vec<(String, f64)>, usize, Run);

fn find(db: &Connection, job: &Job) -> rusqlite::Result<Option<Found>> {
    let mut statement = db.prepare_cached(
        "SELECT r.id, r.trial, r.budget, r.gradients, r.gradient_seconds, r.optimizer_seconds,
                r.divergence_step, r.divergence_reason, r.best_point, r.test_loss, r.test_metric,
                r.stride
         FROM runs r JOIN trials t ON t.id = r.trial
         WHERE t.task = ?1 AND t.optimizer = ?2 AND t.number = ?3 AND r.phase = ?4 AND r.seed = ?5",
    )?;
    let spec = &job.spec;
    let key =
        params![spec.task.name, spec.optimizer, job.trial, job.phase.name(), spec.seed as i64];
    let found = statement.query_row(key, |row| {
        let step: Option<usize> = row.get(6)?;
        let test: Option<Number> = row.get(9)?;
        let metric: Option<Number> = row.get(10)?;
        let reason: Option<String> = row.get(7)?;
        let run = Run {
            spec: spec.clone(),
            points: Vec::new(),
            divergence: step.zip(reason).map(|(step, reason)| Divergence { step, reason }),
            best: None,
            test: test.map(|loss| Measurement { loss: loss.0, metric: metric.map(|m| m.0) }),
            gradient_seconds: row.get(4)?,
            optimizer_seconds: row.get(5)?,
            gradients: row.get(3)?,
            trajectory: Vec::new(),
            stride: row.get(11)?,
            probes: Vec::new(),
            findings: Vec::new(),
        };
        let best: Option<usize> = row.get(8)?;
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, usize>(2)?, best, run))
    });
    let Some((id, trial, budget, best, mut run)) = found.optional()? else { return Ok(None) };
    run.points = points(db, id)?;
    run.trajectory = trajectory(db, id)?;
    run.probes = probes(db, id)?;
    run.findings = findings(db, id)?;
    run.best = best.and_then(|i| run.points.get(i).copied());
    Ok(Some((hypers(db, trial)?, budget, run)))
}

/// The measurements of a run.
pub(super) fn points(db: &Connection, run: i64) -> rusqlite::Result<Vec<Point>> {
    let mut statement = db.prepare_cached(
        "SELECT step, seconds, train_loss, validation_loss, validation_metric FROM points
         WHERE run = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([run], |row| {
        let number = |i| row.get::<_, Option<Number>>(i).map(|n| n.map(|n| n.0));
        Ok(Point {
            step: row.get(0)?,
            seconds: row.get(1)?,
            train_loss: number(2)?,
            validation: Measurement { loss: row.get::<_, Number>(3)?.0, metric: number(4)? },
        })
    })?;
    rows.collect()
}

/// The positions of a run.
pub(super) fn trajectory(db: &Connection, run: i64) -> rusqlite::Result<Vec<[f64; 2]>> {
    let mut statement = db.prepare_cached("SELECT trajectory FROM runs WHERE id = ?1")?;
    let bytes: Option<Vec<u8>> = statement.query_row([run], |row| row.get(0))?;
    Ok(pairs(&bytes.unwrap_or_default()))
}

/// What the diagnosis looked at along a run.
pub(super) fn probes(db: &Connection, run: i64) -> rusqlite::Result<Vec<Probe>> {
    let mut statement =
        db.prepare_cached("SELECT probe FROM probes WHERE run = ?1 ORDER BY step")?;
    statement.query_map([run], from_json)?.collect()
}

/// What the diagnosis found in a run.
pub(super) fn findings(db: &Connection, run: i64) -> rusqlite::Result<Vec<Finding>> {
    let mut statement =
        db.prepare_cached("SELECT finding FROM findings WHERE run = ?1 ORDER BY position")?;
    statement.query_map([run], from_json)?.collect()
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>) -> rusqlite::Result<T> {
    let text: String = row.get(0)?;
    serde_json::from_str(&text).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
    })
}

/// The hyper-parameters of a trial.
pub(super) fn hypers(db: &Connection, trial: i64) -> rusqlite::Result<Vec<(String, f64)>> {
    let mut statement =
        db.prepare_cached("SELECT name, value FROM hypers WHERE trial = ?1 ORDER BY position")?;
    statement.query_map([trial], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn keep(db: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    let (run, spec, phase) = (&record.run, &record.run.spec, record.phase.name());
    let trial = keep_trial(db, record)?;
    db.prepare_cached("INSERT OR IGNORE INTO seeds VALUES (?1, ?2, ?3)")?.execute(params![
        spec.task.name,
        phase,
        spec.seed as i64
    ])?;
    let best = run.best.and_then(|b| run.points.iter().position(|p| p.step == b.step));
    db.prepare_cached(
        "INSERT INTO runs (trial, phase, seed, budget, gradients, gradient_seconds,
             optimizer_seconds, divergence_step, divergence_reason, best_point, test_loss,
             test_metric, stride, trajectory)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        trial,
        phase,
        spec.seed as i64,
        spec.budget,
        run.gradients,
        run.gradient_seconds,
        run.optimizer_seconds,
        run.divergence.as_ref().map(|d| d.step),
        run.divergence.as_ref().map(|d| &d.reason),
        best,
        run.test.map(|t| Number(t.loss)),
        run.test.and_then(|t| t.metric).map(Number),
        run.stride,
        (!run.trajectory.is_empty()).then(|| bytes(&run.trajectory)),
    ])?;
    let id = db.last_insert_rowid();
    let mut statement =
        db.prepare_cached("INSERT INTO points VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (i, p) in run.points.iter().enumerate() {
        let (train, metric) = (p.train_loss.map(Number), p.validation.metric.map(Number));
        let loss = Number(p.validation.loss);
        statement.execute(params![id, i, p.step, p.seconds, train, loss, metric])?;
    }
    let json = |value: serde_json::Result<String>| {
        value.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
    };
    let mut statement = db.prepare_cached("INSERT INTO probes VALUES (?1, ?2, ?3)")?;
    for probe in &run.probes {
        statement.execute(params![id, probe.step, json(serde_json::to_string(probe))?])?;
    }
    let mut statement = db.prepare_cached("INSERT INTO findings VALUES (?1, ?2, ?3)")?;
    for (i, finding) in run.findings.iter().enumerate() {
        statement.execute(params![id, i, json(serde_json::to_string(finding))?])?;
    }
    Ok(())
}

/// The row of the run's configuration, made if this is its first run.
fn keep_trial(db: &Transaction<'_>, record: &Record) -> rusqlite::Result<i64> {
    let spec = &record.run.spec;
    let key = params![spec.task.name, spec.optimizer, record.trial];
    let made = db
        .prepare_cached(
            "INSERT OR IGNORE INTO trials (task, optimizer, number) VALUES (?1, ?2, ?3)",
        )?
        .execute(key)?;
    if made == 0 {
        return db
            .prepare_cached(
                "SELECT id FROM trials WHERE task = ?1 AND optimizer = ?2 AND number = ?3",
            )?
            .query_row(key, |row| row.get(0));
    }
    let trial = db.last_insert_rowid();
    let mut statement = db.prepare_cached("INSERT INTO hypers VALUES (?1, ?2, ?3, ?4)")?;
    for (i, (name, value)) in spec.hypers.iter().enumerate() {
        statement.execute(params![trial, i, name, value])?;
    }
    Ok(trial)
}

fn bytes(pairs: &[[f64; 2]]) -> Vec<u8> {
    pairs.iter().flatten().flat_map(|x| x.to_le_bytes()).collect()
}

fn pairs(bytes: &[u8]) -> Vec<[f64; 2]> {
    let number = |b: &[u8]| f64::from_le_bytes(b.try_into().unwrap_or_default());
    bytes.chunks_exact(16).map(|pair| [number(&pair[..8]), number(&pair[8..])]).collect()
}

/// The first line in which `text` differs from `other`, or else `nothing`.
pub(crate) fn first_difference(text: &str, other: &str) -> String {
    lacking(text, other).unwrap_or("nothing").to_owned()
}

/// The first line of `text` that `other` lacks.
fn lacking<'t>(text: &'t str, other: &str) -> Option<&'t str> {
    let others: Vec<&str> = other.lines().collect();
    text.lines().find(|line| !others.contains(line))
}

/// Whether the lines are the same but for their order, in which tasks and optimizers were named: a run does not
/// know it, and what is made of the runs goes by the order asked for last.
fn same_lines(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    sorted(a) == sorted(b)
}

fn broken(path: &Path, error: &rusqlite::Error) -> Error {
    let fix = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: give `thalweg compare` --fresh to make all runs again, or another --out directory"
        }
        _ => "check that the disk has room and the file is what `thalweg compare` wrote",
    };
    Error::failed(format!("cannot use the runs in {}: {error}", path.display()), fix)
}
