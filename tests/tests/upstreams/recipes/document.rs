//! The recipes as they stand in the document.

const DOCUMENT: &str = include_str!("../../../../docs/recipes.md");

/// What is below one heading of the document.
pub(super) struct Recipe {
    pub(super) heading: String,
    pub(super) text: String,
}

impl Recipe {
    pub(super) fn all() -> Vec<Self> {
        let recipe = |part: &str| {
            let (heading, text) = part.split_once('\n').expect("text follows a heading");
            Self { heading: heading.to_owned(), text: text.to_owned() }
        };
        DOCUMENT.split("\n## ").skip(1).map(recipe).collect()
    }

    pub(super) fn below(heading: &str) -> Self {
        let found = Self::all().into_iter().find(|recipe| recipe.heading == heading);
        found.unwrap_or_else(|| panic!("no recipe {heading:?} in docs/recipes.md"))
    }

    /// The fenced blocks: language and text.
    pub(super) fn blocks(&self) -> Vec<(&str, &str)> {
        let fences: Vec<&str> = self.text.split("```").collect();
        fences.chunks(2).filter_map(|pair| pair.get(1)?.split_once('\n')).collect()
    }

    /// The one block of this language, with these replacements.
    pub(super) fn block(&self, language: &str, replacements: &[(&str, &str)]) -> String {
        let blocks = self.blocks();
        let found: Vec<&str> =
            blocks.iter().filter(|block| block.0 == language).map(|block| block.1).collect();
        let [text] = found[..] else { panic!("{}: not one {language} block", self.heading) };
        replacements.iter().fold(text.to_owned(), |text, (there, here)| {
            assert!(text.contains(there), "{}: no {there:?} to replace in\n{text}", self.heading);
            text.replace(there, here)
        })
    }
}
