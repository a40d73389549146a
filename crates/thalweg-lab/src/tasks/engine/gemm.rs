//! Matrix products on slices.

use gemm::Parallelism;

use super::vector::sized;

/// Rows that lie a multiple of this many numbers apart share few sets of a cache. A product that reads them column
/// by column, as it does for a transpose, drives each out with the next: four times as slow, or five.
const ALIASED: usize = 256;

/// What keeps them apart: a cache line.
const APART: usize = 16;

/// How far apart rows of so many numbers should lie that are read column by column.
pub(super) fn row_stride(columns: usize) -> usize {
    if columns.is_multiple_of(ALIASED) { columns + APART } else { columns }
}

/// A row-major matrix, or the transpose of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix stored row by row in `data`.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows}x{columns}");
        Matrix { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The matrix at the start of `data` whose rows are `stride` apart.
    pub(super) fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, stride), "a matrix of {rows}x{columns}");
        Matrix { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The matrix stored row by row in `data`, for its transpose: if rows would drive each other out of the cache,
    /// a copy in `buffer` that keeps them apart.
    pub(super) fn spread(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        buffer: &'a mut Vec<f32>,
    ) -> Self {
        let stride = row_stride(columns);
        if stride == columns {
            return Matrix::new(data, rows, columns);
        }
        assert_eq!(data.len(), rows * columns, "a matrix of {rows}x{columns}");
        let buffer = sized(buffer, rows * stride);
        for (to, from) in buffer.chunks_exact_mut(stride).zip(data.chunks_exact(columns)) {
            to[..columns].copy_from_slice(from);
        }
        Matrix::strided(buffer, rows, columns, stride)
    }

    /// Its transpose.
    pub(super) fn transposed(self) -> Self {
        Matrix {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// Whether every element of such a matrix lies within `len` numbers and no two are the same.
fn fits(len: usize, rows: usize, columns: usize, stride: usize) -> bool {
    rows > 0 && columns > 0 && stride >= columns && (rows - 1) * stride + columns <= len
}

/// `out = a b`, or `out += a b` if `accumulate`; `out` is row-major.
pub(super) fn multiply(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, accumulate: bool) {
    assert_eq!(out.len(), a.rows * b.columns, "the result");
    multiply_into(out, b.columns, a, b, 1.0, accumulate);
}

/// `out = scale a b` (or `+=`) for a matrix at the start of `out` whose rows are `stride` apart.
pub(super) fn multiply_into(
    out: &mut [f32],
    stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    accumulate: bool,
) {
    assert_eq!(a.columns, b.rows, "the inner dimensions");
    assert!(fits(out.len(), a.rows, b.columns, stride), "the result");
    // SAFETY: by the assertions here and in the constructors of `Matrix`, whose fields are private,
    // every index `row * row_stride + column * column_stride` lies inside the slice it belongs to, and
    // elements of `out` do not coincide; `out` is borrowed mutably and so overlaps neither `a` nor `b`.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_transposes_agree_with_the_definition() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 1.0];
        let mut out = vec![0.0; 4];
        multiply(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), false);
        assert_eq!(out, [5.0, 5.0, 14.0, 11.0]);
        multiply(
            &mut out,
            Matrix::new(&a, 3, 2).transposed(),
            Matrix::new(&b, 2, 3).transposed(),
            true,
        );
        assert_eq!(out, [16.0, 11.0, 28.0, 19.0]);
    }

    #[test]
    fn rows_that_are_kept_apart_are_the_same_matrix() {
        let mut buffer = Vec::new();
        for columns in [255, 256, 512] {
            let a: Vec<f32> = (0..3 * columns).map(|i| (i % 11) as f32 - 5.0).collect();
            let b: Vec<f32> = (0..2 * columns).map(|i| (i % 7) as f32).collect();
            let product = |m: Matrix<'_>| {
                let mut out = vec![0.0; 6];
                multiply(&mut out, Matrix::new(&b, 2, columns), m.transposed(), false);
                out
            };
            let spread = Matrix::spread(&a, 3, columns, &mut buffer);
            assert_ne!(spread.row_stride % ALIASED, 0);
            assert_eq!(product(spread), product(Matrix::new(&a, 3, columns)));
        }
    }

    #[test]
    fn parts_of_wider_rows_are_matrices_too() {
        let wide = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0];
        let part = Matrix::strided(&wide, 2, 2, 3);
        let mut out = vec![7.0; 5];
        multiply_into(&mut out, 3, part, part, 2.0, false);
        assert_eq!(out, [14.0, 20.0, 7.0, 30.0, 44.0]);
    }
}
