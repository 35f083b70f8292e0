//! Engines for stories, made from rule files.

use std::path::PathBuf;

use super::test::Benches;
use crate::config::story::Story;
use crate::config::story::run::Bench;
use crate::shell::bench::StoryBench;
use crate::shell::load;

/// Loads the files anew for each story: a story must not see another one's state.
pub struct RuleFiles;

impl Benches for RuleFiles {
    fn rules(&mut self, files: &[PathBuf]) -> Result<Vec<String>, String> {
        let scan = load::scan(files)?;
        if scan.findings.iter().any(|finding| finding.is_error()) {
            return Err(load::render(&scan.findings));
        }
        Ok(scan.ruleset.rules().iter().map(|rule| rule.name.to_string()).collect())
    }

    fn bench(&mut self, files: &[PathBuf], story: &Story) -> Result<Box<dyn Bench>, String> {
        let scan = load::scan(files)?;
        Ok(Box::new(StoryBench::new(scan.ruleset, story.start)))
    }
}
