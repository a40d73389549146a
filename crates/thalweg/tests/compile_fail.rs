//! Wrong compositions do not compile, and the compiler says what to do instead.
//!
//! Where a fold is asked for, the compiler also lists the first eight by name: one that comes before them
//! has those files written anew with `TRYBUILD=overwrite`.

#[test]
fn wrong_compositions_are_explained() {
    let tests = trybuild::TestCases::new();
    // What the compiler only finds when it makes code is not found unless something is to be made.
    tests.pass("tests/compile_pass/*.rs");
    tests.compile_fail("tests/compile_fail/*.rs");
}
