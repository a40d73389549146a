//! Matrix products on slices.

use gemm::Parallelism;

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

/// `out = a b`, or `out += a b` if `accumulate`; `out` is row-major.
pub(super) fn multiply(
    out: &mut [f32],
    a: Matrix<'_>,
    b: Matrix<'_>,
    accumulate: bool,
    threads: usize,
) {
    assert_eq!(a.columns, b.rows, "the inner dimensions");
    assert_eq!(out.len(), a.rows * b.columns, "the result");
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: by the assertions here and in `Matrix::new`, whose fields are private, every index
    // `row * row_stride + column * column_stride` lies inside the slice it belongs to; `out` is
    // borrowed mutably and so overlaps neither `a` nor `b`.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
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
        multiply(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), false, 1);
        assert_eq!(out, [5.0, 5.0, 14.0, 11.0]);
        multiply(
            &mut out,
            Matrix::new(&a, 3, 2).transposed(),
            Matrix::new(&b, 2, 3).transposed(),
            true,
            1,
        );
        assert_eq!(out, [16.0, 11.0, 28.0, 19.0]);
    }
}
