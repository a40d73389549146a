//! Numbers in SQLite: it turns NaN into NULL, so what is not finite is stored as text.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef};

/// A number that comes back as it was stored, whatever it is. NaNs are all the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub f64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(if self.0.is_finite() {
            ToSqlOutput::Owned(Value::Real(self.0))
        } else {
            // Display writes `NaN`, `inf` and `-inf`.
            ToSqlOutput::Owned(Value::Text(self.0.to_string()))
        })
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Real(number) => Ok(Number(number)),
            ValueRef::Integer(number) => Ok(Number(number as f64)),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|t| t.parse().ok())
                .map(Number)
                .ok_or(FromSqlError::InvalidType),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for x in [0.1, -0.0, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let back: Number = db.query_row("SELECT ?1", [Number(x)], |r| r.get(0)).unwrap();
            assert!(back.0.to_bits() == x.to_bits() || (x.is_nan() && back.0.is_nan()), "{x}");
        }
    }
}
