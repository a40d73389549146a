//! One long Parquet table, a row per measurement.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::super::Kept;
use crate::protocol::Point;
use crate::{Error, Result};

const SCHEMA: &str = "message runs {
    REQUIRED BYTE_ARRAY run (UTF8);
    REQUIRED BYTE_ARRAY task (UTF8);
    REQUIRED BYTE_ARRAY optimizer (UTF8);
    REQUIRED INT64 trial;
    REQUIRED BYTE_ARRAY phase (UTF8);
    REQUIRED INT64 seed;
    REQUIRED BYTE_ARRAY hypers (UTF8);
    REQUIRED INT64 budget;
    REQUIRED INT64 gradients;
    REQUIRED DOUBLE gradient_seconds;
    REQUIRED DOUBLE optimizer_seconds;
    OPTIONAL DOUBLE diverged_at;
    OPTIONAL DOUBLE test_loss;
    OPTIONAL DOUBLE test_metric;
    REQUIRED INT64 step;
    REQUIRED DOUBLE seconds;
    OPTIONAL DOUBLE train_loss;
    REQUIRED DOUBLE validation_loss;
    OPTIONAL DOUBLE validation_metric;
}";

/// Writes the table.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, runs: &[Kept]) -> Result<()> {
    table(path, runs).map_err(|e| {
        Error::failed(
            format!("cannot write {}: {e}", path.display()),
            "give --to a file you may write to",
        )
    })
}

fn table(path: &Path, runs: &[Kept]) -> std::result::Result<(), ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build();
    let mut writer = SerializedFileWriter::new(File::create(path)?, schema, Arc::new(properties))?;
    let rows: Vec<(&Kept, &Point)> =
        runs.iter().flat_map(|run| run.points.iter().map(move |point| (run, point))).collect();
    let mut group = writer.next_row_group()?;
    texts(&mut group, &rows, |r, _| r.cell())?;
    texts(&mut group, &rows, |r, _| r.task.clone())?;
    texts(&mut group, &rows, |r, _| r.optimizer.clone())?;
    integers(&mut group, &rows, |r, _| r.trial as i64)?;
    texts(&mut group, &rows, |r, _| r.phase.clone())?;
    integers(&mut group, &rows, |r, _| r.seed as i64)?;
    texts(&mut group, &rows, |r, _| super::hypers(r))?;
    integers(&mut group, &rows, |r, _| r.budget as i64)?;
    integers(&mut group, &rows, |r, _| r.gradients as i64)?;
    numbers(&mut group, &rows, false, |r, _| Some(r.gradient_seconds))?;
    numbers(&mut group, &rows, false, |r, _| Some(r.optimizer_seconds))?;
    numbers(&mut group, &rows, true, |r, _| r.divergence.as_ref().map(|d| d.0 as f64))?;
    numbers(&mut group, &rows, true, |r, _| r.test_loss)?;
    numbers(&mut group, &rows, true, |r, _| r.test_metric)?;
    integers(&mut group, &rows, |_, p| p.step as i64)?;
    numbers(&mut group, &rows, false, |_, p| Some(p.seconds))?;
    numbers(&mut group, &rows, true, |_, p| p.train_loss)?;
    numbers(&mut group, &rows, false, |_, p| Some(p.validation.loss))?;
    numbers(&mut group, &rows, true, |_, p| p.validation.metric)?;
    group.close()?;
    writer.close()?;
    Ok(())
}

type Rows<'a> = [(&'a Kept, &'a Point)];
type Group<'a> = SerializedRowGroupWriter<'a, File>;

fn missing() -> ParquetError {
    ParquetError::General("the schema has fewer columns than the table".to_owned())
}

fn texts(
    group: &mut Group<'_>,
    rows: &Rows<'_>,
    of: impl Fn(&Kept, &Point) -> String,
) -> std::result::Result<(), ParquetError> {
    let values: Vec<ByteArray> =
        rows.iter().map(|(r, p)| ByteArray::from(of(r, p).as_str())).collect();
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
    column.close()
}

fn integers(
    group: &mut Group<'_>,
    rows: &Rows<'_>,
    of: impl Fn(&Kept, &Point) -> i64,
) -> std::result::Result<(), ParquetError> {
    let values: Vec<i64> = rows.iter().map(|(r, p)| of(r, p)).collect();
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<Int64Type>().write_batch(&values, None, None)?;
    column.close()
}

fn numbers(
    group: &mut Group<'_>,
    rows: &Rows<'_>,
    optional: bool,
    of: impl Fn(&Kept, &Point) -> Option<f64>,
) -> std::result::Result<(), ParquetError> {
    let values: Vec<f64> = rows.iter().filter_map(|(r, p)| of(r, p)).collect();
    let there: Vec<i16> = rows.iter().map(|(r, p)| i16::from(of(r, p).is_some())).collect();
    let levels = optional.then_some(&there[..]);
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<DoubleType>().write_batch(&values, levels, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::tasks::Measurement;

    #[test]
    fn what_is_written_is_read_back() {
        let point = |step, train_loss| Point {
            step,
            seconds: 0.5,
            train_loss,
            validation: Measurement { loss: 0.25 + step as f64, metric: None },
        };
        let run = Kept {
            id: 1,
            task: "digits-mlp".to_owned(),
            optimizer: "adam".to_owned(),
            trial: 3,
            phase: "final".to_owned(),
            seed: 7,
            budget: 100,
            gradients: 60,
            gradient_seconds: 1.5,
            optimizer_seconds: 0.25,
            divergence: Some((60, "the training loss is not finite".to_owned())),
            best_point: Some(1),
            test_loss: None,
            test_metric: Some(0.75),
            hypers: vec![("lr".to_owned(), 0.01)],
            points: vec![point(0, None), point(10, Some(2.5))],
            trajectory: Vec::new(),
            stride: 1,
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.parquet");
        write(&path, &[run]).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
        let cell = |row: usize, name: &str| {
            let found = rows[row].get_column_iter().find(|(column, _)| *column == name);
            found.map(|(_, field)| field.clone()).unwrap()
        };
        assert_eq!(rows.len(), 2);
        for row in [0, 1] {
            assert_eq!(cell(row, "run"), Field::Str("digits-mlp/adam/7".to_owned()));
            assert_eq!(cell(row, "hypers"), Field::Str("lr=0.01".to_owned()));
            assert_eq!(cell(row, "budget"), Field::Long(100));
            assert_eq!(cell(row, "optimizer_seconds"), Field::Double(0.25));
            assert_eq!(cell(row, "diverged_at"), Field::Double(60.0));
            assert_eq!(
                (cell(row, "test_loss"), cell(row, "test_metric")),
                (Field::Null, Field::Double(0.75))
            );
        }
        assert_eq!(
            (cell(0, "train_loss"), cell(1, "train_loss")),
            (Field::Null, Field::Double(2.5))
        );
        assert_eq!(
            (cell(1, "step"), cell(1, "validation_loss")),
            (Field::Long(10), Field::Double(10.25))
        );
    }
}
