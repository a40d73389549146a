//! The IDX file format of the MNIST distribution.

/// The bytes of an IDX file of unsigned bytes with the given dimensions, or what is wrong with it.
///
/// Layout: two zero bytes, the type (8: unsigned byte), the number of dimensions, each dimension as a
/// big-endian 32-bit integer, then the values.
pub(super) fn parse<'a>(file: &'a [u8], dimensions: &[usize]) -> Result<&'a [u8], String> {
    let header = 4 + 4 * dimensions.len();
    if file.len() < header {
        return Err(format!("it ends after {} bytes, inside the header", file.len()));
    }
    if file[..3] != [0, 0, 8] || usize::from(file[3]) != dimensions.len() {
        return Err(format!("it starts with {:02x?}, which is another kind of file", &file[..4]));
    }
    let found: Vec<usize> = file[4..header]
        .chunks_exact(4)
        .map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize)
        .collect();
    if found != dimensions {
        return Err(format!("its dimensions are {found:?}, expected {dimensions:?}"));
    }
    let expected = dimensions.iter().product::<usize>();
    if file.len() - header != expected {
        return Err(format!("it holds {} values, expected {expected}", file.len() - header));
    }
    Ok(&file[header..])
}

#[cfg(test)]
mod tests {
    use super::parse;

    const GOOD: [u8; 14] = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9];

    #[test]
    fn reads_what_is_well_formed() {
        assert_eq!(parse(&GOOD, &[1, 2]), Ok(&[7u8, 9][..]));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |file: &[u8], dims: &[usize]| parse(file, dims).unwrap_err();
        assert!(error(&GOOD[..7], &[1, 2]).contains("inside the header"));
        assert!(error(&GOOD[..13], &[1, 2]).contains("holds 1 values"));
        assert!(error(&GOOD, &[2, 1]).contains("dimensions"));
        assert!(error(&GOOD, &[2]).contains("another kind"));
        assert!(error(b"\x1f\x8b\x08\0 gzip, not idx", &[1, 2]).contains("another kind"));
    }
}
