//! The recipes as they stand in the document.

const DOCUMENT: &str = include_str!("../../../../docs/recipes.md");

/// What is below one heading of the document.
pub(crate) struct Recipe {
    pub(crate) heading: String,
    pub(crate) text: String,
}

impl Recipe {
    pub(crate) fn all() -> Vec<Self> {
        Self::all_of(DOCUMENT)
    }

    /// What is below each heading of a document of this form.
    pub(crate) fn all_of(document: &str) -> Vec<Self> {
        let recipe = |part: &str| {
            let (heading, text) = part.split_once('\n').expect("text follows a heading");
            Self { heading: heading.to_owned(), text: text.to_owned() }
        };
        document.split("\n## ").skip(1).map(recipe).collect()
    }

    pub(crate) fn below(heading: &str) -> Self {
        Self::below_in(DOCUMENT, heading)
    }

    pub(crate) fn below_in(document: &str, heading: &str) -> Self {
        let found = Self::all_of(document).into_iter().find(|recipe| recipe.heading == heading);
        found.unwrap_or_else(|| panic!("the document has no heading {heading:?}"))
    }

    /// The fenced blocks: language and text.
    pub(crate) fn blocks(&self) -> Vec<(&str, &str)> {
        let fences: Vec<&str> = self.text.split("```").collect();
        fences.chunks(2).filter_map(|pair| pair.get(1)?.split_once('\n')).collect()
    }

    /// The one block of this language, with these replacements.
    pub(crate) fn block(&self, language: &str, replacements: &[(&str, &str)]) -> String {
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
