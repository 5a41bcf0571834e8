//! Runs every official vector file and fails on the first difference.

#[test]
fn every_vector_file_holds() {
    for (file, check) in quittance_vectors::files() {
        let report = quittance_vectors::run(file, check);
        assert!(
            report.failures.is_empty(),
            "{file}: {} failed\n{}",
            report.failures.len(),
            report.failures.join("\n")
        );
        assert!(report.passed > 0, "{file}: no case was run");
    }
}
