//! Wrong compositions do not compile, and the compiler says what to do instead.
//!
//! A rule in `.fold(..)` is not among them: there the compiler also lists all folds, and a new
//! optimizer would have to touch this test.

#[test]
fn wrong_compositions_are_explained() {
    let tests = trybuild::TestCases::new();
    // What the compiler only finds when it makes code is not found unless something is to be made.
    tests.pass("tests/compile_pass/*.rs");
    tests.compile_fail("tests/compile_fail/*.rs");
}
