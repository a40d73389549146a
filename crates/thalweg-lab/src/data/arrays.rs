//! The one layout that all fetched data is kept in: named arrays of numbers.
//!
//! A file is the eight bytes `THWDATA2`, the number of arrays (all numbers are little-endian 32-bit), and
//! per array: the length of its name, its name, the bytes per value (1 or 4, unsigned), the number of its
//! dimensions, the dimensions, the values row by row. The last 32 bytes are the SHA-256 of all before.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::hex;

const MAGIC: &[u8; 8] = b"THWDATA2";
const DIGEST: usize = 32;

/// The values of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Bytes: pixels, classes, text.
    U8(Vec<u8>),
    /// Numbers that do not fit into a byte: indices.
    U32(Vec<u32>),
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::U8(v) => v.len(),
            Values::U32(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An array with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// What it is called, such as `train.images`.
    pub name: String,
    /// Its dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Values,
}

/// What a data file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrays(pub Vec<Array>);

impl Arrays {
    /// Adds an array of bytes.
    pub fn bytes(&mut self, name: &str, shape: &[usize], values: Vec<u8>) {
        let values = Values::U8(values);
        self.0.push(Array { name: name.to_owned(), shape: shape.to_vec(), values });
    }

    /// Adds a list of indices.
    pub fn indices(&mut self, name: &str, values: Vec<u32>) {
        let shape = vec![values.len()];
        self.0.push(Array { name: name.to_owned(), shape, values: Values::U32(values) });
    }

    /// Takes out an array of bytes; `Err` says what is missing.
    pub fn take_bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        match self.take(name)?.values {
            Values::U8(values) => Ok(values),
            Values::U32(_) => Err(format!("its array `{name}` is of the wrong type")),
        }
    }

    /// Takes out a list of indices; `Err` says what is missing.
    pub fn take_indices(&mut self, name: &str) -> Result<Vec<u32>, String> {
        match self.take(name)?.values {
            Values::U32(values) => Ok(values),
            Values::U8(_) => Err(format!("its array `{name}` is of the wrong type")),
        }
    }

    fn take(&mut self, name: &str) -> Result<Array, String> {
        let at = self.0.iter().position(|a| a.name == name);
        at.map(|at| self.0.swap_remove(at)).ok_or_else(|| format!("it has no array `{name}`"))
    }

    /// The content of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let number = |bytes: &mut Vec<u8>, n: usize| bytes.extend((n as u32).to_le_bytes());
        number(&mut bytes, self.0.len());
        for array in &self.0 {
            number(&mut bytes, array.name.len());
            bytes.extend(array.name.as_bytes());
            number(&mut bytes, if matches!(array.values, Values::U8(_)) { 1 } else { 4 });
            number(&mut bytes, array.shape.len());
            array.shape.iter().for_each(|n| number(&mut bytes, *n));
            match &array.values {
                Values::U8(values) => bytes.extend(values),
                Values::U32(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            }
        }
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// Reads the content of a file and its checksum in hexadecimal; `Err` says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, String), String> {
        if bytes.len() < MAGIC.len() + DIGEST || !bytes.starts_with(MAGIC) {
            return Err("it is not a data file of this program, or of an older version".to_owned());
        }
        let (body, digest) = bytes.split_at(bytes.len() - DIGEST);
        let found = Sha256::digest(body);
        if found[..] != *digest {
            return Err("its content and its checksum do not agree".to_owned());
        }
        let mut reader = Reader(&body[MAGIC.len()..]);
        let count = reader.number()?;
        let arrays = (0..count).map(|_| reader.array()).collect::<Result<_, _>>()?;
        match reader.0 {
            [] => Ok((Arrays(arrays), hex(&found))),
            rest => Err(format!("{} bytes follow its last array", rest.len())),
        }
    }
}

/// Whether a file is as long as its heads of arrays say; the values are skipped.
pub(super) fn is_whole(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)?;
    let number = |file: &mut BufReader<File>| -> io::Result<u64> {
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes).into())
    };
    let skip = |file: &mut BufReader<File>, bytes: u64| {
        file.seek(SeekFrom::Current(i64::try_from(bytes).unwrap_or(i64::MAX)))
    };
    for _ in 0..number(&mut file)? {
        let name = number(&mut file)?;
        skip(&mut file, name)?;
        let (mut bytes, dimensions) = (number(&mut file)?, number(&mut file)?);
        for _ in 0..dimensions {
            bytes = bytes.saturating_mul(number(&mut file)?);
        }
        skip(&mut file, bytes)?;
    }
    Ok(&magic == MAGIC && file.stream_position()? + DIGEST as u64 == length)
}

/// What is left to read of a file.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self.0.split_at_checked(count).ok_or("it ends inside an array")?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self) -> Result<usize, String> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    }

    fn array(&mut self) -> Result<Array, String> {
        let length = self.number()?;
        let name = String::from_utf8_lossy(self.take(length)?).into_owned();
        let (width, dimensions) = (self.number()?, self.number()?);
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.number()?);
        }
        let bytes = shape.iter().try_fold(width, |a, b| a.checked_mul(*b));
        let bytes = self.take(bytes.ok_or("an array of it is too large")?)?;
        let values = match width {
            1 => Values::U8(bytes.to_vec()),
            4 => {
                let numbers = bytes.chunks_exact(4);
                Values::U32(numbers.map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            _ => return Err(format!("its array `{name}` has values of {width} bytes")),
        };
        Ok(Array { name, shape, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Arrays {
        let mut arrays = Arrays::default();
        arrays.bytes("images", &[2, 3], vec![1, 2, 3, 4, 5, 6]);
        arrays.indices("rows", vec![0, 70_000]);
        arrays
    }

    #[test]
    fn stored_form_reads_back() {
        let bytes = sample().to_bytes();
        let (mut read, sha256) = Arrays::from_bytes(&bytes).unwrap();
        assert_eq!((&read, sha256.len()), (&sample(), 64));
        assert_eq!(read.take_indices("rows"), Ok(vec![0, 70_000]));
        assert!(read.take_indices("images").unwrap_err().contains("wrong type"));
        assert!(read.take_bytes("labels").unwrap_err().contains("`labels`"));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let good = sample().to_bytes();
        for n in 0..good.len() {
            assert!(Arrays::from_bytes(&good[..n]).is_err(), "cut at {n}");
            let mut flipped = good.clone();
            flipped[n] ^= 1;
            assert!(Arrays::from_bytes(&flipped).is_err(), "changed at {n}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.data");
        let good = sample().to_bytes();
        let whole = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            is_whole(&path).unwrap_or(false)
        };
        assert!(whole(&good));
        (0..good.len()).for_each(|n| assert!(!whole(&good[..n]), "cut at {n}"));
        assert!(!whole(&[&good[..], b"x"].concat()) && !whole(b""));
    }

    #[test]
    fn a_valid_checksum_does_not_excuse_a_wrong_layout() {
        let sealed = |body: &[u8]| {
            let mut bytes = body.to_vec();
            bytes.extend(Sha256::digest(body));
            bytes
        };
        let good = sample().to_bytes();
        let body = &good[..good.len() - DIGEST];
        for n in MAGIC.len()..body.len() {
            assert!(Arrays::from_bytes(&sealed(&body[..n])).is_err(), "cut at {n}");
            let mut wild = body.to_vec();
            wild[n] = 0xff;
            let _ = Arrays::from_bytes(&sealed(&wild));
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert!(Arrays::from_bytes(&sealed(&longer)).unwrap_err().contains("follow"));
    }
}
